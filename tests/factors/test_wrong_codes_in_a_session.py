"""Wrong codes in a session: it ends after ten in a row, and nothing else is locked."""

from typing import Any

from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import ME, Api
from tests.support.authenticator import Enrolled

STEP_UP = """
mutation ($code: String!) { stepUp(input: {answer: {totp: $code}}) { __typename } }
"""
ENDED = text("SELECT end_reason FROM sessions WHERE ended_at IS NOT NULL")


async def step_up(session: Api, code: str) -> Any:
    return (await session(STEP_UP, code=code))["stepUp"]


async def guess(session: Api, enrolled: Enrolled, times: int) -> list[str]:
    right = {enrolled.app.code(drift) for drift in (-1, 0, 1)}
    wrong = next(each for each in ("000000", "111111", "222222", "333333") if each not in right)
    return [(await step_up(session, wrong))["__typename"] for _ in range(times)]


async def test_the_tenth_ends_the_session(api: Api, enrolled: Enrolled, db: Database) -> None:
    stolen = await enrolled.sign_in(api)

    assert await guess(stolen, enrolled, 10) == ["InvalidCode"] * 10

    assert (await stolen(ME), stolen.last_code) == ({"me": None}, "UNAUTHENTICATED")
    assert [each[0] for each in await db.rows(ENDED)] == ["REVOKED"]


async def test_other_sessions_and_devices_are_not_locked(api: Api, enrolled: Enrolled) -> None:
    stolen = await enrolled.sign_in(api)
    await guess(stolen, enrolled, 10)

    stepped_up = await step_up(enrolled.session, enrolled.app.next_code())

    assert stepped_up == {"__typename": "SteppedUp"}
    assert await enrolled.sign_in(api)


async def test_a_right_code_ends_the_count(enrolled: Enrolled) -> None:
    await guess(enrolled.session, enrolled, 9)
    await step_up(enrolled.session, enrolled.app.next_code())

    assert await guess(enrolled.session, enrolled, 9) == ["InvalidCode"] * 9

    assert (await enrolled.session(ME))["me"] is not None
