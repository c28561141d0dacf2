"""Reading a `SessionRow` from the database."""

from sqlalchemy import Update
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.rows import Columns, changed_row
from app.sessions.models import Session, SessionRow

SESSION_COLUMNS: Columns = tuple(getattr(Session, name) for name in SessionRow._fields)


async def changed_session(session: AsyncSession, change: Insert | Update) -> SessionRow | None:
    """Make a change and return the row after it; None if no row was changed."""
    row = await changed_row(session, change, SESSION_COLUMNS)
    return SessionRow._make(row) if row else None
