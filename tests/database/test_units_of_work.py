"""Units of work: returning commits, and everything else leaves nothing behind."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.database import Database, Query, connect
from app.errors import ConnectionLost

POOL_SIZE = 5
ADD = Query(text("INSERT INTO notes VALUES (CAST(:number AS integer))"))
DIVIDE_BY_ZERO = Query(text("SELECT 1 / 0"))
SLEEP = Query(text("SELECT pg_sleep(0.1)"))
CONNECTION = Query(text("SELECT pg_backend_pid()"))
END = text("SELECT pg_terminate_backend(:connection, 5000)")
NUMBERS = text("SELECT number FROM notes ORDER BY number")
OTHER_CONNECTIONS = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


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
