"""Units of work that wait for a connection get it in the order in which they began."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import text

from app.database.database import Database, connect

TASKS, TURNS = 8, 30


@pytest.fixture
async def small(migrated_url: str) -> AsyncGenerator[Database]:
    database = Database(connect(migrated_url, pool_size=5), pool_size=5)
    yield database
    await database.close()


async def test_tasks_that_never_pause_do_not_keep_others_from_a_connection(
    small: Database,
) -> None:
    done = Counter[int]()

    async def work(number: int) -> int:
        for _ in range(TURNS):
            async with small.begin() as session:
                await session.execute(text("SELECT 1"))
            done[number] += 1
        # The turns of the task that is furthest behind.
        return min(done[each] for each in range(TASKS))

    assert min(await asyncio.gather(*map(work, range(TASKS)))) >= TURNS - 2
