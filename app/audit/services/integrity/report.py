"""The report of a verification of the audit, which each check adds to."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from app.audit.services.checkpoint_files import UNIX_EPOCH, Checkpoint


class InvalidAudit(Exception):
    """A check has failed; one line for each finding."""

    def __init__(self, *findings: str) -> None:
        super().__init__("\n".join(findings))
        self.findings = findings


class ChainEnd(NamedTuple):
    """The position of the last event of a chain, and its hash."""

    position: int
    hash: bytes


class TrimmedEnd(NamedTuple):
    """The position of the last event that retention removed, and its hash if that was signed."""

    position: int
    hash: bytes | None


class ComparedFile(NamedTuple):
    """The first and the last checkpoint of a file whose checkpoints are all in the database."""

    first: Checkpoint
    last: Checkpoint


class Epoch(NamedTuple):
    """The first checkpoint after a leak of SECRET_KEY.

    It signs the ends of all chains, so no earlier event can have been changed since. The signatures
    of earlier checkpoints can only be verified with the former secret.
    """

    number: int
    at: datetime
    # SHA-256 of the signature of the last checkpoint before the epoch.
    former_hash: bytes
    heads: Mapping[str, Sequence[Any]]

    def covers(self, chain: str, position: int) -> bool:
        return position <= self.heads.get(chain, (0,))[0]


@dataclass(slots=True)
class AuditReport:
    events: int = 0
    erased_addresses: int = 0
    # How many checkpoints are valid, from the first one on.
    checkpoints: int = 0
    # If false, checks that depend on checkpoints are left out: they would repeat that finding.
    checkpoints_valid: bool = True
    last_checkpoint_at: datetime | None = None
    # For each checkpoint the earliest time of it and all later ones, in microseconds since 1970.
    earliest_times: list[int] = field(default_factory=list[int])
    epoch: Epoch | None = None
    # Checkpoints before the epoch whose signatures could not be verified.
    unverified_checkpoints: int = 0
    # Events that no checkpoint has signed yet, and the earliest time of one.
    unsigned_events: int = 0
    unsigned_since: datetime | None = None
    latest_event_at: datetime | None = None
    # The day before which retention has removed all events.
    kept_since: date | None = None
    chains: dict[str, ChainEnd] = field(default_factory=dict[str, ChainEnd])
    trimmed_chains: dict[str, TrimmedEnd] = field(default_factory=dict[str, TrimmedEnd])
    broken_chains: set[str] = field(default_factory=set[str])
    compared: ComparedFile | None = None
    findings: list[str] = field(default_factory=list[str])
    # These do not make the audit invalid.
    warnings: list[str] = field(default_factory=list[str])

    @contextmanager
    def collecting_findings(self) -> Generator[None]:
        """Add what a check finds, so that the next check runs too."""
        try:
            yield
        except InvalidAudit as invalid:
            self.findings += invalid.findings

    def earliest_event_of(self, number: int) -> datetime | None:
        """Returns the earliest time of an event that this checkpoint is the first to sign.

        None for the first checkpoint. The earliest time of all later checkpoints counts, so a
        clock that was ahead for a while does no harm.
        """
        if number == 1:
            return None
        return UNIX_EPOCH + timedelta(microseconds=self.earliest_times[number - 2])
