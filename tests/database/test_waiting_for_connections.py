"""Units of work that wait for a connection get it in the order in which they began."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import text

from app.database.database import Database, connect

TASKS, TURNS = 8, 30


@pytest.fixture
async def single(migrated_url: str) -> AsyncGenerator[Database]:
    """A database with one connection: more of them finish in any order."""
    database = Database(connect(migrated_url, pool_size=1), pool_size=1)
    yield database
    await database.close()


async def test_tasks_that_never_pause_do_not_keep_others_from_a_connection(
    single: Database,
) -> None:
    asked, served = list[int](), list[int]()

    async def work(number: int) -> None:
        for _ in range(TURNS):
            asked.append(number)
            async with single.begin() as session:
                served.append(number)
                await session.execute(text("SELECT 1"))

    await asyncio.gather(*map(work, range(TASKS)))

    assert served == asked
    assert len(served) == TASKS * TURNS
