"""Codes that are sent twice in a session: a double click, or a retry after a lost answer."""

from typing import Any

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from tests.support.authenticator import BEGIN, CONFIRM, Authenticator, Enrolled, verify

STEP_UP = """
mutation ($code: String!) { stepUp(input: {answer: {totp: $code}}) {
  __typename
  ... on SteppedUp { session { authenticatedAt methods } }
} }
"""


async def step_up(session: Api, code: str) -> Any:
    return (await session(STEP_UP, code=code))["stepUp"]


async def test_a_step_up_that_is_repeated_changes_nothing(enrolled: Enrolled, db: Database) -> None:
    code = enrolled.app.next_code()
    first = await step_up(enrolled.session, code)
    before = await contents(db)

    assert await step_up(enrolled.session, code) == first

    assert first["__typename"] == "SteppedUp"
    assert await contents(db) == before


async def test_only_for_thirty_seconds(enrolled: Enrolled, clock: FakeClock) -> None:
    code = enrolled.app.next_code()
    await step_up(enrolled.session, code)
    clock.pass_(seconds=31)

    assert (await step_up(enrolled.session, code))["__typename"] == "InvalidCode"


async def test_only_in_the_session_that_the_code_has_proved(api: Api, enrolled: Enrolled) -> None:
    other = await enrolled.sign_in(api)
    code = enrolled.app.next_code()
    await step_up(enrolled.session, code)

    assert (await step_up(other, code))["__typename"] == "InvalidCode"


async def test_not_with_another_code(enrolled: Enrolled) -> None:
    await step_up(enrolled.session, enrolled.app.next_code())

    assert (await step_up(enrolled.session, enrolled.app.code(-1)))["__typename"] == "InvalidCode"


async def test_a_confirmation_that_is_repeated_returns_the_factor_without_codes(
    api: Api, db: Database, ada: Person, clock: FakeClock
) -> None:
    await verify(db, ada)
    session = await api.login(ada)
    app = Authenticator((await session(BEGIN))["beginTotpEnrollment"]["secret"], clock)
    first = (await session(CONFIRM, code=app.code()))["confirmTotpEnrollment"]
    before = await contents(db)

    second = (await session(CONFIRM, code=app.code()))["confirmTotpEnrollment"]

    assert len(first["recoveryCodes"]) == 10
    assert second == {**first, "recoveryCodes": None}
    assert await contents(db) == before
