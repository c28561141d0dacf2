"""Sessions that have not proved the factor of their user: what they may not do."""

import asyncio
from typing import Any

from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from tests.support.authenticator import Enrolled, enroll

USERS = "{ users(first: 1) { totalCount } }"
REMOVE = """
mutation ($id: ID!) { removeFactor(input: {factorId: $id}) { __typename } }
"""
RENEW = "mutation { renewRecoveryCodes { codes } }"
STEP_UP = """
mutation ($code: String!) { stepUp(input: {answer: {totp: $code}}) { __typename } }
"""
WAITING = text(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def on(app: FastAPI, session: Api, query: str, **variables: Any) -> tuple[Any, str | None]:
    """Send an operation of a session to another server; returns its data and the code."""
    async with Api.of(app) as guest:
        client = guest.with_bearer(session.access_token or "")
        return await client(query, **variables), client.last_code


async def test_where_a_factor_is_required_another_session_has_to_step_up_after_the_enrollment(
    api: Api,
    db: Database,
    grace: Person,
    clock: FakeClock,
    settings: Settings,
    outbox: Outbox,
) -> None:
    """The other session may be of somebody who knows the password only."""
    other = await api.login(grace)
    app = create_app(
        settings.model_copy(update={"second_factor_required": "admins"}), clock, outbox
    )
    async with app.router.lifespan_context(app):
        assert await on(app, other, USERS) == ({"users": None}, "SECOND_FACTOR_REQUIRED")

        enrolled = await enroll(api, db, grace, clock)

        assert (await on(app, enrolled.session, USERS))[1] is None
        assert await on(app, other, USERS) == ({"users": None}, "STEP_UP_REQUIRED")
        assert (await on(app, other, ME))[1] is None
        stepped_up = await on(app, other, STEP_UP, code=enrolled.app.next_code())
        assert stepped_up == ({"stepUp": {"__typename": "SteppedUp"}}, None)
        assert (await on(app, other, USERS))[1] is None


async def test_a_session_that_the_release_before_has_started_is_not_fresh(
    api: Api, db: Database, enrolled: Enrolled
) -> None:
    """Its servers ask for no factor, and do not say by what a session was started."""
    session = await enrolled.sign_in(api)
    async with db.begin() as transaction:
        await transaction.execute(text("UPDATE sessions SET methods = DEFAULT"))

    assert await session(RENEW) == {"renewRecoveryCodes": None}

    assert session.last_code == "STEP_UP_REQUIRED"


async def test_a_session_that_ends_while_it_waits_removes_no_factor(
    db: Database, enrolled: Enrolled
) -> None:
    session = enrolled.session
    async with db.begin() as other:
        await other.execute(text("SELECT id FROM users FOR UPDATE"))
        removal = asyncio.create_task(session(REMOVE, id=enrolled.factor_id))
        while not await db.rows(WAITING):  # noqa: ASYNC110 - of the server
            await asyncio.sleep(0.01)
        await other.execute(
            text("UPDATE sessions SET ended_at = now(), end_reason = 'PASSWORD_CHANGED'")
        )

    assert await removal == {"removeFactor": None}
    assert session.last_code == "UNAUTHENTICATED"
    assert (await db.rows(text("SELECT count(*) FROM factors")))[0][0] == 1
