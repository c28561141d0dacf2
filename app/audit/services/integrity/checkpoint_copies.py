"""Copies of checkpoints in a file: reads them for an export, and compares a file."""

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
    is_before_epoch,
)
from app.audit.services.integrity.report import AuditReport, ComparedFile, InvalidAudit
from app.audit.services.integrity.rows import streamed
from app.database.database import Database
from app.security.keys import Secrets

SIGNATURES = text("SELECT number, signature FROM audit_checkpoints ORDER BY number")
ENDS_IN_FILE = text(
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

    async def check_contains(self, checkpoint: Checkpoint) -> None:
        """Check that the database has this checkpoint of a file.

        Raises:
            InvalidAudit: it has another checkpoint of this number, or none.

        """
        signature = select(AuditCheckpoint.signature)
        rows = await self.db.rows(signature.where(AuditCheckpoint.number == checkpoint.number))
        if [row.signature for row in rows] != [checkpoint.signature]:
            raise InvalidAudit(
                f"the database does not have checkpoint {checkpoint.number}, the last one in the "
                "file. `portico audit verify --against` shows what differs"
            )

    async def checkpoints_after(self, number: int) -> AsyncIterator[Checkpoint]:
        """Yield the checkpoints with a higher number.

        Raises:
            InvalidAudit: one was altered.

        """
        table = AuditCheckpoint
        signatures = CheckpointSignatures(self.secrets)
        later = CHECKPOINTS.where(table.number > number)
        async with self.db.unlimited_connection() as connection:
            epoch = await signatures.epoch(connection)
            async for row in streamed(connection, later.order_by(table.number)):
                checkpoint = signatures.read(row)
                if checkpoint is not None:
                    yield checkpoint
                # Checkpoints before an epoch need the former secret: an export begins after them.
                elif number or not is_before_epoch(row, epoch):
                    raise InvalidAudit(NOT_OPENED.format(name=checkpoint_name(row)))


async def compare_with_file(
    connection: AsyncConnection, report: AuditReport, checkpoints: Iterable[Checkpoint]
) -> None:
    """Check that the database has the checkpoints of a file, and the ends that they signed."""
    first: Checkpoint | None = None
    last: Checkpoint | None = None
    last_in_database: int | None = None
    ends: dict[str, Any] = {}
    rows = streamed(connection, SIGNATURES)
    for checkpoint in checkpoints:
        first, last = first or checkpoint, checkpoint
        number = checkpoint.number
        ends.update(checkpoint.heads)
        row = await _first_from(rows, number) if last_in_database is None else None
        if row is None:
            last_in_database = number - 1 if last_in_database is None else last_in_database
        elif row.number != number:
            raise InvalidAudit(f"checkpoint {number}, which is in the file, was removed")
        elif row.signature != checkpoint.signature:
            raise InvalidAudit(
                f"checkpoint {number} of {checkpoint.moment:%Y-%m-%d %H:%M:%S} UTC is not the one "
                "in the file: the audit was rewritten, or is a different one"
            )
    await rows.aclose()
    if first is None or last is None:
        raise InvalidAudit("the file has no checkpoints")
    if last_in_database is not None:
        raise InvalidAudit(
            f"the database ends at checkpoint {last_in_database}, the file at {last.number}: the "
            "database was restored from an older backup, or its last checkpoints were removed"
        )
    await _compare_ends(connection, ends)
    report.compared = ComparedFile(first, last)


async def _first_from(rows: AsyncIterator[Any], number: int) -> Any:
    """Returns the first row from a number on, None if there is none."""
    async for row in rows:
        if row.number >= number:
            return row
    return None


async def _compare_ends(connection: AsyncConnection, ends: Mapping[str, Any]) -> None:
    values = {"chains": list(ends), "positions": [position for position, _ in ends.values()]}
    for row in await connection.execute(ENDS_IN_FILE, values):
        if row.hash is None and row.trimmed < row.position:
            raise InvalidAudit(
                f"event {row.position} of chain {row.chain} is in the file, and was removed"
            )
        if row.hash is not None and row.hash.hex() != ends[row.chain][1]:
            raise InvalidAudit(
                f"event {row.position} of chain {row.chain} is not the one in the file"
            )
