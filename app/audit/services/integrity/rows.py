"""Reads the tables of the audit row by row, however many rows there are."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

from sqlalchemy import Executable, text
from sqlalchemy.ext.asyncio import AsyncConnection

BATCH = 2000
# An event is signed by the next checkpoint. So it is older than the checkpoint before that one by
# the duration of its transaction and the difference of clocks at most, or was inserted later.
TOLERANCE = timedelta(hours=1)
# The database refuses times that Python cannot represent, but its owner can write them.
READABLE_TIME = "CASE WHEN at BETWEEN '2000-01-01 00:00Z' AND '9000-01-01 00:00Z' THEN at END"
# Events are read in the order of an index: sorting them first would need memory for all of them.
NO_SORT = text("SET LOCAL enable_sort = off")
SIGNED_ENDS = """
    SELECT ends.key AS chain, (ends.value->>0)::bigint AS position, ends.value->>1 AS hash,
           number, at
    FROM audit_checkpoints, jsonb_each(heads) AS ends WHERE number <= :valid
"""


async def streamed(connection: AsyncConnection, statement: Executable) -> AsyncGenerator[Any]:
    options = {"yield_per": BATCH}
    result = await connection.stream(statement, execution_options=options)
    async for row in result:
        yield row
