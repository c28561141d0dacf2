"""Rows that an UPDATE or DELETE returns."""

from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

Columns = tuple[InstrumentedAttribute[Any], ...]


async def changed_row(
    session: AsyncSession, change: Any, columns: Columns
) -> Row[*tuple[Any, ...]] | None:
    return (await session.execute(change.returning(*columns))).one_or_none()
