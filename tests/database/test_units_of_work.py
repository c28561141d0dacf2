"""Units of work: returning commits, and everything else leaves nothing behind."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import pytest
from sqlalchemy import TextClause, make_url, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.database import Database, Query, connect
from app.database.libpq.database_url import read_database_url
from app.errors import ConnectionLost
from tests.support.pooler import late_pooler

POOL_SIZE = 5
ADD = Query(text("INSERT INTO notes VALUES (CAST(:number AS integer))"))
DIVIDE_BY_ZERO = Query(text("SELECT 1 / 0"))
SLEEP = Query(text("SELECT pg_sleep(0.5)"))
CONNECTION = Query(text("SELECT pg_backend_pid()"))
END = text("SELECT pg_terminate_backend(:connection, 5000)")
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


@pytest.mark.parametrize("fail", [fail_on_the_driver, fail_in_sqlalchemy])
async def test_a_unit_of_work_that_hides_a_failed_statement_does_not_return(
    own: Database, fail: object
) -> None:
    assert callable(fail)

    with pytest.raises(RuntimeError, match="nothing was committed"):
        async with own.begin() as session:
            await ADD.run(session, number=1)
            with suppress(Exception):
                await fail(session)

    assert await numbers(own) == []


@pytest.mark.parametrize("then", [CONNECTION, None])
async def test_a_connection_that_ends_between_statements_is_an_outage_and_nothing_was_done(
    own: Database, then: Query | None
) -> None:
    with pytest.raises(ConnectionLost) as lost:
        async with own.begin() as session:
            await ADD.run(session, number=1)
            ((connection,),) = await CONNECTION.run(session)
            await own.rows(END, {"connection": connection})
            await asyncio.sleep(0.05)
            if then is not None:
                await then.run(session)

    assert type(lost.value) is ConnectionLost
    assert await numbers(own) == []


async def test_a_connection_whose_end_has_been_announced_is_an_outage(
    own: Database, empty_url: str
) -> None:
    (server,) = read_database_url(empty_url, {}).hosts
    async with late_pooler(server) as port, through(empty_url, port) as pooled:
        with pytest.raises(ConnectionLost) as lost:
            async with pooled.begin() as session:
                ((connection,),) = await CONNECTION.run(session)
                await own.rows(END, {"connection": connection})
                await asyncio.sleep(0.05)
                await CONNECTION.run(session)

    assert type(lost.value) is ConnectionLost


async def test_connections_in_use_while_their_database_is_closed_are_closed_afterwards(
    own: Database, empty_url: str
) -> None:
    closed = Database(connect(empty_url, pool_size=POOL_SIZE), pool_size=POOL_SIZE)

    async def change_slowly() -> None:
        async with closed.begin() as session:
            await SLEEP.run(session)

    working = [
        asyncio.create_task(closed.fetch(SLEEP)),
        asyncio.create_task(closed.change(SLEEP)),
        asyncio.create_task(change_slowly()),
    ]
    await until(own, SLEEPING, 3)
    await closed.close()
    await asyncio.gather(*working)

    await until(own, CONNECTIONS, 1)


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
        while [(count,)] != await database.rows(counted):
            await asyncio.sleep(0.01)
