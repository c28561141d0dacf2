"""Units of work: returning commits, and everything else leaves nothing behind."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import pytest
from sqlalchemy import TextClause, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.database import Database, Query, connect
from app.database.libpq.database_url import read_database_url
from app.errors import ConnectionLost
from tests.support.pooler import late_pooler

POOL_SIZE = 5
# How many of these connections are for units of work.
WRITERS = 2
ADD = Query(text("INSERT INTO notes VALUES (CAST(:number AS integer))"))
DIVIDE_BY_ZERO = Query(text("SELECT 1 / 0"))
SLEEP = Query(text("SELECT pg_sleep(0.5)"))
CONNECTION = Query(text("SELECT pg_backend_pid()"))
END = text("SELECT pg_terminate_backend(:connection, 5000)")
END_OWN = Query(text("SELECT pg_terminate_backend(pg_backend_pid())"))
OPEN_TRANSACTIONS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
)
NUMBERS = text("SELECT number FROM notes ORDER BY number")
INCREMENT = Query(text("UPDATE notes SET number = number + 1"))
ISOLATION = Query(text("SELECT current_setting('transaction_isolation')"))
STRICTEST_ISOLATION = text(
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation ="
    " serializable', current_database()); END $$"
)
SLEEPING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event = 'PgSleep'"
)
CONNECTIONS = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")


@pytest.fixture
async def own(empty_url: str) -> AsyncGenerator[Database]:
    database = Database(connect(empty_url, pool_size=POOL_SIZE), pool_size=POOL_SIZE)
    async with database.begin() as session:
        await session.execute(text("CREATE TABLE notes (number integer PRIMARY KEY)"))
    yield database
    await database.close()


async def numbers(database: Database) -> list[int]:
    return [number for (number,) in await database.rows(NUMBERS)]


async def fail_on_the_driver(session: AsyncSession) -> None:
    await DIVIDE_BY_ZERO.run(session)


async def fail_in_sqlalchemy(session: AsyncSession) -> None:
    await session.execute(text("SELECT 1 / 0"))


async def end_connection(session: AsyncSession) -> None:
    await END_OWN.run(session)


async def raise_error(_session: AsyncSession) -> None:
    raise KeyError


async def sleep(session: AsyncSession) -> None:
    await SLEEP.run(session)


async def sleep_in_sqlalchemy(session: AsyncSession) -> None:
    await session.execute(text("SELECT pg_sleep(0.5)"))


FAILURES = (
    fail_on_the_driver,
    fail_in_sqlalchemy,
    end_connection,
    raise_error,
    sleep,
    sleep_in_sqlalchemy,
)


async def add_and_fail(database: Database, random: Random, number: int) -> None:
    """Add a number in a unit of work that fails, or is cancelled at any time within it."""

    async def work() -> None:
        async with database.begin() as session:
            await ADD.run(session, number=number)
            await random.choice(FAILURES)(session)
            raise KeyError

    working = asyncio.create_task(work())
    await asyncio.wait({working}, timeout=random.uniform(0, 0.03))
    working.cancel()
    await asyncio.wait({working})


async def add_together(database: Database, number: int, meeting: asyncio.Barrier) -> None:
    """Add a number once as many others hold a connection as there are."""
    async with database.begin() as session:
        await meeting.wait()
        await ADD.run(session, number=number)


@pytest.mark.parametrize("fail", [fail_on_the_driver, fail_in_sqlalchemy])
async def test_a_unit_of_work_that_hides_a_failed_statement_does_not_return(
    own: Database, fail: Callable[[AsyncSession], Awaitable[None]]
) -> None:
    async def add_and_hide_a_failure() -> None:
        async with own.begin() as session:
            await ADD.run(session, number=1)
            with suppress(Exception):
                await fail(session)

    with pytest.raises(RuntimeError, match="nothing was committed"):
        await add_and_hide_a_failure()

    assert await numbers(own) == []


async def add_until_ended(database: Database, ended_by: Database, then: Query | None) -> None:
    """Add a number in a unit of work whose connection is ended before its next statement."""
    async with database.begin() as session:
        await ADD.run(session, number=1)
        ((connection,),) = await CONNECTION.run(session)
        await ended_by.rows(END, {"connection": connection})
        await asyncio.sleep(0.05)
        if then is not None:
            await then.run(session)


@pytest.mark.parametrize("then", [CONNECTION, None])
async def test_a_connection_that_ends_between_statements_is_an_outage_and_nothing_was_done(
    own: Database, then: Query | None
) -> None:
    with pytest.raises(ConnectionLost) as lost:
        await add_until_ended(own, own, then)

    assert type(lost.value) is ConnectionLost
    assert await numbers(own) == []


async def test_a_connection_whose_end_has_been_announced_is_an_outage(
    own: Database, empty_url: str
) -> None:
    (server,) = read_database_url(empty_url, {}).hosts
    async with late_pooler(server) as port, through(empty_url, port) as pooled:
        with pytest.raises(ConnectionLost) as lost:
            await add_until_ended(pooled, own, CONNECTION)

    assert type(lost.value) is ConnectionLost
    assert await numbers(own) == []


async def test_connections_opened_before_an_outage_are_closed_with_their_database(
    own: Database, empty_url: str
) -> None:
    closed = Database(connect(empty_url, pool_size=POOL_SIZE), pool_size=POOL_SIZE)
    await closed.rows(NUMBERS)
    with pytest.raises(ConnectionLost):
        await closed.fetch(END_OWN)

    await closed.close()

    await until(own, CONNECTIONS, 1)


async def test_connections_in_use_while_their_database_is_closed_are_closed_afterwards(
    own: Database, empty_url: str
) -> None:
    closed = Database(connect(empty_url, pool_size=POOL_SIZE), pool_size=POOL_SIZE)

    async def change_slowly() -> list[Sequence[Any]]:
        async with closed.begin() as session:
            return await SLEEP.run(session)

    working = asyncio.gather(closed.fetch(SLEEP), closed.change(SLEEP), change_slowly())
    await until(own, SLEEPING, 3)
    await closed.close()
    await working

    await until(own, CONNECTIONS, 1)


async def test_failed_units_of_work_lose_no_connection_and_leave_no_transaction_open(
    own: Database,
) -> None:
    random = Random(0)  # noqa: S311 - no secret

    async def fail_often(first: int) -> None:
        for number in range(first, first + 20):
            await add_and_fail(own, random, number)

    await asyncio.gather(*(fail_often(first) for first in range(0, 200, 20)))

    assert own.connections_in_use == 0
    assert await numbers(own) == []
    meeting = asyncio.Barrier(WRITERS)
    async with asyncio.timeout(5):
        await asyncio.gather(*(add_together(own, number, meeting) for number in range(WRITERS)))
    assert await numbers(own) == list(range(WRITERS))
    await until(own, OPEN_TRANSACTIONS, 0)


async def test_changes_of_one_row_wait_for_each_other_whatever_isolation_is_the_default(
    own: Database,
) -> None:
    async with own.begin() as session:
        await ADD.run(session, number=0)
        await session.execute(STRICTEST_ISOLATION)
    await own.close()

    await asyncio.gather(*(own.change(INCREMENT) for _ in range(50)))

    assert await own.change(ISOLATION) == [("serializable",)]
    assert await numbers(own) == [50]


@asynccontextmanager
async def through(url: str, port: int) -> AsyncGenerator[Database]:
    """A database, reached through a port of this machine."""
    there = make_url(url).set(host="127.0.0.1", port=port, query={})
    text_of_url = there.render_as_string(hide_password=False)
    database = Database(connect(text_of_url, pool_size=POOL_SIZE), pool_size=POOL_SIZE)
    yield database
    await database.close()


async def until(database: Database, counted: TextClause, count: int) -> None:
    """Wait until a count in the database has this value."""
    async with asyncio.timeout(5):
        while [(count,)] != await database.rows(counted):  # noqa: ASYNC110 - of the server
            await asyncio.sleep(0.01)
