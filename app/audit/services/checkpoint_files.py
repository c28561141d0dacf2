"""Checkpoints in a file: a line of JSON each, which proves itself without any secret."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Self

import orjson
from jwt.algorithms import ECAlgorithm

from app.audit.services.checkpoints import NOTHING
from app.security import evidence

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class InvalidFile(Exception):
    """A line is not a checkpoint, or not the one that follows; the message names it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed, the signature, and the public key that it is verified with (RFC 7517)."""

    number: int
    # Microseconds since 1970.
    at: int
    # SHA-256 of the signature of the checkpoint before.
    previous: bytes
    # The position and the hash, in hexadecimal, at which each chain ended that had grown.
    heads: Mapping[str, Any]
    signature: bytes
    public_key: Mapping[str, Any]
    # Whether it is the first one after a leak of SECRET_KEY.
    begins_epoch: bool = False

    @property
    def moment(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.at)

    @property
    def digest(self) -> bytes:
        return sha256(self.signature).digest()

    def line(self) -> bytes:
        """Write it as a line; `signature` is r and s in DER."""
        parts = {
            "number": self.number,
            "at": self.at,
            "previous": self.previous.hex(),
            "heads": self.heads,
            "signature": self.signature.hex(),
            "publicKey": self.public_key,
            "beginsEpoch": self.begins_epoch,
        }
        return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS) + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Self:
        """Read a line.

        Raises:
            ValueError: it is not one; KeyError and TypeError: parts are missing, or others.

        """
        parts: Any = orjson.loads(line)
        return cls(
            int(parts["number"]),
            int(parts["at"]),
            bytes.fromhex(parts["previous"]),
            {chain: (int(head[0]), str(head[1])) for chain, head in parts["heads"].items()},
            bytes.fromhex(parts["signature"]),
            dict(parts["publicKey"]),
            bool(parts["beginsEpoch"]),
        )

    def is_signed(self) -> bool:
        key: Any = ECAlgorithm(ECAlgorithm.SHA256).from_jwk(dict(self.public_key))
        said = evidence.checkpoint_text(
            self.number, self.at, self.previous, self.heads, begins_epoch=self.begins_epoch
        )
        return evidence.is_signed(key, self.signature, said)


def read(lines: Iterable[bytes]) -> Iterator[Checkpoint]:
    """Read the checkpoints of a file, each checked, and that it follows the one before.

    A file may begin at any checkpoint.

    Raises:
        InvalidFile: names the first line that is invalid.

    """
    before: Checkpoint | None = None
    for number, line in enumerate(lines, 1):
        checkpoint = _checked(line, f"line {number}")
        first = checkpoint.number == 1
        if before is None and first and checkpoint.previous != NOTHING:
            raise InvalidFile(f"line {number} is not the first checkpoint")
        if before and (checkpoint.number, checkpoint.previous) != (
            before.number + 1,
            before.digest,
        ):
            raise InvalidFile(f"line {number} does not follow the line before")
        before = checkpoint
        yield checkpoint


def _checked(line: bytes, name: str) -> Checkpoint:
    try:
        checkpoint = Checkpoint.of_line(line)
        signed = checkpoint.is_signed()
    # What is not there, of another type, or no key on the curve.
    except Exception as error:
        raise InvalidFile(f"{name} is not a checkpoint") from error
    if not signed:
        raise InvalidFile(f"{name} was altered: its signature does not verify")
    return checkpoint
