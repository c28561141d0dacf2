"""Reading the tables of the audit row by row, however long they are."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

from sqlalchemy import Executable, text
from sqlalchemy.ext.asyncio import AsyncConnection

BATCH = 2000
# An event is signed by the next checkpoint, so it is hardly older than the one before that: by as
# long as its transaction took, and as clocks differ. What is older was put in later.
LEEWAY = timedelta(hours=1)
# The database refuses other times, which Python cannot hold. Whoever owns it can put some there.
READABLE = "CASE WHEN at BETWEEN '2000-01-01 00:00Z' AND '9000-01-01 00:00Z' THEN at END"
# However long the audit is, it is read as its index has it, and not sorted first.
AS_INDEXED = text("SET LOCAL enable_sort = off")
ENDS = """
    SELECT ends.key AS chain, (ends.value->>0)::bigint AS position, ends.value->>1 AS hash,
           number, at
    FROM audit_checkpoints, jsonb_each(heads) AS ends WHERE number <= :valid
"""


async def streamed(connection: AsyncConnection, statement: Executable) -> AsyncGenerator[Any]:
    options = {"yield_per": BATCH}
    result = await connection.stream(statement, execution_options=options)
    async for row in result:
        yield row
