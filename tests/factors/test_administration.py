"""Removing the factors of a user who has lost everything, and after a leak of SECRET_KEY."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import LOGIN, ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from app.testing.outbox import Outbox
from tests.people.test_administration import NOBODY, mutate
from tests.sessions.test_refreshing import reason
from tests.support.authenticator import BEGIN, FACTORS, Enrolled, answer, enroll, verify

Deliver = Callable[[], Awaitable[None]]
RESET = """
mutation ($input: ResetUserFactorsInput!) { resetUserFactors(input: $input) {
  __typename
  ... on UserChanged { user { email factors { id } recoveryCodesLeft } }
  ... on InvalidInput { issues { path code } }
} }
"""
EVENT = text(
    "SELECT actor_id IS NOT NULL, target_id IS NOT NULL, details FROM audit_events"
    " WHERE name = 'factors.reset'"
)
TABLES = ("factors", "totp_secrets", "totp_enrollments", "recovery_codes", "challenges")


@pytest.fixture
async def admin(api: Api, grace: Person) -> Api:
    return await api.login(grace)


async def left_in(db: Database) -> dict[str, int]:
    rows = await contents(db)
    return {table: len(rows[table]) for table in TABLES}


async def test_factors_codes_challenges_and_sessions_end(
    api: Api, admin: Api, enrolled: Enrolled, db: Database
) -> None:
    token = await enrolled.challenge(api)

    reset = await mutate(admin, RESET, userId=enrolled.person.id, reason="lost the phone")

    assert reset == {
        "__typename": "UserChanged",
        "user": {"email": enrolled.person.email, "factors": [], "recoveryCodesLeft": 0},
    }
    assert await left_in(db) == dict.fromkeys(TABLES, 0)
    assert await reason(api, enrolled.session.refresh_token) == "REVOKED"
    expired = await answer(api, token, recoveryCode=enrolled.codes[0])
    assert expired["__typename"] == "ChallengeExpired"
    data = await api(LOGIN, input=enrolled.person.credentials)
    assert data["login"]["__typename"] == "SignedIn"
    assert await admin(ME) == {"me": {"email": "grace@example.com"}}


async def test_it_is_an_event_with_the_reason_and_an_email(
    admin: Api, enrolled: Enrolled, db: Database, outbox: Outbox, deliver: Deliver
) -> None:
    await deliver()
    outbox.messages.clear()

    await mutate(admin, RESET, userId=enrolled.person.id, reason="  lost the phone ")
    await deliver()

    assert await db.rows(EVENT) == [(True, True, {"reason": "lost the phone"})]
    assert outbox.subjects == [(enrolled.person.email, "Your second factor was removed")]
    words = " ".join(outbox.messages[0].text.split())
    for sentence in (
        "An administrator of Portico has removed the second factor and the recovery codes",
        "signed out all of its devices",
        "If you have not asked for it, tell an administrator, and ask for a new password",
    ):
        assert sentence in words
    # The reason is for administrators to read.
    assert "lost the phone" not in words


@pytest.mark.parametrize(
    ("given", "code"), [("", "REQUIRED"), (" \n ", "REQUIRED"), ("x" * 501, "TOO_LONG")]
)
async def test_a_reason_is_needed(
    admin: Api, enrolled: Enrolled, db: Database, given: str, code: str
) -> None:
    before = await contents(db)

    refused = await mutate(admin, RESET, userId=enrolled.person.id, reason=given)

    assert refused == {
        "__typename": "InvalidInput",
        "issues": [{"path": ["reason"], "code": code}],
    }
    assert await contents(db) == before


async def test_nothing_happens_to_who_has_no_factor(
    api: Api, admin: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)
    before = await contents(db)

    for user_id, expected in ((ada.id, "UserChanged"), (NOBODY, "NotFound")):
        answered = await mutate(admin, RESET, userId=user_id, reason="lost the phone")
        assert answered["__typename"] == expected

    assert await contents(db) == before
    assert await laptop(ME) == {"me": {"email": ada.email}}


async def test_factors_of_others_stay(
    api: Api, admin: Api, enrolled: Enrolled, db: Database, clock: FakeClock
) -> None:
    eve = await api.register(Person("eve@example.com", "an apple a day 42", "Eve"))
    other = await enroll(api, db, eve, clock)

    await mutate(admin, RESET, userId=enrolled.person.id, reason="lost the phone")

    shown: Any = await other.session(FACTORS)
    assert shown["me"]["factors"][0]["id"] == other.factor_id
    assert shown["me"]["recoveryCodesLeft"] == 10
    assert await other.enter(api, totp=other.app.next_code()) == "SignedIn"


async def test_what_a_thief_had_in_hand_is_worth_nothing_after_it(
    api: Api, admin: Api, enrolled: Enrolled, db: Database
) -> None:
    """A new enrollment has a new secret; codes of the former one are wrong."""
    await mutate(admin, RESET, userId=enrolled.person.id, reason="stolen")
    again = await enroll(api, db, enrolled.person, enrolled.app.clock)

    assert await again.enter(api, totp=enrolled.app.next_code()) == "InvalidCode"
    assert await again.enter(api, recoveryCode=enrolled.codes[0]) == "InvalidCode"
    assert await again.enter(api, totp=again.app.next_code()) == "SignedIn"


async def test_a_pending_enrollment_does_not_survive(
    api: Api, admin: Api, enrolled: Enrolled, db: Database
) -> None:
    """It was begun by a session that ends, in the short time between two factors."""
    await verify(db, enrolled.person)
    query = "mutation ($id: ID!) { removeFactor(input: {factorId: $id}) { __typename } }"
    await enrolled.session(query, id=enrolled.factor_id)
    thief = await api.login(enrolled.person)
    assert (await thief(BEGIN))["beginTotpEnrollment"]["__typename"] == "TotpEnrollment"
    await enroll(api, db, enrolled.person, enrolled.app.clock)

    await mutate(admin, RESET, userId=enrolled.person.id, reason="stolen")

    assert await left_in(db) == dict.fromkeys(TABLES, 0)
    assert await reason(api, thief.refresh_token) == "REVOKED"
