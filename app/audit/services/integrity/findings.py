"""What a verification of the audit has found."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from app.audit.services.checkpoint_files import EPOCH, Checkpoint


class Broken(Exception):
    """What is not as it was written, a line each: the first of its kind."""

    def __init__(self, *findings: str) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class End(NamedTuple):
    """How far a chain goes, and the hash of what stands there."""

    position: int
    hash: bytes


class Against(NamedTuple):
    """What a file of checkpoints has, all of which the database has too."""

    first: Checkpoint
    last: Checkpoint


class Stump(NamedTuple):
    """How far a chain was trimmed, and the hash of what stood there, if that was signed."""

    position: int
    hash: bytes | None


class Epoch(NamedTuple):
    """Where the audit begins anew after a leak of SECRET_KEY, by its first checkpoint.

    That one signs the ends of all chains, so nothing before it can have been changed since. What
    the checkpoints before it were signed with is known to the former secret alone.
    """

    number: int
    at: datetime
    # SHA-256 of the signature of the last checkpoint of the former part.
    former_hash: bytes
    heads: Mapping[str, Sequence[Any]]

    def covers(self, chain: str, position: int) -> bool:
        return position <= self.heads.get(chain, (0,))[0]


@dataclass(slots=True)
class Walk:
    """What has been found so far."""

    events: int = 0
    erased: int = 0
    checkpoints: int = 0
    epoch: Epoch | None = None
    # Checkpoints before the epoch whose signatures could not be verified.
    unopened: int = 0
    # Otherwise what follows from that is not said again.
    checkpoints_valid: bool = True
    signed_at: datetime | None = None
    # For each checkpoint the earliest time of it and all that came later, in microseconds.
    earliest: list[int] = field(default_factory=list[int])
    # Events that no checkpoint has signed yet, and the time of the first of them.
    unsigned: int = 0
    unsigned_since: datetime | None = None
    latest: datetime | None = None
    # The day before which retention has removed everything.
    since: date | None = None
    chains: dict[str, End] = field(default_factory=dict[str, End])
    trimmed: dict[str, Stump] = field(default_factory=dict[str, Stump])
    broken_chains: set[str] = field(default_factory=set[str])
    against: Against | None = None
    findings: list[str] = field(default_factory=list[str])
    # What is valid, and weaker than it should be.
    warnings: list[str] = field(default_factory=list[str])

    @contextmanager
    def noticing(self) -> Generator[None]:
        """Keep what is broken, and go on with what comes next."""
        try:
            yield
        except Broken as broken:
            self.findings += broken.findings

    def since_of(self, number: int) -> datetime | None:
        """How old at most an event can be that this checkpoint is the first to sign.

        A clock that was ahead for a while is outvoted by all checkpoints that came later.
        """
        if number == 1:
            return None
        return EPOCH + timedelta(microseconds=self.earliest[number - 2])
