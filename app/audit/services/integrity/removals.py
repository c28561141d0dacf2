"""Removals by retention: verifies that they were announced, and signed before that."""

import re
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.services.integrity.report import AuditReport, InvalidAudit, TrimmedEnd
from app.audit.services.integrity.rows import SIGNED_ENDS
from app.audit.services.retention import ANNOUNCEMENTS, announced_day
from app.security.keys import Secrets

# The position up to which each chain was trimmed, and which ends of it were signed.
TRIMMED_CHAINS = text(
    f"""
    SELECT c.chain, trimmed_position AS position,
           max(s.hash) FILTER (WHERE s.position = trimmed_position) AS hash,
           max(s.position) AS signed_position,
           (array_agg(s.at ORDER BY number))[1] AS signed_at
    FROM audit_chains c LEFT JOIN ({SIGNED_ENDS}) AS s ON s.chain = c.chain
    WHERE trimmed_position <> 0 GROUP BY c.chain ORDER BY c.chain
    """  # noqa: S608 - a query of ours
)
STARTS_WITH_DAY = re.compile(r"\d{4}-\d{2}-\d{2}/")


async def check_announcements(
    connection: AsyncConnection, report: AuditReport, secrets: Secrets
) -> None:
    """Verify the announcements of retention, and find the day before which events are removed."""
    for row in await connection.execute(ANNOUNCEMENTS):
        day = announced_day(row, secrets)
        if day is None and report.epoch and report.epoch.covers(row.chain, row.position):
            # Its MAC needs the former secret, so it cannot be verified any more.
            day = date.fromisoformat(row.before)
        if day is None:
            raise InvalidAudit(
                f"event {row.position} of chain {row.chain} (audit.trimmed, {row.id}) was not "
                "made by this service, or was made with another SECRET_KEY"
            )
        report.kept_since = max(day, report.kept_since or day)


async def check_trimmed_chains(connection: AsyncConnection, report: AuditReport) -> None:
    """Check that removed events were announced, and signed before they were removed."""
    rows = (await connection.execute(TRIMMED_CHAINS, {"valid": report.checkpoints})).all()
    for row in rows:
        trimmed = TrimmedEnd(row.position, row.hash and bytes.fromhex(row.hash))
        report.trimmed_chains[row.chain] = trimmed
    if not report.checkpoints_valid:
        return
    for row in rows:
        # Without a signature neither the day of a chain nor its end can be trusted.
        if row.signed_position is None or row.position > row.signed_position:
            first_unsigned = (row.signed_position or 0) + 1
            raise InvalidAudit(f"event {first_unsigned} of chain {row.chain} was removed")
        if report.kept_since is None or _day(row.chain, row.signed_at) >= report.kept_since:
            raise InvalidAudit(f"event 1 of chain {row.chain} was removed")


def _day(chain: str, signed_at: datetime) -> date:
    """Returns the day of a chain, as the function `audit_day` of the database does."""
    return date.fromisoformat(chain[:10]) if STARTS_WITH_DAY.match(chain) else signed_at.date()
