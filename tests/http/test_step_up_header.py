"""The header `WWW-Authenticate` of answers that ask for a newer proof (RFC 9470)."""

from app.testing.clients import Api, Person
from app.testing.clock import FakeClock

DELETE = 'mutation { deleteAccount(input: {password: "x"}) { __typename } }'
RENAME_AND_DELETE = """
mutation {
  updateProfile(input: {displayName: "Ada"}) { __typename }
  deleteAccount(input: {password: "x"}) { __typename }
}
"""
SECONDS = 600


async def test_a_refusal_of_everything_has_the_challenge_of_rfc_9470(
    api: Api, ada: Person, clock: FakeClock
) -> None:
    session = await api.login(ada)
    clock.pass_(seconds=SECONDS)

    data = await session(DELETE)

    assert session.last is not None
    assert data == {"deleteAccount": None}
    assert session.last.headers["www-authenticate"] == (
        'Bearer error="insufficient_user_authentication", '
        'error_description="Confirm that it is you", max_age="600"'
    )


async def test_an_answer_in_which_something_was_done_has_none(
    api: Api, ada: Person, clock: FakeClock
) -> None:
    session = await api.login(ada)
    clock.pass_(seconds=SECONDS)

    data = await session(RENAME_AND_DELETE)

    assert session.last is not None
    assert data == {"updateProfile": {"__typename": "UserChanged"}, "deleteAccount": None}
    assert session.last_code == "STEP_UP_REQUIRED"
    assert "www-authenticate" not in session.last.headers


async def test_other_refusals_have_none(api: Api) -> None:
    await api(DELETE)

    assert api.last is not None
    assert api.last_code == "UNAUTHENTICATED"
    assert "www-authenticate" not in api.last.headers
