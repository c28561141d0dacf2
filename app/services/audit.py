"""The audit: an event is written in the transaction of what it tells of."""

import uuid
from datetime import datetime

from sqlalchemy import insert, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import models
from app.models import AuditName
from app.services.identifiers import new_id
from app.services.outcomes import Client


async def record(
    session: AsyncSession,
    now: datetime,
    name: AuditName,
    client: Client,
    *,
    actor: uuid.UUID | None = None,
    target: uuid.UUID | None = None,
    **details: str,
) -> None:
    """Building block: add an event. Details are short and hold nobody's secrets or addresses.

    The database puts it into a chain, whose end it then holds until the transaction is over: what
    is left to do afterwards must be short, and wait for nobody.
    """
    event = {
        "id": new_id(now),
        "at": now,
        "name": name.value,
        "actor_id": actor,
        "target_id": target,
        "ip_address": client.ip_address,
        "request_id": client.request_id,
        "details": details,
    }
    await session.execute(insert(models.AuditEvent), event)


async def erase_person(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Building block: forget the addresses that somebody came from. The chains still hold."""
    table = models.AuditEvent
    theirs = or_(table.actor_id == user_id, table.actor_id.is_(None) & (table.target_id == user_id))
    forgotten = update(table).where(theirs, table.ip_address.is_not(None))
    await session.execute(forgotten.values(ip_address=None, ip_salt=None))
