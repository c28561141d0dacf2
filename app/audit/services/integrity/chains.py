"""The chains of the audit: verifies the hash of every event, and the end of every chain.

Each event carries the hash of the event before it in its chain. The trigger `append_audit_event`
writes it (`alembic/versions/0006_audit_chains.py`).
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.models import AuditChain
from app.audit.services.integrity.report import AuditReport, ChainEnd, InvalidAudit
from app.audit.services.integrity.rows import (
    BATCH,
    READABLE_TIME,
    SIGNED_ENDS,
    TOLERANCE,
    streamed,
)
from app.security import evidence
from app.text.visible import one_line

# An altered checkpoint proves nothing about chains, and neither do later ones: only checkpoints
# that were found valid are read.
SIGNED_ENDS_OF_CHAIN = text(
    """
    SELECT number, (heads->:chain->>0)::bigint AS position, heads->:chain->>1 AS hash
    FROM audit_checkpoints WHERE heads ? :chain AND number <= :valid
    ORDER BY position, number
    """
)
LAST_SIGNED = text(f"SELECT chain, max(position) FROM ({SIGNED_ENDS}) AS s GROUP BY chain")  # noqa: S608 - a query of ours
# The first columns are those that the database hashes, in the same order.
EVENTS = text(
    f"""
    SELECT chain, position, id::text AS id,
           (extract(epoch FROM {READABLE_TIME}) * 1000000)::bigint::text, name,
           actor_id::text, target_id::text, encode(ip_digest, 'hex') AS ip_digest_,
           request_id, details::text,
           previous_hash, hash, ip_address, ip_salt, {READABLE_TIME} AS at
    FROM audit_events ORDER BY chain, position
    """  # noqa: S608 - a query of ours
)
HASHED_COLUMNS = 10


class SignedEnd(NamedTuple):
    """A signed end of a chain, and the earliest time of an event that it is the first to sign."""

    position: int
    hash: str
    earliest_event_at: datetime | None


@dataclass(slots=True)
class Chain:
    """A chain up to the event that was verified last, and its signed ends after that event."""

    name: str
    end: ChainEnd
    signed_ends: deque[SignedEnd]
    last_checkpoint_at: datetime | None
    last_signed_position: int

    def is_signed(self, position: int) -> bool:
        return position <= self.last_signed_position

    def verify_next(self, row: Any) -> None:
        _check_event(row, self.end.position + 1, self.end.hash)
        self.end = ChainEnd(row.position, row.hash)
        earliest = (
            self.signed_ends[0].earliest_event_at if self.signed_ends else self.last_checkpoint_at
        )
        if earliest is not None and row.at < earliest - TOLERANCE:
            raise InvalidAudit(f"{_event(row)} was inserted later")
        while self.signed_ends and self.signed_ends[0].position == row.position:
            if self.signed_ends.popleft().hash != row.hash.hex():
                raise InvalidAudit(f"{_event(row)} is not the one that was signed")


async def check_events(
    connection: AsyncConnection, report: AuditReport, progress: Callable[[int], object] | None
) -> None:
    """Verify the events of all chains.

    Raises:
        InvalidAudit: describes the first invalid event, and counts the other chains that have one.

    """
    chain: Chain | None = None
    first: InvalidAudit | None = None
    async for row in streamed(connection, EVENTS):
        report.events += 1
        if progress and report.events % BATCH == 0:
            progress(report.events)
        if row.chain in report.broken_chains:
            continue
        try:
            if chain is None or row.chain != chain.name:
                chain = await _chain_from(connection, report, row)
            chain.verify_next(row)
        except InvalidAudit as invalid:
            report.broken_chains.add(row.chain)
            first = first or invalid
            continue
        report.chains[chain.name] = chain.end
        _count(report, row, signed=chain.is_signed(row.position))
    if first:
        raise InvalidAudit(*first.findings, *_other_chains(len(report.broken_chains) - 1))


def _other_chains(number: int) -> list[str]:
    if not number:
        return []
    return [f"{number} more {'chain is' if number == 1 else 'chains are'} broken"]


async def _chain_from(connection: AsyncConnection, report: AuditReport, first: Any) -> Chain:
    start = _start(report, first)
    values = {"chain": first.chain, "valid": report.checkpoints}
    ends = [
        SignedEnd(row.position, row.hash, report.earliest_event_of(row.number))
        for row in await connection.execute(SIGNED_ENDS_OF_CHAIN, values)
    ]
    last = max((end.position for end in ends), default=0)
    ahead = deque(end for end in ends if end.position > start.position)
    return Chain(first.chain, start, ahead, report.last_checkpoint_at, last)


def _count(report: AuditReport, row: Any, *, signed: bool) -> None:
    report.erased_addresses += row.ip_digest_ is not None and row.ip_address is None
    report.latest_event_at = max(row.at, report.latest_event_at or row.at)
    if not signed:
        report.unsigned_events += 1
        report.unsigned_since = min(row.at, report.unsigned_since or row.at)


def _start(report: AuditReport, first: Any) -> ChainEnd:
    """Returns what the first remaining event of a chain must follow.

    In a chain that is partly trimmed, the hash there was never signed. The remaining events still
    have to lead to the signed end of the chain.
    """
    trimmed = report.trimmed_chains.get(first.chain)
    if trimmed is None:
        return ChainEnd(0, evidence.first_hash(first.chain))
    return ChainEnd(trimmed.position, trimmed.hash or first.previous_hash)


def _check_event(row: Any, expected_position: int, previous_hash: bytes) -> None:
    if row.position < expected_position:
        raise InvalidAudit(f"{_event(row)} was inserted")
    if row.position > expected_position:
        raise InvalidAudit(f"event {expected_position} of chain {row.chain} was removed")
    if row.previous_hash != previous_hash:
        raise InvalidAudit(f"{_event(row)} was altered or moved")
    if row.at is None:
        raise InvalidAudit(f"{_event(row)} was altered: its time is out of range")
    parts = [None if value is None else str(value) for value in row[:HASHED_COLUMNS]]
    if evidence.event_hash(previous_hash, parts) != row.hash:
        raise InvalidAudit(f"{_event(row)} was altered")
    if row.ip_address is None and row.ip_salt is None:
        return
    if (
        row.ip_address is None
        or row.ip_salt is None
        or row.ip_digest_ != evidence.address_digest(row.ip_salt, row.ip_address).hex()
    ):
        raise InvalidAudit(f"{_event(row)} was altered: its IP address does not match its hash")


def _event(row: Any) -> str:
    return f"event {row.position} of chain {row.chain} ({one_line(row.name)}, {row.id})"


async def check_ends(connection: AsyncConnection, report: AuditReport) -> None:
    """Compare the last event of each chain with the recorded and the signed end of the chain."""
    table, nothing = AuditChain, ChainEnd(0, b"")
    columns = (table.position, table.hash, table.chain, table.signed_position)
    rows = {row.chain: row for row in await connection.execute(select(*columns))}
    values = {"valid": report.checkpoints}
    signed = {row.chain: row.max for row in await connection.execute(LAST_SIGNED, values)}
    for chain in sorted({*report.chains, *rows, *signed} - report.broken_chains):
        found = report.chains.get(chain) or report.trimmed_chains.get(chain, nothing)
        row = rows.get(chain)
        recorded = ChainEnd(row.position, row.hash) if row else nothing
        if found.position < max(recorded.position, signed.get(chain, 0)):
            raise InvalidAudit(f"event {found.position + 1} of chain {chain} was removed")
        if found.position > recorded.position:
            raise InvalidAudit(f"event {recorded.position + 1} of chain {chain} was inserted")
        if found.hash != recorded.hash:
            raise InvalidAudit(f"the end of chain {chain} was altered")
        if report.checkpoints_valid and row and row.signed_position > signed.get(chain, 0):
            raise InvalidAudit(f"checkpoint {report.checkpoints + 1} was removed")


def check_unsigned(report: AuditReport) -> None:
    """Check that no checkpoints are missing: events are not recorded for long without one.

    Compares the times of events only: a database may be idle, or be restored from a backup.
    """
    latest, since = report.latest_event_at, report.unsigned_since
    if not report.checkpoints_valid or latest is None or since is None:
        return
    if latest - since > TOLERANCE:
        raise InvalidAudit(
            f"{report.unsigned_events} events since {since:%Y-%m-%d %H:%M:%S} UTC are not "
            "signed: checkpoints were removed, or no server was running to make them"
        )
