"""The audit: an event is written in the transaction of what it tells of."""

import uuid
from datetime import datetime

from sqlalchemy import insert
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
    """Building block: add an event. Details are short and hold nobody's secrets or addresses."""
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
