"""Records of verifications: what each run found, for the next run and the metrics."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.models import AuditVerification
from app.audit.services.checkpoints import microseconds
from app.audit.services.integrity.findings import Broken, Walk
from app.audit.services.integrity.rows import streamed
from app.database.database import Database
from app.database.identifiers import new_id
from app.security.keys import Secrets, mac, same

RECORDABLE = text(
    "SELECT current_setting('transaction_read_only') = 'off'"
    " AND has_table_privilege('audit_verifications', 'INSERT')"
)
# Those of the future are of a wrong clock, or made to stand before all that come.
RECORDED = "SELECT * FROM audit_verifications WHERE at <= :now"
NEWEST = text(f"{RECORDED} ORDER BY at DESC")
LONGEST_VALID = text(f"{RECORDED} AND valid ORDER BY checkpoints DESC, at DESC")
RECORD = "audit-verification"


@dataclass(frozen=True, slots=True)
class VerificationRecords:
    db: Database
    secrets: Secrets
    clock: Callable[[], datetime]

    async def record(self, found: Walk) -> bool:
        """Note what was found, for the next run and the metrics; returns whether it could be.

        It cannot on a standby, nor by a role that may only read.
        """
        if not (await self.db.rows(RECORDABLE))[0][0]:
            return False
        now = self.clock()
        row: dict[str, Any] = {
            "id": new_id(now),
            "at": now,
            "valid": not found.findings,
            "events": found.events,
            "checkpoints": found.checkpoints,
            "latest_event_at": found.latest,
        }
        row["mac"] = record_macs(self.secrets, **row)[0]
        async with self.db.begin() as session:
            await session.execute(insert(AuditVerification), row)
        return True

    async def last(self) -> Row[Any] | None:
        """Returns the last verification, None if none was recorded with one of these secrets."""
        async with self.db.begin() as session:
            return await self._first(await session.connection(), NEWEST)

    async def longest_valid(self, connection: AsyncConnection) -> Row[Any] | None:
        """Returns the valid verification that found the most checkpoints."""
        return await self._first(connection, LONGEST_VALID)

    async def _first(self, connection: AsyncConnection, statement: TextClause) -> Row[Any] | None:
        """Returns the first verification that was recorded with one of these secrets."""
        rows = streamed(connection, statement.bindparams(now=self.clock()))
        async with aclosing(rows):
            async for row in rows:
                if self._is_recorded(row):
                    return row
        return None

    def _is_recorded(self, row: Any) -> bool:
        macs = record_macs(
            self.secrets,
            id=row.id,
            at=row.at,
            valid=row.valid,
            events=row.events,
            checkpoints=row.checkpoints,
            latest_event_at=row.latest_event_at,
        )
        return any(same(row.mac, each) for each in macs)


def record_macs(
    secrets: Secrets,
    *,
    id: UUID,  # noqa: A002 - the name of the column
    at: datetime,
    valid: bool,
    events: int,
    checkpoints: int,
    latest_event_at: datetime | None,
) -> list[bytes]:
    """What each secret makes of a recorded verification, the first secret's first."""
    latest = "" if latest_event_at is None else microseconds(latest_event_at)
    parts = (id.bytes, microseconds(at), int(valid), events, checkpoints, latest)
    return [mac(key, *parts) for key in secrets.derive(RECORD)]


def check_former(former: Row[Any] | None, found: Walk) -> None:
    """Notice that there is less than the last valid verification found."""
    # What cannot be told from what is broken is not said.
    if former is None or found.findings:
        return
    when = f"the verification of {former.at:%Y-%m-%d %H:%M:%S} UTC"
    if found.checkpoints < former.checkpoints:
        raise Broken(
            f"{when} found {former.checkpoints} checkpoints, now there are {found.checkpoints}: "
            "the last ones were removed"
        )
    latest = former.latest_event_at
    if latest is None or (found.latest is not None and found.latest >= latest):
        return
    if found.since is None or latest.date() >= found.since:
        raise Broken(f"{when} found events until {latest:%Y-%m-%d %H:%M:%S} UTC: they were removed")
