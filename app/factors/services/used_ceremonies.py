"""Ceremonies of passkeys that were used: each works once, also if it was refused."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock
from app.database.database import Database
from app.factors.models import UsedCeremony
from app.security.ceremonies import LIFETIME
from app.security.keys import constant_time_equal, digest
from app.sessions.models import Session
from app.sessions.services.refresh import GRACE

PURGE_BATCH = 1000
# Longer than any server accepts the ceremony, whose clock may be behind.
KEPT_FOR = 2 * LIFETIME


class Use(NamedTuple):
    """When and with what a ceremony was used, and for which session."""

    used_at: datetime
    used_with: bytes | None
    session_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class UsedCeremonies:
    db: Database
    clock: Clock

    async def use(self, session: AsyncSession, token: str) -> bool:
        """Building block: use a ceremony up. False if it was used before.

        Of several requests that use it at once one succeeds; the others wait for its transaction.
        Whatever a client sends as a token is stored, so that refusals take the same time.
        """
        table, now = UsedCeremony, self.clock()
        used = (
            insert(table)
            .values(token_hash=digest(token), used_at=now, expires_at=now + KEPT_FOR)
            .on_conflict_do_nothing()
            .returning(table.used_at)
        )
        return await session.scalar(used) is not None

    async def use_in_vain(self, token: str) -> None:
        """Use a ceremony up for something that is refused."""
        async with self.db.begin() as session:
            await self.use(session, token)

    async def succeed(
        self, session: AsyncSession, token: str, session_id: uuid.UUID, used_with: bytes
    ) -> None:
        """Building block: remember with what a ceremony was used, and for which session."""
        used = update(UsedCeremony).where(UsedCeremony.token_hash == digest(token))
        await session.execute(used.values(used_with=used_with, session_id=session_id))

    async def find(self, token: str) -> Use | None:
        """Returns how a ceremony was used; None if it was not."""
        rows = await self.db.rows(_found(token))
        return Use._make(rows[0]) if rows else None

    async def is_repeated(
        self, session: AsyncSession, token: str, session_id: uuid.UUID, used_with: bytes
    ) -> bool:
        """Building block: whether a session has used a ceremony with the same in 30 seconds.

        And whether that proof still suffices: it may have to step up again since. For a double
        click, or a client that repeats a request whose answer was lost.
        """
        row = (await session.execute(_found(token))).one_or_none()
        if row is None:
            return False
        use = Use._make(row)
        is_recent = use.used_at > self.clock() - GRACE
        is_same = constant_time_equal(use.used_with or b"", used_with)
        if use.session_id != session_id or not is_recent or not is_same:
            return False
        suffices = exists().where(Session.id == session_id, Session.must_step_up.is_(False))
        return bool(await session.scalar(select(suffices)))

    async def purge(self) -> None:
        """Delete what has expired, in batches."""
        table = UsedCeremony
        while True:
            expired = (
                select(table.token_hash)
                .where(table.expires_at <= self.clock())
                .limit(PURGE_BATCH)
                .with_for_update(skip_locked=True)
            )
            async with self.db.begin() as session:
                deleted = delete(table).where(table.token_hash.in_(expired))
                rows = await session.execute(deleted.returning(table.token_hash))
                batch = len(rows.all())
            if batch < PURGE_BATCH:
                return


def _found(token: str) -> Select[*tuple[Any, ...]]:
    columns = (getattr(UsedCeremony, name) for name in Use._fields)
    return select(*columns).where(UsedCeremony.token_hash == digest(token))
