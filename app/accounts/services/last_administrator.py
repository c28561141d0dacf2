"""The last administrator: one who is active and has a password always remains."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.users.models import Role, User
from app.users.services.rows import is_active

LOCK = 0x6C617374  # "last"


@dataclass(frozen=True, slots=True)
class LastAdministrator:
    """The change was refused: no other administrator is active and has a password."""


async def has_other_administrator(session: AsyncSession, user_id: uuid.UUID, now: datetime) -> bool:
    """Building block: whether another administrator is active and has a password.

    Those who were invited have no password yet. Takes a lock until the end of the transaction, so
    that two administrators cannot remove each other at the same time.
    """
    await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    others = select(User.id).where(
        User.role == Role.ADMIN.value,
        User.id != user_id,
        User.password_hash.is_not(None),
        is_active(now),
    )
    return bool(await session.scalar(select(exists(others))))
