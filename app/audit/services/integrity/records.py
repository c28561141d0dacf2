"""Records of verifications: the result of each run, for the next run and the metrics."""

from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.models import AuditVerification
from app.audit.services.checkpoints import microseconds
from app.audit.services.integrity.report import AuditReport, InvalidAudit
from app.audit.services.integrity.rows import streamed
from app.clock import Clock
from app.database.database import Database
from app.database.identifiers import new_id
from app.security.keys import Secrets, constant_time_equal, mac

CAN_RECORD = text(
    "SELECT current_setting('transaction_read_only') = 'off'"
    " AND has_table_privilege('audit_verifications', 'INSERT')"
)
# A record of the future comes from a wrong clock, or was forged to stay the newest one.
RECORDED = "SELECT * FROM audit_verifications WHERE at <= :now"
NEWEST = text(f"{RECORDED} ORDER BY at DESC")
LONGEST_VALID = text(f"{RECORDED} AND valid ORDER BY checkpoints DESC, at DESC")
MAC_PURPOSE = "audit-verification"


@dataclass(frozen=True, slots=True)
class VerificationRecords:
    db: Database
    secrets: Secrets
    clock: Clock

    async def record(self, report: AuditReport) -> bool:
        """Record the result; returns false where that is not possible.

        It is not possible on a standby, or with a role that may only read.
        """
        if not (await self.db.rows(CAN_RECORD))[0][0]:
            return False
        now = self.clock()
        row: dict[str, Any] = {
            "id": new_id(now),
            "at": now,
            "valid": not report.findings,
            "events": report.events,
            "checkpoints": report.checkpoints,
            "latest_event_at": report.latest_event_at,
        }
        row["mac"] = record_macs(self.secrets, **row)[0]
        async with self.db.begin() as session:
            await session.execute(insert(AuditVerification), row)
        return True

    async def last(self) -> Row[Any] | None:
        """Returns the last record that was made with one of these secrets."""
        async with self.db.begin() as session:
            return await self._first(await session.connection(), NEWEST)

    async def longest_valid(self, connection: AsyncConnection) -> Row[Any] | None:
        """Returns the record of the valid audit with the most checkpoints."""
        return await self._first(connection, LONGEST_VALID)

    async def _first(self, connection: AsyncConnection, statement: TextClause) -> Row[Any] | None:
        """Returns the first record that was made with one of these secrets."""
        rows = streamed(connection, statement.bindparams(now=self.clock()))
        async with aclosing(rows):
            async for row in rows:
                if self._has_valid_mac(row):
                    return row
        return None

    def _has_valid_mac(self, row: Any) -> bool:
        macs = record_macs(
            self.secrets,
            id=row.id,
            at=row.at,
            valid=row.valid,
            events=row.events,
            checkpoints=row.checkpoints,
            latest_event_at=row.latest_event_at,
        )
        return any(constant_time_equal(row.mac, each) for each in macs)


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
    """Returns the MAC of a record under each secret, in the order of the secrets."""
    latest = "" if latest_event_at is None else microseconds(latest_event_at)
    parts = (id.bytes, microseconds(at), int(valid), events, checkpoints, latest)
    return [mac(key, *parts) for key in secrets.derive(MAC_PURPOSE)]


def check_earlier_record(earlier: Row[Any] | None, report: AuditReport) -> None:
    """Check that there is no less than an earlier valid verification report."""
    # Other findings may have the same cause.
    if earlier is None or report.findings:
        return
    when = f"the verification of {earlier.at:%Y-%m-%d %H:%M:%S} UTC"
    if report.checkpoints < earlier.checkpoints:
        raise InvalidAudit(
            f"{when} found {earlier.checkpoints} checkpoints, now there are {report.checkpoints}: "
            "the last ones were removed"
        )
    latest = earlier.latest_event_at
    if latest is None or (report.latest_event_at is not None and report.latest_event_at >= latest):
        return
    if report.kept_since is None or latest.date() >= report.kept_since:
        raise InvalidAudit(
            f"{when} found events until {latest:%Y-%m-%d %H:%M:%S} UTC: they were removed"
        )
