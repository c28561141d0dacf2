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
from app.security.keys import Secrets, mac, same

LOCK = 0x7472696D  # "trim"
PURPOSE = "audit-retention"
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
COUNTED = text(
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
# Another worker that holds it removes its events.
HOLD_CHAIN = text(
    """
    SELECT trimmed_position FROM audit_chains
    WHERE chain = :chain AND trimmed_position < position AND signed_position = position
    FOR UPDATE SKIP LOCKED
    """
)
# Erasing the addresses of a person locks events in another order, so waiting for it could be a
# deadlock. Events that are locked are removed next time.
HOLD_EVENTS = text(
    """
    SELECT position FROM audit_events
    WHERE chain = :chain AND position > :trimmed AND position <= :trimmed + :batch
    ORDER BY position FOR UPDATE SKIP LOCKED
    """
)
TRIM = text("UPDATE audit_chains SET trimmed_position = :position WHERE chain = :chain")
REMOVE = text("DELETE FROM audit_events WHERE chain = :chain AND position <= :position")
ALLOWED = text("SELECT has_table_privilege('audit_events', 'DELETE')")
NOT_ALLOWED = (
    "AUDIT_KEEP_DAYS is set, and this role may not remove events. Let the owner of the tables run "
    "`portico db grant ROLE --audit-retention`."
)

log = logging.getLogger(__name__)


class Announcement(NamedTuple):
    """What `audit.trimmed` says: all chains of days before this one are removed."""

    before: str
    chains: str
    events: str

    def macs(self, secrets: Secrets) -> list[str]:
        """What each secret makes of it, the first secret's first."""
        said = evidence.retention_text(*self)
        return [mac(key, said).hex() for key in secrets.derive(PURPOSE)]


def announced_day(row: Row[Any], secrets: Secrets) -> date | None:
    """Day before which an announcement covers everything; None if this service did not make it."""
    announcement = Announcement(row.before, row.chains, row.events)
    given = (row.mac or "").encode()
    if any(same(given, known.encode()) for known in announcement.macs(secrets)):
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
        """Remove what is older than the retention period; returns how many events.

        Announces first, signs that, then removes: the audit can be verified at any moment between.
        Several workers may do it at once; whatever interrupts it, the next time goes on.
        """
        if self.keep_days is None:
            return 0
        if not await self.is_allowed():
            log.warning(NOT_ALLOWED)
            return 0
        before = await self._announce(self.keep_days)
        await self.checkpoints.sign()
        removed = 0
        for row in await self.db.rows(REMOVABLE, {"before": await self._covered(before)}):
            while batch := await self._remove_batch(row.chain):
                removed += batch
        if removed:
            log.info("Removed %d audit events of days before %s", removed, before)
        return removed

    async def is_allowed(self) -> bool:
        """Whether the role of this service may remove events."""
        return (await self.db.rows(ALLOWED))[0][0]

    async def _announce(self, keep_days: int) -> date:
        """Announce what can go from now on, if there is any; returns the day before which."""
        async with self.db.begin() as session:
            await self.hold(session)
            before = await self._today(session) - timedelta(days=keep_days)
            announced = self._latest((await session.execute(ANNOUNCEMENTS)).all())
            counted = (await session.execute(COUNTED, {"before": before})).one()
            due = counted.chains and (announced is None or announced < before)
            if due and await self._may_announce(session):
                said = Announcement(str(before), str(counted.chains), str(counted.events))
                await self._record(session, said)
        return before

    async def hold(self, session: AsyncSession) -> None:
        """Building block: let nobody else announce a removal until the transaction is over."""
        await session.execute(select(func.pg_advisory_xact_lock(LOCK)))

    async def _may_announce(self, session: AsyncSession) -> bool:
        """Whether the secret that makes the MAC is in force: nobody could verify it otherwise."""
        return not (await self.fleet.look(session)).revoked

    async def _today(self, session: AsyncSession) -> date:
        """The earlier one of two clocks: one that is ahead removes nothing too soon."""
        database_day: date = (await session.execute(TODAY)).scalar_one()
        return min(self.clock().date(), database_day)

    async def _record(self, session: AsyncSession, said: Announcement) -> None:
        recorder, proof = Recorder(None, NO_CLIENT, self.clock()), said.macs(self.secrets)[0]
        event = RetentionEvent.AUDIT_TRIMMED
        await recorder.record(session, event, **said._asdict(), mac=proof)

    async def _covered(self, before: date) -> date | None:
        """What both the setting and a signed announcement allow."""
        rows = await self.db.rows(ANNOUNCEMENTS)
        announced = self._latest([row for row in rows if row.signed])
        return min(announced, before) if announced else None

    def _latest(self, rows: Sequence[Row[Any]]) -> date | None:
        days = (announced_day(row, self.secrets) for row in rows)
        return max((day for day in days if day), default=None)

    async def _remove_batch(self, chain: str) -> int:
        async with self.db.begin() as session:
            held = await session.execute(HOLD_CHAIN, {"chain": chain})
            trimmed: int | None = held.scalar_one_or_none()
            if trimmed is None:
                return 0
            window = {"chain": chain, "trimmed": trimmed, "batch": self.batch}
            positions = (await session.execute(HOLD_EVENTS, window)).scalars()
            last = trimmed + _unbroken(positions.all(), trimmed + 1)
            if last > trimmed:
                await session.execute(TRIM, {"chain": chain, "position": last})
                await session.execute(REMOVE, {"chain": chain, "position": last})
        return last - trimmed


def _unbroken(positions: Sequence[int], first: int) -> int:
    """How many of them follow each other from the first on."""
    pairs = zip(positions, count(first), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
