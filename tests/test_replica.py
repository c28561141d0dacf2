"""A streaming replica: it answers pages, and nothing that must be of this moment."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app import migrations
from app.db import Database, Query, connect
from app.errors import Unavailable
from app.main import create_app
from app.replica import Replica
from tests.clients import ME, Api, Person
from tests.postgres import Postgres, postgres, streaming_replica
from tests.settings import settings_for

ADA = Person("ada@example.com", "difference engine 1")
EVE = Person("eve@example.com", "an apple a day 42")
TOTAL = "{ users { totalCount nodes { email } } }"
IS_REPLICA = Query(select(func.pg_is_in_recovery()))
EVENTS = "{ auditEvents { nodes { name } } }"


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    with postgres() as server:
        migrations.upgrade(server.url)
        yield server


@pytest.fixture(scope="module")
def replica(primary: Postgres) -> Iterator[Postgres]:
    with streaming_replica(primary) as server:
        yield server


@pytest.fixture
async def ada(primary: Postgres, replica: Postgres) -> AsyncIterator[Api]:
    """An administrator."""
    settings = settings_for(primary.url, database_read_url=replica.url)
    app = create_app(settings)
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        await app.state.portico.appointments.first(ADA.email, ADA.password)
        yield await guest.login(ADA)


async def run(server: Postgres, statement: str) -> Any:
    database = Database(connect(server.url, pool_size=5), pool_size=5)
    rows = await database.rows(text(statement))
    await database.close()
    return rows[0][0]


async def caught_up(primary: Postgres, replica: Postgres) -> None:
    position = await run(primary, "SELECT pg_current_wal_lsn()::text")
    async with asyncio.timeout(20):
        while not await run(replica, f"SELECT pg_last_wal_replay_lsn() >= '{position}'"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_pages_come_from_the_replica_and_sessions_do_not(
    ada: Api, primary: Postgres, replica: Postgres
) -> None:
    await caught_up(primary, replica)
    await run(replica, "SELECT pg_wal_replay_pause()::text")

    await ada.register(EVE)
    eve = await ada.login(EVE)

    assert (await eve(ME), await ada(ME)) == (
        {"me": {"email": EVE.email}},
        {"me": {"email": ADA.email}},
    )
    assert await ada(TOTAL) == {"users": {"totalCount": 1, "nodes": [{"email": ADA.email}]}}
    names = [each["name"] for each in (await ada(EVENTS))["auditEvents"]["nodes"]]
    assert (len(names) > 0, "USER_REGISTERED" in names) == (True, False)
    await run(replica, "SELECT pg_wal_replay_resume()::text")


async def test_without_the_replica_the_primary_answers(ada: Api, replica: Postgres) -> None:
    before = (await ada(TOTAL))["users"]["totalCount"]
    replica.stop("immediate")
    try:
        after = await ada(TOTAL)
    finally:
        replica.start()

    assert (after["users"]["totalCount"] >= before, ada.errors) == (True, [])


async def test_only_who_asks_first_waits_for_a_replica_that_hangs(
    primary: Postgres, replica: Postgres
) -> None:
    own = Database(connect(primary.url, pool_size=5), pool_size=5)
    other = Database(connect(replica.url, pool_size=5, timeout_seconds=0.5), pool_size=5)
    both, took = Replica(own, other, rest_seconds=0.1), list[float]()
    assert await both.fetch(IS_REPLICA) == [(True,)]
    with replica.hanging():
        for _ in range(20):
            began = time.monotonic()
            assert await both.fetch(IS_REPLICA) == [(False,)]
            took.append(time.monotonic() - began)
            await asyncio.sleep(0.05)

    async with asyncio.timeout(20):
        while await both.fetch(IS_REPLICA) == [(False,)]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await both.close()
    await own.close()

    assert took[0] > 1 > max(took[1:])


class MadeAnew:
    """A database that is away, then refuses as one does that is made anew, then answers."""

    def __init__(self) -> None:
        self.faults: list[Exception] = [Unavailable("away"), PermissionError("no such role")]

    async def fetch(self, *_: object) -> list[object]:
        if self.faults:
            raise self.faults.pop(0)
        return [("replica",)]

    rows = fetch


async def test_a_replica_that_is_made_anew_comes_back(db: Database) -> None:
    made_anew: Any = MadeAnew()
    both = Replica(db, made_anew, rest_seconds=0)
    assert await both.fetch(IS_REPLICA) == [(False,)]

    async with asyncio.timeout(5):
        while await both.fetch(IS_REPLICA) != [("replica",)]:  # noqa: ASYNC110 - it comes back by itself
            await asyncio.sleep(0.01)

    assert made_anew.faults == []
