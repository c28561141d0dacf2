"""Audit retention: removes whole days of events, after announcing it in the audit itself."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count, takewhile
from typing import Any, NamedTuple

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.events import RetentionEvent
from app.audit.services.checkpoints import Checkpoints
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.keys.services.fleet_secrets import FleetSecrets
from app.security import evidence
from app.security.client import NO_CLIENT
from app.security.keys import Secrets, constant_time_equal, mac

LOCK = 0x7472696D  # "trim"
MAC_PURPOSE = "audit-retention"
# Each batch is a short transaction: erasing an address of one of these events waits for it.
BATCH = 1000
TODAY = text("SELECT (now() AT TIME ZONE 'UTC')::date")
ANNOUNCEMENTS = text(
    """
    SELECT details->>'before' AS before, details->>'chains' AS chains,
           details->>'events' AS events, details->>'mac' AS mac,
           e.position <= c.signed_position AS signed, e.chain, e.position, e.id
    FROM audit_events e LEFT JOIN audit_chains c ON c.chain = e.chain
    WHERE e.name = 'audit.trimmed' ORDER BY e.id
    """
)
COUNT_DUE = text(
    """
    SELECT count(*) AS chains, coalesce(sum(position - trimmed_position), 0)::bigint AS events
    FROM audit_chains WHERE trimmed_position < position AND audit_day(chain) < :before
    """
)
REMOVABLE = text(
    """
    SELECT chain FROM audit_chains
    WHERE trimmed_position < position AND signed_position = position
        AND audit_day(chain) < :before
    ORDER BY chain
    """
)
# If another worker has locked the chain, that one removes its events.
LOCK_CHAIN = text(
    """
    SELECT trimmed_position FROM audit_chains
    WHERE chain = :chain AND trimmed_position < position AND signed_position = position
    FOR UPDATE SKIP LOCKED
    """
)
# Erasing the addresses of a user locks events in another order, so waiting could be a deadlock.
# Locked events are removed next time.
LOCK_EVENTS = text(
    """
    SELECT position FROM audit_events
    WHERE chain = :chain AND position > :trimmed AND position <= :trimmed + :batch
    ORDER BY position FOR UPDATE SKIP LOCKED
    """
)
TRIM = text("UPDATE audit_chains SET trimmed_position = :position WHERE chain = :chain")
REMOVE = text("DELETE FROM audit_events WHERE chain = :chain AND position <= :position")
CAN_DELETE = text("SELECT has_table_privilege('audit_events', 'DELETE')")
NOT_ALLOWED = (
    "AUDIT_KEEP_DAYS is set, but this role may not remove events. The owner of the tables has to "
    "run `portico db grant ROLE --audit-retention`."
)

log = logging.getLogger(__name__)


class Announcement(NamedTuple):
    """The details of an event `audit.trimmed`: all chains of days before `before` are removed."""

    before: str
    chains: str
    events: str

    def macs(self, secrets: Secrets) -> list[str]:
        """Returns the MAC under each secret, in the order of the secrets."""
        text = evidence.retention_text(*self)
        return [mac(key, text).hex() for key in secrets.derive(MAC_PURPOSE)]


def announced_day(row: Row[Any], secrets: Secrets) -> date | None:
    """Returns the day before which everything is removed; None if the MAC is invalid."""
    announcement = Announcement(row.before, row.chains, row.events)
    given = (row.mac or "").encode()
    if any(constant_time_equal(given, valid.encode()) for valid in announcement.macs(secrets)):
        return date.fromisoformat(row.before)
    return None


@dataclass(frozen=True, slots=True)
class AuditRetention:
    """An event is removed with its whole day, `keep_days` after the end of that day.

    The announcement carries a MAC under SECRET_KEY: an attacker with access to the
    database alone can remove nothing that `portico audit verify` would not report.
    """

    db: Database
    checkpoints: Checkpoints
    secrets: Secrets
    fleet: FleetSecrets
    clock: Clock
    keep_days: int | None
    batch: int = BATCH

    async def apply(self) -> int:
        """Remove events older than the retention period; returns how many.

        First announces the removal, then signs the announcement, then removes: the audit is valid
        at every moment between. Several workers may do it at once; an interrupted removal goes on
        the next time.
        """
        if self.keep_days is None:
            return 0
        if not await self.is_allowed():
            log.warning(NOT_ALLOWED)
            return 0
        before = await self._announce(self.keep_days)
        await self.checkpoints.sign()
        removed = 0
        for row in await self.db.rows(REMOVABLE, {"before": await self._removable_before(before)}):
            while batch := await self._remove_batch(row.chain):
                removed += batch
        if removed:
            log.info("Removed %d audit events of days before %s", removed, before)
        return removed

    async def is_allowed(self) -> bool:
        """Whether the role of this service may remove events."""
        return (await self.db.rows(CAN_DELETE))[0][0]

    async def _announce(self, keep_days: int) -> date:
        """Announce a removal if one is due; returns the day before which to remove."""
        async with self.db.begin() as session:
            await self.lock(session)
            before = await self._today(session) - timedelta(days=keep_days)
            announced = self._latest((await session.execute(ANNOUNCEMENTS)).all())
            due = (await session.execute(COUNT_DUE, {"before": before})).one()
            is_new = announced is None or announced < before
            if due.chains and is_new and await self._may_announce(session):
                announcement = Announcement(str(before), str(due.chains), str(due.events))
                await self._record(session, announcement)
        return before

    async def lock(self, session: AsyncSession) -> None:
        """Building block: let no other process announce a removal until the transaction ends."""
        await session.execute(select(func.pg_advisory_xact_lock(LOCK)))

    async def _may_announce(self, session: AsyncSession) -> bool:
        """Whether the secret of the MAC is not revoked: otherwise the MAC could not be verified."""
        return not (await self.fleet.refresh(session)).revoked

    async def _today(self, session: AsyncSession) -> date:
        """Returns the earlier of two clocks, so that one that is ahead removes nothing too soon."""
        database_day: date = (await session.execute(TODAY)).scalar_one()
        return min(self.clock().date(), database_day)

    async def _record(self, session: AsyncSession, announcement: Announcement) -> None:
        recorder = Recorder(None, NO_CLIENT, self.clock())
        await recorder.record(
            session,
            RetentionEvent.AUDIT_TRIMMED,
            **announcement._asdict(),
            mac=announcement.macs(self.secrets)[0],
        )

    async def _removable_before(self, before: date) -> date | None:
        """Returns the earlier day of the setting and the latest signed announcement."""
        rows = await self.db.rows(ANNOUNCEMENTS)
        announced = self._latest([row for row in rows if row.signed])
        return min(announced, before) if announced else None

    def _latest(self, rows: Sequence[Row[Any]]) -> date | None:
        days = (announced_day(row, self.secrets) for row in rows)
        return max((day for day in days if day), default=None)

    async def _remove_batch(self, chain: str) -> int:
        async with self.db.begin() as session:
            locked = await session.execute(LOCK_CHAIN, {"chain": chain})
            trimmed: int | None = locked.scalar_one_or_none()
            if trimmed is None:
                return 0
            window = {"chain": chain, "trimmed": trimmed, "batch": self.batch}
            positions = (await session.execute(LOCK_EVENTS, window)).scalars()
            last = trimmed + _consecutive(positions.all(), trimmed + 1)
            if last > trimmed:
                await session.execute(TRIM, {"chain": chain, "position": last})
                await session.execute(REMOVE, {"chain": chain, "position": last})
        return last - trimmed


def _consecutive(positions: Sequence[int], first: int) -> int:
    """Returns how many positions follow each other without a gap, from the first one on."""
    pairs = zip(positions, count(first), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
