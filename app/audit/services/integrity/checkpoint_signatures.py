"""Whether the checkpoints are as they were signed, none is missing, and where an epoch begins."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from cryptography.fernet import InvalidToken
from sqlalchemy import literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.models import AuditCheckpoint
from app.audit.services.checkpoint_files import Checkpoint
from app.audit.services.checkpoints import NOTHING, SEAL, epoch_macs, microseconds
from app.audit.services.integrity.findings import Broken, Epoch, Walk
from app.audit.services.integrity.rows import LEEWAY, READABLE, streamed
from app.security.keys import Secrets, same

EARLIER = (
    "{name} is more than an hour earlier than the one before it: the clock of a server that made "
    "one of them was wrong"
)
NOT_OPENED = "{name} was altered, or was made with another SECRET_KEY"
CHECKPOINTS = select(
    *(column for column in AuditCheckpoint.__table__.columns if column.name != "at"),
    literal_column(READABLE, AuditCheckpoint.__table__.c.at.type).label("at"),
)


@dataclass(frozen=True, slots=True)
class CheckpointSignatures:
    secrets: Secrets

    async def epoch(self, connection: AsyncConnection) -> Epoch | None:
        """Find the last beginning of an epoch that was made with one of these secrets."""
        table = AuditCheckpoint
        marked = CHECKPOINTS.where(table.epoch_mac.is_not(None))
        for row in await connection.execute(marked.order_by(table.number.desc())):
            if self._is_ours(row):
                return Epoch(row.number, row.at, row.previous_hash, row.heads)
        return None

    def _is_ours(self, row: Any) -> bool:
        """Whether the mark of the beginning of an epoch was made with one of these secrets."""
        macs = epoch_macs(self.secrets, row.number, row.previous_hash)
        return any(same(row.epoch_mac, each) for each in macs)

    async def check(self, connection: AsyncConnection, found: Walk) -> None:
        table, previous = AuditCheckpoint, NOTHING
        every = CHECKPOINTS.order_by(table.number)
        try:
            async for row in streamed(connection, every):
                if row.number != found.checkpoints + 1:
                    raise Broken(f"checkpoint {found.checkpoints + 1} was removed")
                self._check_row(row, previous, found)
                if found.signed_at and row.at < found.signed_at - LEEWAY:
                    found.warnings.append(EARLIER.format(name=checkpoint_name(row)))
                found.checkpoints, found.signed_at = row.number, row.at
                found.earliest.append(microseconds(row.at))
                previous = sha256(row.signature).digest()
        finally:
            for index in reversed(range(len(found.earliest) - 1)):
                found.earliest[index] = min(found.earliest[index : index + 2])

    def _check_row(self, row: Any, previous: bytes, found: Walk) -> None:
        checkpoint = self.opened(row)
        name = checkpoint_name(row)
        if row.previous_hash != previous:
            raise Broken(f"{name} was altered")
        if checkpoint is None:
            if not is_former(row, found.epoch):
                raise Broken(NOT_OPENED.format(name=name))
            found.unopened += 1
        elif not checkpoint.is_signed() or not self._is_as_sealed(row):
            raise Broken(f"{name} was altered")

    def opened(self, row: Any) -> Checkpoint | None:
        """Read a row, whose public key is sealed under SECRET_KEY; None if under another one.

        Raises:
            Broken: its time is none that a checkpoint can have.

        """
        if row.at is None:
            raise Broken(f"checkpoint {row.number} was altered: it has an impossible time")
        try:
            jwk = self.secrets.sealer(SEAL).decrypt(row.sealed_public_key)
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

    def _is_as_sealed(self, row: Any) -> bool:
        """Whether the columns that no signature covers are as they were written."""
        known = row.sealed_with in {None, *self.secrets.fingerprints}
        return known and (row.epoch_mac is None or self._is_ours(row))


def is_former(row: Any, epoch: Epoch | None) -> bool:
    """Whether only a secret that was declared compromised since can open a checkpoint."""
    return epoch is not None and row.number < epoch.number


def checkpoint_name(row: Any) -> str:
    return f"checkpoint {row.number} of {row.at:%Y-%m-%d %H:%M:%S} UTC"
