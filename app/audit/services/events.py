"""The audit: an event is written in the transaction of what it tells of."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.models import AuditEvent, AuditName
from app.database.identifiers import new_id
from app.security.client import Client
from app.users.services.viewer import Admin, Operator

# Who did something: a user, or whoever runs commands, who is no user.
Actor = uuid.UUID | Operator
COMMAND_LINE = "command line"


def actor_of(by: Admin | Operator) -> Actor:
    return by if isinstance(by, Operator) else by.user.id


async def record(
    session: AsyncSession,
    now: datetime,
    name: AuditName,
    client: Client,
    *,
    actor: Actor | None = None,
    target: uuid.UUID | None = None,
    **details: str,
) -> None:
    """Building block: add an event. Details are short and hold nobody's secrets or addresses.

    What a command did has no actor, and says `by` in its details.

    The database puts it into a chain, whose end it then holds until the transaction is over: what
    is left to do afterwards must be short, and wait for nobody.
    """
    by_command = isinstance(actor, Operator)
    event = {
        "id": new_id(now),
        "at": now,
        "name": name.value,
        "actor_id": None if by_command else actor,
        "target_id": target,
        "ip_address": client.ip_address,
        "request_id": client.request_id,
        "details": {**details, "by": COMMAND_LINE} if by_command else details,
    }
    await session.execute(insert(AuditEvent), event)


async def erase_person(
    session: AsyncSession, user_id: uuid.UUID, *, most: int | None = None
) -> bool:
    """Building block: forget the addresses that somebody came from. The chains still hold.

    Of `most` events at a time; returns whether none is left.
    """
    table = AuditEvent
    theirs = or_(table.actor_id == user_id, table.actor_id.is_(None) & (table.target_id == user_id))
    known = select(table.id).where(theirs, table.ip_address.is_not(None)).limit(most)
    forgotten = update(table).where(table.id.in_(known)).values(ip_address=None, ip_salt=None)
    erased: Any = await session.execute(forgotten)
    return most is None or erased.rowcount < most
