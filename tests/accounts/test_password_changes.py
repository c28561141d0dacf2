"""Changing the password with the current one, and resetting it by email."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox

Deliver = Callable[[], Awaitable[None]]
NEW = "punched cards in brass"
REQUEST = """
mutation Request($email: String!) {
  requestPasswordReset(input: {email: $email}) {
    __typename ... on RequestAccepted { message } ... on Problem { message }
  }
}
"""
AGAIN = """
mutation Again($email: String!) {
  requestEmailVerification(input: {email: $email}) {
    __typename ... on RequestAccepted { message } ... on Problem { message }
  }
}
"""
PROBLEM = """
  __typename
  ... on Problem { message }
  ... on InvalidInput { issues { path code } }
"""
RESET = f"""
mutation Reset($input: ResetPasswordInput!) {{
  resetPassword(input: $input) {{
    {PROBLEM}
    ... on UserChanged {{ deviceToken user {{ email emailVerified }} }}
  }}
}}
"""
CHANGE = f"""
mutation Change($input: ChangePasswordInput!) {{
  changePassword(input: $input) {{
    {PROBLEM}
    ... on PasswordChanged {{ tokens {{ accessToken refreshToken deviceToken }} }}
  }}
}}
"""


async def reset(client: Api, token: str, password: str = NEW) -> str:
    data = await client(RESET, input={"token": token, "newPassword": password})
    return data["resetPassword"]["__typename"]


async def change(client: Api, current: str, new: str, **more: object) -> str:
    given = {"currentPassword": current, "newPassword": new, **more}
    data = await client(CHANGE, input=given)
    answer = data["changePassword"]
    if answer["__typename"] == "PasswordChanged":
        # As a client does: its former tokens are invalid.
        client.access_token = answer["tokens"]["accessToken"]
        client.refresh_token = answer["tokens"]["refreshToken"]
    return answer["__typename"]


@pytest.fixture
async def token(api: Api, ada: Person, outbox: Outbox, deliver: Deliver) -> str:
    """Returns the token in an email that Ada has requested."""
    await api(REQUEST, email=ada.email)
    await deliver()
    return outbox.token_for(ada.email)


async def test_a_link_sets_a_password_and_ends_every_session(
    api: Api, ada: Person, outbox: Outbox, deliver: Deliver
) -> None:
    laptop = await api.login(ada)
    await api(REQUEST, email="ADA@example.com")
    await deliver()

    assert await reset(api, outbox.token_for(ada.email)) == "UserChanged"

    assert await laptop(ME) == {"me": None}
    phone = await api.login(replace(ada, password=NEW))
    assert await phone("{ me { email emailVerified } }") == {
        "me": {"email": ada.email, "emailVerified": True}
    }


async def test_the_owner_is_notified_of_a_reset(
    api: Api, ada: Person, token: str, outbox: Outbox, deliver: Deliver
) -> None:
    await reset(api, token)
    await deliver()

    assert outbox.subjects == [
        (ada.email, "Choose a new password"),
        (ada.email, "Your password was changed"),
    ]


@pytest.mark.parametrize("asked", [REQUEST, AGAIN], ids=["reset", "verification"])
async def test_an_unknown_address_gets_the_same_answer_and_no_email(
    api: Api, ada: Person, outbox: Outbox, deliver: Deliver, asked: str
) -> None:
    seen: list[Any] = []
    for email in (ada.email, "nobody@example.com", "no address", ""):
        await api(asked, email=email)
        seen.append(api.last_seen)
    await deliver()

    assert seen == [seen[0]] * 4
    assert [to for to, _ in outbox.subjects] == [ada.email]


async def test_a_link_works_once(api: Api, token: str) -> None:
    assert await reset(api, token) == "UserChanged"
    assert await reset(api, token, "another fine password 7") == "TokenInvalid"


async def test_of_fifty_concurrent_uses_of_a_link_one_succeeds(api: Api, token: str) -> None:
    tries = [reset(Api(api.http), token, f"{NEW} {number}") for number in range(50)]

    answers = await asyncio.gather(*tries)

    assert sorted(answers, reverse=True)[:2] != ["UserChanged", "UserChanged"]
    assert answers.count("UserChanged") == 1


async def test_a_link_expires_after_half_an_hour(api: Api, token: str, clock: FakeClock) -> None:
    clock.pass_(minutes=30)

    assert await reset(api, token) == "TokenInvalid"


async def test_a_newer_link_replaces_the_older(
    api: Api, ada: Person, token: str, outbox: Outbox, deliver: Deliver
) -> None:
    await api(REQUEST, email=ada.email)
    await deliver()

    assert await reset(api, token) == "TokenInvalid"
    assert await reset(api, outbox.token_for(ada.email)) == "UserChanged"


async def test_a_weak_password_does_not_use_up_the_link(api: Api, token: str) -> None:
    data = await api(RESET, input={"token": token, "newPassword": "password"})

    assert data["resetPassword"]["issues"] == [
        {"path": ["newPassword"], "code": "PASSWORD_TOO_GUESSABLE"}
    ]
    assert await reset(api, token) == "UserChanged"


async def test_changing_the_password_revokes_the_link(api: Api, ada: Person, token: str) -> None:
    laptop = await api.login(ada)

    assert await change(laptop, ada.password, NEW) == "PasswordChanged"

    assert await reset(api, token, "another fine password 7") == "TokenInvalid"


@pytest.mark.parametrize("bad", ["", "pot_", "pot_" + "x" * 43, "prt_" + "x" * 43, "pöt", "\0"])
async def test_an_invalid_token_is_refused(api: Api, ada: Person, bad: str) -> None:
    assert await reset(api, bad) == "TokenInvalid"
    assert await api.login(ada)


async def test_the_database_does_not_contain_the_token(
    token: str, db: Database, outbox: Outbox
) -> None:
    tables = ("one_time_tokens", "pgqueuer", "pgqueuer_log", "audit_events")
    rows = [await db.rows(text(f"SELECT t::text FROM {name} t")) for name in tables]  # noqa: S608

    assert token not in str(rows)
    assert outbox.messages[0].to not in str(rows[1:])


async def test_changing_the_password_ends_the_other_sessions(api: Api, ada: Person) -> None:
    laptop, phone = await api.login(ada), await api.login(ada)

    assert await change(laptop, ada.password, NEW) == "PasswordChanged"

    assert await phone(ME) == {"me": None}
    assert await laptop(ME) == {"me": {"email": ada.email}}
    assert await api.login(replace(ada, password=NEW))


async def test_other_sessions_continue_on_request(api: Api, ada: Person) -> None:
    laptop, phone = await api.login(ada), await api.login(ada)

    assert await change(laptop, ada.password, NEW, keepOtherSessions=True) == "PasswordChanged"

    assert await phone(ME) == {"me": {"email": ada.email}}


@pytest.mark.parametrize(
    ("current", "new", "expected"),
    [
        ("wrong", NEW, "InvalidCredentials"),
        ("difference engine 1", "short", "InvalidInput"),
        ("difference engine 1", "difference engine 1", "InvalidInput"),
        ("difference engine 1", "ada@example.com", "InvalidInput"),
    ],
)
async def test_a_refused_change_changes_nothing(
    api: Api, ada: Person, current: str, new: str, expected: str
) -> None:
    laptop, phone = await api.login(ada), await api.login(ada)

    assert await change(laptop, current, new) == expected

    assert await phone(ME) == {"me": {"email": ada.email}}
    assert await api.login(ada)


async def test_of_two_concurrent_changes_one_succeeds(api: Api, ada: Person) -> None:
    devices = [await api.login(ada) for _ in range(4)]

    async def change_as(number: int, client: Api) -> bool:
        given = {"currentPassword": ada.password, "newPassword": f"{NEW} {number}"}
        answer = (await client(CHANGE, input=given))["changePassword"]
        if answer is None:
            # The session was ended before it was looked at.
            assert client.last_code == "UNAUTHENTICATED"
            return False
        return answer["__typename"] == "PasswordChanged"

    assert sum(await asyncio.gather(*map(change_as, range(4), devices))) == 1
