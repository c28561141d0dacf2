"""Administrators: there is always one left who may act."""

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
    """Nobody may remove the last administrator who can act, not even they themself."""


async def has_other_administrator(session: AsyncSession, user_id: uuid.UUID, now: datetime) -> bool:
    """Building block: whether an administrator who can act is left without this person.

    One who is suspended cannot, nor one who was invited and has no password yet.

    Whoever is about to remove one waits here for whoever else does, until that is committed: two
    administrators cannot remove each other.
    """
    await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
    others = select(User.id).where(
        User.role == Role.ADMIN.value,
        User.id != user_id,
        User.password_hash.is_not(None),
        is_active(now),
    )
    return bool(await session.scalar(select(exists(others))))
