"""A streaming replica: it answers pages while it is usable, and nothing that must be current."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.database import migrations
from app.database.database import Database, connect
from app.database.libpq.database_url import read_database_url
from app.database.replica import BEHIND, NO_ANSWER, NOT_A_STANDBY
from app.database.replica_lag import ReplicaLag, WalPosition
from app.main import READING_SECONDS, create_app
from app.people.services.administrator_accounts import AdministratorAccounts
from app.testing.clients import ME, Api, Person
from app.testing.databases import on_server
from app.testing.settings import settings_for
from tests.support.pooler import refusing_pooler
from tests.support.postgres import Postgres, postgres, streaming_replica
from tests.support.servers import free_port

ADA = Person("ada@example.com", "difference engine 1")
EVE = Person("eve@example.com", "an apple a day 42")
TOTAL = "{ users { totalCount nodes { email } } }"
PAGE = "query Page { users { nodes { email } } }"
EVENTS = "{ auditEvents { nodes { name } } }"
NOT_USED = "The replica is not used, the primary answers: {reason}"
IN_USE = "The replica is in use."
TIMEOUT_SECONDS = 30
END_CONNECTIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'portico'"
IS_LOCKED = (
    "SELECT count(*) > 0 FROM pg_locks"
    " WHERE relation = 'audit_events'::regclass AND mode = 'AccessExclusiveLock'"
)


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    with postgres() as server:
        migrations.upgrade(server.url)
        yield server


@pytest.fixture(scope="module")
def replica(primary: Postgres) -> Iterator[Postgres]:
    with streaming_replica(primary) as server:
        yield server


@asynccontextmanager
async def administrator(primary: Postgres, read_url: str, **changes: Any) -> AsyncGenerator[Api]:
    """An administrator who asks for pages, which the server may read from the replica."""
    settings = settings_for(primary.url, database_read_url=read_url, **changes)
    app = create_app(settings)
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        await app.state.portico.services[AdministratorAccounts].create_first(
            ADA.email, ADA.password
        )
        ada = await guest.login(ADA)
        yield ada


@pytest.fixture
async def ada(
    primary: Postgres, replica: Postgres, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Api]:
    async with administrator(primary, replica.url) as person:
        await wait_for_log(caplog, IN_USE)
        yield person


async def run(server: Postgres, statement: str) -> Any:
    database = Database(connect(server.url, pool_size=5), pool_size=5)
    rows = await database.rows(text(statement))
    await database.close()
    return rows[0][0]


async def until(reached: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await reached():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.05)


async def wait_for_log(caplog: pytest.LogCaptureFixture, message: str) -> None:
    """Wait until the log has this message, and clear it."""

    async def is_logged() -> bool:
        return message in caplog.messages

    await until(is_logged)
    caplog.clear()


async def caught_up(primary: Postgres, replica: Postgres) -> None:
    position = await run(primary, "SELECT pg_current_wal_lsn()::text")

    async def is_there() -> bool:
        return await run(replica, f"SELECT pg_last_wal_replay_lsn() >= '{position}'")

    await until(is_there)


@asynccontextmanager
async def paused(primary: Postgres, replica: Postgres) -> AsyncGenerator[None]:
    """Pauses the replay, so that pages of the replica differ from those of the primary."""
    await caught_up(primary, replica)
    await run(replica, "SELECT pg_wal_replay_pause()::text")
    try:
        yield
    finally:
        await run(replica, "SELECT pg_wal_replay_resume()::text")


async def emails(ada: Api) -> list[str]:
    page = await ada(PAGE)
    assert ada.errors == []
    return sorted(node["email"] for node in page["users"]["nodes"])


async def registered(ada: Api, name: str) -> str:
    """Register a user; returns their address."""
    person = await ada.register(Person(f"{name}@example.com", "an apple a day 42"))
    return person.email


async def test_pages_come_from_the_replica_and_sessions_do_not(
    ada: Api, primary: Postgres, replica: Postgres
) -> None:
    async with paused(primary, replica):
        await ada.register(EVE)
        eve = await ada.login(EVE)

        assert (await eve(ME), await ada(ME)) == (
            {"me": {"email": EVE.email}},
            {"me": {"email": ADA.email}},
        )
        assert await ada(TOTAL) == {"users": {"totalCount": 1, "nodes": [{"email": ADA.email}]}}
        names = [each["name"] for each in (await ada(EVENTS))["auditEvents"]["nodes"]]
        assert (len(names) > 0, "user.registered" in names) == (True, False)


async def test_the_primary_answers_while_the_replica_is_down(
    ada: Api, primary: Postgres, replica: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    replica.stop("immediate")
    try:
        gone = await registered(ada, "gone")
        assert gone in await emails(ada)
        assert [each for each in caplog.messages if each.startswith("The replica is not used")]
    finally:
        replica.start()

    await wait_for_log(caplog, IN_USE)
    async with paused(primary, replica):
        later = await registered(ada, "later")
        assert gone in await emails(ada)
        assert later not in await emails(ada)


async def test_a_replica_that_hangs_is_detected_once_and_the_primary_answers(
    ada: Api, replica: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    hung = await registered(ada, "hung")
    with replica.hanging():
        pages = await asyncio.gather(*(emails(ada) for _ in range(10)))
        assert [hung in page for page in pages] == [True] * 10
        assert caplog.messages.count(NOT_USED.format(reason=NO_ANSWER)) == 1
        await asyncio.gather(*(emails(ada) for _ in range(10)))
        assert caplog.messages.count(NOT_USED.format(reason=NO_ANSWER)) == 1

    await wait_for_log(caplog, IN_USE)


async def test_a_slow_page_is_not_mistaken_for_a_replica_that_hangs(
    ada: Api, primary: Postgres, replica: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    async def is_locked() -> bool:
        return await run(replica, IS_LOCKED)

    database = Database(connect(primary.url, pool_size=5), pool_size=5)
    async with database.begin() as session:
        # The lock is replayed on the replica once another commit has sent it there.
        await session.execute(text("LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE"))
        await on_server(primary.url, "SELECT pg_logical_emit_message(true, 'portico', '')")
        await until(is_locked)
        page = asyncio.create_task(ada(EVENTS))
        await asyncio.sleep(2)
        assert not page.done()
    await database.close()

    assert len((await page)["auditEvents"]["nodes"]) > 0
    assert [each for each in caplog.messages if "replica" in each] == []


@pytest.fixture
async def portico_role(primary: Postgres, replica: Postgres) -> str:
    """The URL of the replica for a separate role."""
    await on_server(primary.url, "CREATE ROLE portico LOGIN PASSWORD 'horse-battery-8'")
    await on_server(primary.url, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO portico")
    await caught_up(primary, replica)
    return replica.url.replace("postgres@", "portico:horse-battery-8@")


async def test_the_primary_answers_while_the_replica_refuses_the_role(
    primary: Postgres,
    replica: Postgres,
    portico_role: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with administrator(primary, portico_role) as ada:
        await wait_for_log(caplog, IN_USE)
        await on_server(primary.url, "ALTER ROLE portico NOLOGIN")
        await caught_up(primary, replica)
        await run(replica, END_CONNECTIONS)

        refused = await registered(ada, "refused")
        assert refused in await emails(ada)
        said = 'role "portico" is not permitted to log in (28000)'
        await wait_for_log(caplog, NOT_USED.format(reason=said))
        assert refused in await emails(ada)

        await on_server(primary.url, "ALTER ROLE portico LOGIN")
        await wait_for_log(caplog, IN_USE)


async def test_a_replica_is_not_read_while_it_is_too_far_behind(
    primary: Postgres, replica: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    async with administrator(primary, replica.url, database_read_max_lag_seconds=1) as ada:
        await wait_for_log(caplog, IN_USE)
        async with paused(primary, replica):
            behind = await registered(ada, "behind")
            assert behind not in await emails(ada)
            await wait_for_log(caplog, NOT_USED.format(reason=BEHIND.format(seconds=1)))
            assert behind in await emails(ada)

        await wait_for_log(caplog, IN_USE)


async def test_a_replica_that_was_promoted_is_not_read(
    primary: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    with streaming_replica(primary) as promoted:
        async with administrator(primary, promoted.url) as ada:
            await wait_for_log(caplog, IN_USE)
            promoted.run("pg_ctl", "-w", "-D", str(promoted.directory), "promote")
            await wait_for_log(caplog, NOT_USED.format(reason=NOT_A_STANDBY))
            await on_server(promoted.url, "UPDATE users SET email = 'parted-' || email")

            assert [email for email in await emails(ada) if email.startswith("parted")] == []


async def test_a_primary_is_not_used_as_a_replica(
    primary: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    async with administrator(primary, primary.url) as ada:
        await wait_for_log(caplog, NOT_USED.format(reason=NOT_A_STANDBY))
        assert ADA.email in await emails(ada)


async def test_a_replica_behind_a_pooler_is_read_except_during_outages(
    primary: Postgres, replica: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    host = read_database_url(replica.url, os.environ).hosts[0]
    async with (
        refusing_pooler(host) as port,
        administrator(primary, f"postgresql://postgres@127.0.0.1:{port}/postgres") as ada,
    ):
        await wait_for_log(caplog, IN_USE)
        async with paused(primary, replica):
            pooled = await registered(ada, "pooled")
            assert pooled not in await emails(ada)
            with replica.hanging():
                assert pooled in await emails(ada)
                await wait_for_log(caplog, NOT_USED.format(reason=NO_ANSWER))
        await wait_for_log(caplog, IN_USE)


async def test_metrics_show_whether_the_replica_is_read_and_its_lag(
    primary: Postgres, replica: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"127.0.0.1:{free_port()}"
    lag = {"database_read_max_lag_seconds": 2, "management_address": address}
    async with administrator(primary, replica.url, **lag) as ada:
        await wait_for_log(caplog, IN_USE)
        await until(lambda: metrics_show(address, in_use=1, at_least=0))
        async with paused(primary, replica):
            await registered(ada, "measured")
            await until(lambda: metrics_show(address, in_use=0, at_least=2))


async def metrics_show(address: str, *, in_use: int, at_least: float) -> bool:
    metrics = await replica_metrics(address)
    if metrics.keys() != {"portico_replica_in_use", "portico_replica_lag_seconds"}:
        return False
    is_in_use, lag = metrics["portico_replica_in_use"], metrics["portico_replica_lag_seconds"]
    return is_in_use == in_use and lag >= at_least


async def replica_metrics(address: str) -> dict[str, float]:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"http://{address}/metrics")).text
    samples = [line.split() for line in text.splitlines() if line.startswith("portico_replica")]
    return {name: float(value) for name, value in samples}


async def test_without_a_replica_there_are_no_metrics_of_it(primary: Postgres) -> None:
    address = f"127.0.0.1:{free_port()}"
    app = create_app(settings_for(primary.url, management_address=address))
    async with app.router.lifespan_context(app):
        await asyncio.sleep(READING_SECONDS + 1)
        assert await replica_metrics(address) == {}


POSITIONS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 50)), min_size=1, max_size=50)


@given(POSITIONS)
def test_the_lag_is_the_age_of_the_first_missing_change(steps: list[tuple[int, int]]) -> None:
    """Each second the primary writes bytes, of which the replica lacks some at the end."""
    lag, history, complete = ReplicaLag(), list[WalPosition](), list[float]()
    written = 0
    for second, (more, missing) in enumerate(steps):
        written += more
        replayed = written - missing
        history.append(WalPosition(float(second), written))
        complete += [each.moment for each in history if each.position <= replayed]

        lag.compare(history[-1], replayed, None)

        assert lag.seconds(float(second)) == (second - max(complete) if complete else None)


def test_a_replica_that_has_all_of_an_idle_primary_is_not_behind() -> None:
    lag = ReplicaLag()
    for second in range(10_000):
        lag.compare(WalPosition(float(second), 7), 7, replay_age=5000.0 + second)
    assert lag.seconds(10_000.0) == 1.0


def test_changes_that_a_new_primary_has_lost_are_not_missing() -> None:
    lag = ReplicaLag()
    lag.compare(WalPosition(0.0, 10), 10, None)
    lag.compare(WalPosition(1.0, 100), 10, None)
    lag.compare(WalPosition(2.0, 50), 50, None)
    assert lag.seconds(3.0) == 1.0
