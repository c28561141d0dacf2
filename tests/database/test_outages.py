"""Outages of the database: correct errors, no partial changes, and service afterwards."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database import database as db_module
from app.database import migrations
from app.database.database import Database
from app.main import create_app
from app.testing.clients import LOGIN, ME, REGISTER, Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from app.testing.leaks import SECRETS
from app.testing.settings import settings_for
from tests.sessions.test_refreshing import REFRESH
from tests.support.postgres import Postgres, postgres

UNAVAILABLE = "The server cannot do this now. Nothing was done: try again in a moment."
FATE_UNKNOWN = "The connection broke. Check whether the operation was done before you retry."
EVE = Person("eve@example.com", "an apple a day 42")
LOGOUT_EVERYWHERE = "mutation { logoutEverywhere { sessionsEnded } }"
END_CONNECTIONS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
SESSION_TRIGGER = """
CREATE FUNCTION on_new_session() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN {body}; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER on_new_session AFTER INSERT ON sessions {when} FOR EACH ROW
    EXECUTE FUNCTION on_new_session()
"""


@asynccontextmanager
async def on_new_session(db: Database, body: str, when: str = "") -> AsyncGenerator[None]:
    """Runs a statement in the database whenever a session is inserted."""
    async with db.begin() as session:
        for statement in SESSION_TRIGGER.format(body=body, when=when).split(";\n"):
            await session.execute(text(statement))
    try:
        yield
    finally:
        async with db.begin() as session:
            await session.execute(text("DROP FUNCTION on_new_session CASCADE"))


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    with postgres() as server:
        migrations.upgrade(server.url)
        yield server


@pytest.fixture(scope="module")
async def own_app(own: Postgres) -> AsyncIterator[FastAPI]:
    app = create_app(settings_for(own.url, database_timeout_seconds=1, database_pool_size=5))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def own_api(own_app: FastAPI) -> AsyncIterator[Api]:
    async with Api.of(own_app) as guest:
        yield guest


@pytest.fixture
async def eve(own_api: Api) -> Api:
    data = await own_api(REGISTER, input=EVE.registration)
    if data["register"]["__typename"] == "SignedIn":
        return own_api.with_tokens(data["register"])
    return await own_api.login(EVE)


async def test_requests_succeed_after_every_connection_was_ended(
    api: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)
    await asyncio.gather(*(laptop(ME) for _ in range(20)), *(api.login(ada) for _ in range(5)))
    await db.rows(END_CONNECTIONS)
    await asyncio.sleep(0.1)

    answers = await asyncio.gather(*(laptop(ME) for _ in range(20)))
    phones = await asyncio.gather(*(api.login(ada) for _ in range(5)))

    assert answers == [{"me": {"email": ada.email}}] * 20
    assert (len(phones), laptop.errors) == (5, [])


async def test_an_outage_is_reported_and_ends_by_itself(own: Postgres, eve: Api) -> None:
    own.stop("immediate")
    try:
        await eve(ME)
        assert eve.last is not None
        assert eve.last.json() == {"errors": [unavailable()]}
        assert (eve.last.status_code, eve.last.headers["retry-after"]) == (503, "2")
        assert eve.last.headers["content-type"].startswith("application/graphql-response+json")
        assert await eve(LOGIN, input=EVE.credentials) is None
        assert eve.errors[0]["extensions"] == unavailable()["extensions"]
        assert (await eve.http.get("/health/ready")).status_code == 503
        assert (await eve.http.get("/health/live")).status_code == 200
    finally:
        own.start()

    assert await eve(ME) == {"me": {"email": EVE.email}}
    assert await (await eve.login(EVE))(ME) == {"me": {"email": EVE.email}}
    assert (await eve.http.get("/health/ready")).status_code == 200


async def test_an_outage_is_a_503_without_data_unless_a_part_may_have_been_done(
    own: Postgres, eve: Api
) -> None:
    async def ask(query: str, accept: str) -> tuple[int, str, dict[str, object]]:
        headers = {"accept": accept, "authorization": f"Bearer {eve.access_token}"}
        answer = await eve.http.post("/graphql", json={"query": query}, headers=headers)
        return answer.status_code, answer.headers["content-type"], answer.json()

    graphql, json = "application/graphql-response+json", "application/json"
    parts = (
        'mutation { a: updateProfile(input: {displayName: "Eve"}) { __typename }'
        f' b: login(input: {{email: "{EVE.email}", password: "{EVE.password}"}})'
        " { __typename } }"
    )
    own.stop("immediate")
    try:
        several = await ask("{ a: me { id } b: me { id } }", graphql)
        legacy = await ask("{ me { id } }", json)
        partly = await ask("{ __typename me { id } }", graphql)
        mutation = await ask(parts, graphql)
    finally:
        own.start()

    written = f"{graphql}; charset=utf-8"
    assert several == legacy == (503, written, {"errors": [unavailable()]})
    place = {"locations": [{"line": 1, "column": 14}], "path": ["me"]}
    data = {"__typename": "Query", "me": None}
    assert partly == (294, written, {"errors": [unavailable() | place], "data": data})
    assert (mutation[0], mutation[1], mutation[2]["data"]) == (294, written, None)


async def test_a_database_that_hangs_delays_requests_for_a_limited_time(
    own: Postgres, eve: Api
) -> None:
    with own.hanging():
        began = time.monotonic()
        answers = await asyncio.gather(
            *(eve(ME) for _ in range(10)), *(eve(LOGIN, input=EVE.credentials) for _ in range(10))
        )
        took = time.monotonic() - began

    assert answers == [None] * 20
    assert eve.last is not None
    assert (eve.last.status_code, took < 15) == (503, True)
    assert await eve(ME) == {"me": {"email": EVE.email}}
    assert await (await eve.login(EVE))(ME) == {"me": {"email": EVE.email}}


async def test_writers_that_wait_for_a_lock_do_not_block_readers(own: Postgres, eve: Api) -> None:
    blocker = Database(db_module.connect(own.url, pool_size=5), pool_size=5)
    async with blocker.begin() as session:
        await session.execute(text("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE"))
        logins = [asyncio.create_task(eve(LOGIN, input=EVE.credentials)) for _ in range(20)]
        await asyncio.sleep(0.3)

        assert await eve(ME) == {"me": {"email": EVE.email}}

        assert await asyncio.gather(*logins) == [None] * 20
    await blocker.close()
    assert await (await eve.login(EVE))(ME) == {"me": {"email": EVE.email}}


async def test_a_full_disk_is_reported_and_changes_nothing(api: Api, db: Database) -> None:
    before = await contents(db)
    async with on_new_session(
        db, "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'"
    ):
        data = await api(REGISTER, input=EVE.registration)

    assert (data, api.errors[0]["message"]) == (None, UNAVAILABLE)
    assert await contents(db) == before
    assert (await api.register(EVE)).email == EVE.email


async def test_an_unconfirmed_commit_is_reported_as_unknown(api: Api, db: Database) -> None:
    cut = "PERFORM pg_terminate_backend(pg_backend_pid())"
    async with on_new_session(db, cut, "DEFERRABLE INITIALLY DEFERRED"):
        data = await api(REGISTER, input=EVE.registration)

    assert (data, api.errors[0]["message"]) == (None, FATE_UNKNOWN)
    assert api.errors[0]["extensions"] == {"code": "SERVICE_UNAVAILABLE", "fate": "UNKNOWN"}
    assert api.last is not None
    assert (api.last.status_code, "retry-after" in api.last.headers) == (503, False)


async def test_an_operation_is_retried_after_a_deadlock(
    api: Api, ada: Person, db: Database
) -> None:
    laptop, phone = await api.login(ada), await api.login(ada)
    touch = text("UPDATE sessions SET user_agent = 'x' WHERE id = :id")
    ids = [row[0] for row in await db.rows(text("SELECT id FROM sessions ORDER BY created_at"))]
    async with db.begin() as session:
        # It never checks for deadlocks, so PostgreSQL cancels the other transaction.
        await session.execute(text("SET LOCAL deadlock_timeout = '1h'"))
        await session.execute(touch, {"id": ids[-1]})
        leaving = asyncio.create_task(laptop(LOGOUT_EVERYWHERE))
        await asyncio.sleep(0.3)
        for each in ids[:-1]:
            await session.execute(touch, {"id": each})

    assert await leaving == {"logoutEverywhere": {"sessionsEnded": 3}}
    assert (await phone(ME), laptop.errors) == ({"me": None}, [])


async def test_a_clock_that_is_set_back_ends_no_session(
    api: Api, ada: Person, clock: FakeClock
) -> None:
    clock.pass_(hours=2)
    laptop = await api.login(ada)

    clock.pass_(hours=-2)

    # Other services refuse a token from the future, so this one does too; the session continues.
    assert (await laptop(ME), laptop.last_code) == ({"me": None}, "UNAUTHENTICATED")
    data = await api(REFRESH, token=laptop.refresh_token)
    refreshed = api.with_tokens(data["refreshSession"])
    assert await refreshed(ME) == {"me": {"email": ada.email}}
    assert refreshed.session_id == laptop.session_id


def unavailable() -> dict[str, object]:
    return {"message": UNAVAILABLE, "extensions": {"code": "SERVICE_UNAVAILABLE", "retryAfter": 2}}


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (f"CHECK (email <> '{EVE.email}')", 'violates check constraint "test_constraint"'),
        (f"CHECK (email <> '{EVE.email}' OR email::int = 1)", "invalid value (22P02)"),
    ],
)
async def test_an_internal_error_reveals_nothing_of_its_row(
    api: Api, db: Database, caplog: pytest.LogCaptureFixture, constraint: str, words: str
) -> None:
    await alter_users(db, f"ADD CONSTRAINT test_constraint {constraint}")

    await api(REGISTER, input=EVE.registration)

    await alter_users(db, "DROP CONSTRAINT test_constraint")
    assert api.last_code == "INTERNAL_SERVER_ERROR"
    assert words in caplog.text
    assert list(SECRETS.leaks_in(caplog.text)) == []


async def alter_users(db: Database, change: str) -> None:
    async with db.begin() as session:
        await session.execute(text(f"ALTER TABLE users {change}"))
