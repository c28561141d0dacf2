"""Rows that an INSERT, UPDATE or DELETE returns."""

from typing import Any

from sqlalchemy import Row, UpdateBase
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

Columns = tuple[InstrumentedAttribute[Any], ...]


def returning(change: Any, columns: Columns) -> UpdateBase:
    """Returns a change that returns these columns, which SQLAlchemy does not type."""
    return change.returning(*columns)


async def changed_row(
    session: AsyncSession, change: Any, columns: Columns
) -> Row[*tuple[Any, ...]] | None:
    rows: Any = await session.execute(returning(change, columns))
    return rows.one_or_none()
