"""Checkpoints in a file: one line of JSON each, which is verified without SECRET_KEY."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Self

import orjson
from jwt.algorithms import ECAlgorithm

from app.audit.services.checkpoints import EMPTY_HASH
from app.security import evidence

UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class InvalidFile(Exception):
    """A line is not a checkpoint, or does not follow the one before it; the message says which."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The signed fields, the signature, and the public key (RFC 7517) that verifies it."""

    number: int
    # Microseconds since 1970.
    at: int
    # SHA-256 of the signature of the checkpoint before.
    previous: bytes
    # For each chain with new events, the position and the hexadecimal hash of the last one.
    heads: Mapping[str, Any]
    signature: bytes
    public_key: Mapping[str, Any]
    # Whether it is the first checkpoint after a leak of SECRET_KEY.
    begins_epoch: bool = False

    @property
    def moment(self) -> datetime:
        return UNIX_EPOCH + timedelta(microseconds=self.at)

    @property
    def digest(self) -> bytes:
        return sha256(self.signature).digest()

    def to_line(self) -> bytes:
        """Returns the line of a file; `signature` is r and s in DER."""
        fields = {
            "number": self.number,
            "at": self.at,
            "previous": self.previous.hex(),
            "heads": self.heads,
            "signature": self.signature.hex(),
            "publicKey": self.public_key,
            "beginsEpoch": self.begins_epoch,
        }
        return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Returns the checkpoint of a line.

        Raises:
            ValueError: the line is not JSON, or a value is invalid.
            KeyError: a field is missing.
            TypeError: a field has another type.

        """
        fields: Any = orjson.loads(line)
        return cls(
            int(fields["number"]),
            int(fields["at"]),
            bytes.fromhex(fields["previous"]),
            {chain: (int(head[0]), str(head[1])) for chain, head in fields["heads"].items()},
            bytes.fromhex(fields["signature"]),
            dict(fields["publicKey"]),
            bool(fields["beginsEpoch"]),
        )

    def has_valid_signature(self) -> bool:
        key: Any = ECAlgorithm(ECAlgorithm.SHA256).from_jwk(dict(self.public_key))
        text = evidence.checkpoint_text(
            self.number, self.at, self.previous, self.heads, begins_epoch=self.begins_epoch
        )
        return evidence.is_valid_signature(key, self.signature, text)


def read_checkpoints(lines: Iterable[bytes]) -> Iterator[Checkpoint]:
    """Yield the checkpoints of a file, each verified, and following the one before it.

    A file may begin with any checkpoint.

    Raises:
        InvalidFile: names the first invalid line.

    """
    before: Checkpoint | None = None
    for number, line in enumerate(lines, 1):
        checkpoint = _read_line(line, f"line {number}")
        first = checkpoint.number == 1
        if before is None and first and checkpoint.previous != EMPTY_HASH:
            raise InvalidFile(f"line {number} is not the first checkpoint")
        if before and (checkpoint.number, checkpoint.previous) != (
            before.number + 1,
            before.digest,
        ):
            raise InvalidFile(f"line {number} does not follow the line before")
        before = checkpoint
        yield checkpoint


def _read_line(line: bytes, name: str) -> Checkpoint:
    try:
        checkpoint = Checkpoint.from_line(line)
        has_valid_signature = checkpoint.has_valid_signature()
    # Also where the public key is not a point on the curve.
    except Exception as error:
        raise InvalidFile(f"{name} is not a checkpoint") from error
    if not has_valid_signature:
        raise InvalidFile(f"{name} was altered: its signature does not verify")
    return checkpoint
