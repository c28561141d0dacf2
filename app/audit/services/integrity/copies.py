"""Copies of checkpoints in a file: written, and compared with the database."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.models import AuditCheckpoint
from app.audit.services.checkpoint_files import Checkpoint
from app.audit.services.integrity.checkpoint_signatures import (
    CHECKPOINTS,
    NOT_OPENED,
    CheckpointSignatures,
    checkpoint_name,
    is_former,
)
from app.audit.services.integrity.findings import Against, Broken, Walk
from app.audit.services.integrity.rows import streamed
from app.database.database import Database
from app.security.keys import Secrets

SIGNATURES = text("SELECT number, signature FROM audit_checkpoints ORDER BY number")
KEPT_ENDS = text(
    """
    SELECT kept.chain, kept.position, e.hash, coalesce(c.trimmed_position, 0) AS trimmed
    FROM unnest(CAST(:chains AS text[]), CAST(:positions AS bigint[])) AS kept(chain, position)
    LEFT JOIN audit_chains c ON c.chain = kept.chain
    LEFT JOIN audit_events e ON e.chain = kept.chain AND e.position = kept.position
    ORDER BY kept.chain
    """
)


@dataclass(frozen=True, slots=True)
class CheckpointCopies:
    db: Database
    secrets: Secrets

    async def check_present(self, kept: Checkpoint) -> None:
        """Return if the database has a checkpoint that was kept elsewhere.

        Raises:
            Broken: it has another one of this number, or none.

        """
        asked = select(AuditCheckpoint.signature)
        rows = await self.db.rows(asked.where(AuditCheckpoint.number == kept.number))
        if [row.signature for row in rows] != [kept.signature]:
            raise Broken(
                f"the database does not have checkpoint {kept.number}, the last one in the file. "
                "`portico audit verify --against` says what it has"
            )

    async def checkpoints(self, after: int = 0) -> AsyncIterator[Checkpoint]:
        """Give the checkpoints that follow a number.

        Raises:
            Broken: one was altered.

        """
        table = AuditCheckpoint
        signatures = CheckpointSignatures(self.secrets)
        later = CHECKPOINTS.where(table.number > after)
        async with self.db.unlimited_connection() as connection:
            epoch = await signatures.epoch(connection)
            async for row in streamed(connection, later.order_by(table.number)):
                checkpoint = signatures.opened(row)
                if checkpoint is not None:
                    yield checkpoint
                # Only the former secret opens what was before an epoch: a file begins with that.
                elif after or not is_former(row, epoch):
                    raise Broken(NOT_OPENED.format(name=checkpoint_name(row)))


async def compare(connection: AsyncConnection, found: Walk, against: Iterable[Checkpoint]) -> None:
    """Check that the database has what a file has: its checkpoints, and the ends they signed."""
    first: Checkpoint | None = None
    last: Checkpoint | None = None
    present: int | None = None
    ends: dict[str, Any] = {}
    rows = streamed(connection, SIGNATURES)
    for kept in against:
        first, last = first or kept, kept
        ends.update(kept.heads)
        row = await _reach(rows, kept.number) if present is None else None
        if row is None:
            present = kept.number - 1 if present is None else present
        elif row.number != kept.number:
            raise Broken(f"checkpoint {kept.number}, which is in the file, was removed")
        elif row.signature != kept.signature:
            raise Broken(
                f"checkpoint {kept.number} of {kept.moment:%Y-%m-%d %H:%M:%S} UTC is not the one "
                "in the file: the audit was written anew, or is another one"
            )
    await rows.aclose()
    if first is None or last is None:
        raise Broken("the file has no checkpoints")
    if present is not None:
        raise Broken(
            f"the database ends at checkpoint {present}, the file knows {last.number}: it was "
            "restored from an older backup, or its last checkpoints were removed"
        )
    await _compare_ends(connection, ends)
    found.against = Against(first, last)


async def _reach(rows: AsyncIterator[Any], number: int) -> Any:
    """Returns the first row from a number on, None if there is none."""
    async for row in rows:
        if row.number >= number:
            return row
    return None


async def _compare_ends(connection: AsyncConnection, ends: Mapping[str, Any]) -> None:
    asked = {"chains": list(ends), "positions": [position for position, _ in ends.values()]}
    for row in await connection.execute(KEPT_ENDS, asked):
        if row.hash is None and row.trimmed < row.position:
            raise Broken(
                f"event {row.position} of chain {row.chain} is in the file, and was removed"
            )
        if row.hash is not None and row.hash.hex() != ends[row.chain][1]:
            raise Broken(f"event {row.position} of chain {row.chain} is not the one in the file")
