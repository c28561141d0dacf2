"""Records audit events, in the transaction of the change that they describe."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.events import EventName
from app.audit.models import WRITTEN_COLUMNS, AuditEvent
from app.database.database import Query
from app.database.identifiers import new_id
from app.security.client import Client
from app.users.services.viewer import Operator, Viewer

# A user, or an operator on the command line, who is not a user.
Actor = uuid.UUID | Operator
COMMAND_LINE = "command line"
RECORD = Query(insert(AuditEvent), columns=WRITTEN_COLUMNS)


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records the events of one operation, with its actor, client and time."""

    actor: Actor | None
    client: Client
    at: datetime

    @classmethod
    def by(cls, viewer: Viewer | Operator, client: Client, at: datetime) -> Self:
        actor = viewer if isinstance(viewer, Operator) else viewer.user.id
        return cls(actor, client, at)

    async def record(
        self,
        session: AsyncSession,
        name: EventName,
        *,
        target: uuid.UUID | None = None,
        **details: str,
    ) -> None:
        """Building block: add an event. Details are short, without secrets and addresses.

        The event of a command has no actor, but `by` in its details.

        The database appends it to a chain and locks the end of the chain until the transaction
        ends: what the transaction does afterwards must be short, and wait for no lock.
        """
        by_command = isinstance(self.actor, Operator)
        await RECORD.run(
            session,
            id=new_id(self.at),
            at=self.at,
            name=name.value,
            actor_id=None if by_command else self.actor,
            target_id=target,
            ip_address=self.client.ip_address,
            request_id=self.client.request_id,
            details=json.dumps({**details, "by": COMMAND_LINE} if by_command else details),
        )


async def erase_person(
    session: AsyncSession, user_id: uuid.UUID, *, limit: int | None = None
) -> bool:
    """Building block: erase the IP addresses of a user. The chains stay valid.

    Erases those of `limit` events at most; returns whether none is left.
    """
    table = AuditEvent
    theirs = or_(table.actor_id == user_id, table.actor_id.is_(None) & (table.target_id == user_id))
    known = select(table.id).where(theirs, table.ip_address.is_not(None)).limit(limit)
    erase = update(table).where(table.id.in_(known)).values(ip_address=None, ip_salt=None)
    erased: Any = await session.execute(erase)
    return limit is None or erased.rowcount < limit
