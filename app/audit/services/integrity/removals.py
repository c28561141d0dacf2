"""Whether retention has announced what it removed, and it was signed before that."""

import re
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.services.integrity.findings import Broken, Stump, Walk
from app.audit.services.integrity.rows import ENDS
from app.audit.services.retention import ANNOUNCEMENTS, announced_day
from app.security.keys import Secrets

# Where the events of a chain that was trimmed begin, and what was signed of it.
TRIMMED = text(
    f"""
    SELECT c.chain, trimmed_position AS position,
           max(s.hash) FILTER (WHERE s.position = trimmed_position) AS hash,
           max(s.position) AS signed_position,
           (array_agg(s.at ORDER BY number))[1] AS signed_at
    FROM audit_chains c LEFT JOIN ({ENDS}) AS s ON s.chain = c.chain
    WHERE trimmed_position <> 0 GROUP BY c.chain ORDER BY c.chain
    """  # noqa: S608 - a query of ours
)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}/")


async def check_announcements(connection: AsyncConnection, found: Walk, secrets: Secrets) -> None:
    """Find the day before which everything may be missing."""
    for row in await connection.execute(ANNOUNCEMENTS):
        day = announced_day(row, secrets)
        if day is None and found.epoch and found.epoch.covers(row.chain, row.position):
            # Of the former secret. Whether it was made by this service cannot be told any more.
            day = date.fromisoformat(row.before)
        if day is None:
            raise Broken(
                f"event {row.position} of chain {row.chain} (audit.trimmed, {row.id}) was not "
                "made by this service, or with another SECRET_KEY"
            )
        found.since = max(day, found.since or day)


async def check_stumps(connection: AsyncConnection, found: Walk) -> None:
    """Check that what was removed was announced, and signed before it was removed."""
    rows = (await connection.execute(TRIMMED, {"valid": found.checkpoints})).all()
    for row in rows:
        found.trimmed[row.chain] = Stump(row.position, row.hash and bytes.fromhex(row.hash))
    if not found.checkpoints_valid:
        return
    for row in rows:
        # What was never signed has no day that can be trusted, and no end.
        if row.signed_position is None or row.position > row.signed_position:
            raise Broken(f"event {(row.signed_position or 0) + 1} of chain {row.chain} was removed")
        if found.since is None or _day(row.chain, row.signed_at) >= found.since:
            raise Broken(f"event 1 of chain {row.chain} was removed")


def _day(chain: str, signed_at: datetime) -> date:
    """The day of a chain, as `audit_day` in the database."""
    return date.fromisoformat(chain[:10]) if DAY.match(chain) else signed_at.date()
