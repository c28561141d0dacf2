"""Inserting a person: the database decides who was first with an address."""

from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import models
from app.models import Role, UserRow
from app.services.identifiers import new_id
from app.services.rows import changed_user


async def new_user(  # noqa: PLR0913 - a column each
    session: AsyncSession,
    now: datetime,
    email: str,
    password_hash: str | None,
    display_name: str | None,
    *,
    role: Role = Role.MEMBER,
    email_verified: bool = False,
    signs_in: bool = False,
    open_to_registration: bool = False,
) -> UserRow | None:
    """Building block: insert the row, or None where the address is taken."""
    created = (
        insert(models.User)
        .values(
            id=new_id(now),
            email=email,
            email_verified=email_verified,
            password_hash=password_hash,
            display_name=display_name,
            role=role.value,
            created_at=now,
            updated_at=now,
            last_login_at=now if signs_in else None,
            open_to_registration=open_to_registration,
        )
        .on_conflict_do_nothing(index_elements=[models.User.email])
    )
    return await changed_user(session, created)


# No more than a registration that nobody confirmed, by whoever says that it is theirs.
UNCONFIRMED = and_(
    models.User.open_to_registration,
    models.User.email_verified.is_(False),
    models.User.last_login_at.is_(None),
)


async def awaits_its_owner(session: AsyncSession, user: UserRow) -> bool:
    """Building block: whether an account is no more than a registration that nobody confirmed.

    Anybody may have made it, in anybody's name.
    """
    if user.email_verified or user.last_login_at is not None:
        return False
    return bool(await session.scalar(select(UNCONFIRMED).where(models.User.id == user.id)))
