"""Signatures of checkpoints: verifies that no checkpoint was altered or removed."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from cryptography.fernet import InvalidToken
from sqlalchemy import literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.models import AuditCheckpoint
from app.audit.services.checkpoint_files import Checkpoint
from app.audit.services.checkpoints import (
    EMPTY_HASH,
    SEAL_PURPOSE,
    epoch_macs,
    microseconds,
)
from app.audit.services.integrity.report import AuditReport, Epoch, InvalidAudit
from app.audit.services.integrity.rows import READABLE_TIME, TOLERANCE, streamed
from app.security.keys import Secrets, constant_time_equal

CLOCK_WAS_WRONG = (
    "{name} is more than an hour earlier than the one before it: the clock of a server that made "
    "one of them was wrong"
)
NOT_OPENED = "{name} was altered, or was made with another SECRET_KEY"
CHECKPOINTS = select(
    *(column for column in AuditCheckpoint.__table__.columns if column.name != "at"),
    literal_column(READABLE_TIME, AuditCheckpoint.__table__.c.at.type).label("at"),
)


@dataclass(frozen=True, slots=True)
class CheckpointSignatures:
    secrets: Secrets

    async def epoch(self, connection: AsyncConnection) -> Epoch | None:
        """Returns the last epoch that was begun with one of these secrets."""
        table = AuditCheckpoint
        first_of_epoch = CHECKPOINTS.where(table.epoch_mac.is_not(None))
        for row in await connection.execute(first_of_epoch.order_by(table.number.desc())):
            if self._has_valid_epoch_mac(row):
                return Epoch(row.number, row.at, row.previous_hash, row.heads)
        return None

    def _has_valid_epoch_mac(self, row: Any) -> bool:
        macs = epoch_macs(self.secrets, row.number, row.previous_hash)
        return any(constant_time_equal(row.epoch_mac, each) for each in macs)

    async def check(self, connection: AsyncConnection, report: AuditReport) -> None:
        """Verify all checkpoints, up to the first invalid one."""
        table, previous_hash = AuditCheckpoint, EMPTY_HASH
        in_order = CHECKPOINTS.order_by(table.number)
        try:
            async for row in streamed(connection, in_order):
                if row.number != report.checkpoints + 1:
                    raise InvalidAudit(f"checkpoint {report.checkpoints + 1} was removed")
                self._check_row(row, previous_hash, report)
                if report.last_checkpoint_at and row.at < report.last_checkpoint_at - TOLERANCE:
                    report.warnings.append(CLOCK_WAS_WRONG.format(name=checkpoint_name(row)))
                report.checkpoints, report.last_checkpoint_at = row.number, row.at
                report.earliest_times.append(microseconds(row.at))
                previous_hash = sha256(row.signature).digest()
        finally:
            for index in reversed(range(len(report.earliest_times) - 1)):
                report.earliest_times[index] = min(report.earliest_times[index : index + 2])

    def _check_row(self, row: Any, previous_hash: bytes, report: AuditReport) -> None:
        checkpoint = self.read(row)
        name = checkpoint_name(row)
        if row.previous_hash != previous_hash:
            raise InvalidAudit(f"{name} was altered")
        if checkpoint is None:
            if not is_before_epoch(row, report.epoch):
                raise InvalidAudit(NOT_OPENED.format(name=name))
            report.unverified_checkpoints += 1
        elif not checkpoint.has_valid_signature() or not self._has_valid_unsigned_columns(row):
            raise InvalidAudit(f"{name} was altered")

    def read(self, row: Any) -> Checkpoint | None:
        """Returns the checkpoint of a row; None if none of these secrets opens its public key.

        Raises:
            InvalidAudit: its time is out of range.

        """
        if row.at is None:
            raise InvalidAudit(f"checkpoint {row.number} was altered: its time is out of range")
        try:
            jwk = self.secrets.sealer(SEAL_PURPOSE).decrypt(row.sealed_public_key)
        except InvalidToken:
            return None
        return Checkpoint(
            row.number,
            microseconds(row.at),
            row.previous_hash,
            row.heads,
            row.signature,
            orjson.loads(jwk),
            begins_epoch=row.epoch_mac is not None,
        )

    def _has_valid_unsigned_columns(self, row: Any) -> bool:
        """Whether the columns that the signature does not cover are valid."""
        known = row.sealed_with in {None, *self.secrets.fingerprints}
        return known and (row.epoch_mac is None or self._has_valid_epoch_mac(row))


def is_before_epoch(row: Any, epoch: Epoch | None) -> bool:
    """Whether a checkpoint may have been made with a secret that is declared compromised."""
    return epoch is not None and row.number < epoch.number


def checkpoint_name(row: Any) -> str:
    return f"checkpoint {row.number} of {row.at:%Y-%m-%d %H:%M:%S} UTC"
