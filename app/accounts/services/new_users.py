"""Inserting a user. The unique index decides which of two concurrent inserts gets an address."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.events import AccountEvent
from app.audit.services.events import Recorder, erase_person
from app.database.identifiers import new_id
from app.mail.models import OneTimeToken, TokenPurpose
from app.security.client import NO_CLIENT
from app.users.models import Role, User, UserRow
from app.users.services.rows import UNCONFIRMED, changed_user


class NewUser(NamedTuple):
    email: str
    password_hash: str | None
    display_name: str | None
    role: Role = Role.MEMBER
    email_verified: bool = False
    open_to_registration: bool = False


async def new_user(session: AsyncSession, now: datetime, new: NewUser) -> UserRow | None:
    """Building block: insert a user, or None if the address is taken.

    Replaces an unconfirmed registration of the address, unless this is a registration too.
    """
    table = User
    if not new.open_to_registration:
        await delete_unconfirmed(session, now, table.email == new.email)
    created = (
        insert(table)
        .values(
            id=new_id(now),
            email=new.email,
            email_verified=new.email_verified,
            password_hash=new.password_hash,
            display_name=new.display_name,
            role=new.role.value,
            created_at=now,
            updated_at=now,
            open_to_registration=new.open_to_registration,
        )
        .on_conflict_do_nothing(index_elements=[table.email])
    )
    user = await changed_user(session, created)
    # Checked after the insert, which has waited for concurrent changes of address.
    if user is None or not await is_reserved(session, now, user):
        return user
    await session.execute(delete(table).where(table.id == user.id))
    return None


async def is_reserved(session: AsyncSession, now: datetime, user: UserRow) -> bool:
    """Building block: whether another account may still move back to the address of a user.

    While a change of address can be undone, the former address is not free: otherwise, a thief
    could register it to prevent that.
    """
    table = OneTimeToken
    undo = exists().where(
        table.purpose == TokenPurpose.UNDO_EMAIL_CHANGE.value,
        table.email == user.email,
        table.user_id != user.id,
        table.used_at.is_(None),
        table.expires_at > now,
    )
    return bool(await session.scalar(select(undo)))


async def delete_unconfirmed(
    session: AsyncSession, now: datetime, where: ColumnElement[bool]
) -> int:
    """Building block: delete unconfirmed registrations, and return how many."""
    table = User
    deleted = await session.execute(delete(table).where(UNCONFIRMED, where).returning(table.id))
    ids = deleted.scalars().all()
    for user_id in ids:
        await erase_person(session, user_id)
    recorder, event = Recorder(None, NO_CLIENT, now), AccountEvent.USER_DELETED
    for user_id in ids:
        await recorder.record(session, event, target=user_id, reason="unconfirmed")
    return len(ids)


async def is_unconfirmed(session: AsyncSession, user: UserRow) -> bool:
    """Building block: whether the account is an unconfirmed registration.

    It may have been registered by a person who does not own the address.
    """
    if user.email_verified or user.last_login_at is not None:
        return False
    return bool(await session.scalar(select(UNCONFIRMED).where(User.id == user.id)))
