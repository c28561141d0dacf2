"""A module whose rows name users without a foreign key."""

import uuid

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.module import Erases, Module

ERASE = text("DELETE FROM journal WHERE author = :author")


class Journal:
    async def erase(self, session: AsyncSession, user_id: uuid.UUID) -> None:
        await session.execute(ERASE, {"author": user_id})


MODULE = Module(name="journal", services=(Journal,), erases=(Erases(Journal, Journal.erase),))
