"""The chains of the audit: every event hashed anew, every chain to its end."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.models import AuditChain
from app.audit.services.integrity.findings import Broken, End, Walk
from app.audit.services.integrity.rows import BATCH, ENDS, LEEWAY, READABLE, streamed
from app.security import evidence
from app.text.visible import one_line

# A checkpoint that was altered says nothing about chains, nor do those after it: only as many are
# read as were found valid.
SIGNED_OF = text(
    """
    SELECT number, (heads->:chain->>0)::bigint AS position, heads->:chain->>1 AS hash
    FROM audit_checkpoints WHERE heads ? :chain AND number <= :valid
    ORDER BY position, number
    """
)
LAST_SIGNED = text(f"SELECT chain, max(position) FROM ({ENDS}) AS s GROUP BY chain")  # noqa: S608 - a query of ours
# In the order in which the database hashes them.
EVENTS = text(
    f"""
    SELECT chain, position, id::text AS id,
           (extract(epoch FROM {READABLE}) * 1000000)::bigint::text, name,
           actor_id::text, target_id::text, encode(ip_digest, 'hex') AS ip_digest_,
           request_id, details::text,
           previous_hash, hash, ip_address, ip_salt, {READABLE} AS at
    FROM audit_events ORDER BY chain, position
    """  # noqa: S608 - a query of ours
)
PARTS = 10


class Signed(NamedTuple):
    """An end of a chain that was signed, and how old at most the events can be that it signs."""

    position: int
    hash: str
    since: datetime | None


@dataclass(slots=True)
class Chain:
    """One on which the walk is, and what was signed of it further on."""

    name: str
    end: End
    signed: deque[Signed]
    signed_at: datetime | None
    last_signed: int

    def is_signed(self, position: int) -> bool:
        return position <= self.last_signed

    def follow(self, row: Any) -> None:
        _check_event(row, self.end.position + 1, self.end.hash)
        self.end = End(row.position, row.hash)
        since = self.signed[0].since if self.signed else self.signed_at
        if since is not None and row.at < since - LEEWAY:
            raise Broken(f"{_named(row)} was put in later")
        while self.signed and self.signed[0].position == row.position:
            if self.signed.popleft().hash != row.hash.hex():
                raise Broken(f"{_named(row)} is not the one that was signed")


async def check_events(
    connection: AsyncConnection, found: Walk, progress: Callable[[int], object] | None
) -> None:
    """Walk all chains, those after one that is broken too; the first that is broken is named."""
    chain: Chain | None = None
    first: Broken | None = None
    async for row in streamed(connection, EVENTS):
        found.events += 1
        if progress and found.events % BATCH == 0:
            progress(found.events)
        if row.chain in found.broken_chains:
            continue
        try:
            if chain is None or row.chain != chain.name:
                chain = await _chain(connection, found, row)
            chain.follow(row)
        except Broken as broken:
            found.broken_chains.add(row.chain)
            first = first or broken
            continue
        found.chains[chain.name] = chain.end
        _count(found, row, signed=chain.is_signed(row.position))
    if first:
        raise Broken(*first.findings, *_other_chains(len(found.broken_chains) - 1))


def _other_chains(number: int) -> list[str]:
    if not number:
        return []
    return [f"{number} more {'chain is' if number == 1 else 'chains are'} broken"]


async def _chain(connection: AsyncConnection, found: Walk, first: Any) -> Chain:
    start = _start(found, first)
    asked = {"chain": first.chain, "valid": found.checkpoints}
    ends = [
        Signed(row.position, row.hash, found.since_of(row.number))
        for row in await connection.execute(SIGNED_OF, asked)
    ]
    last = max((end.position for end in ends), default=0)
    kept = deque(end for end in ends if end.position > start.position)
    return Chain(first.chain, start, kept, found.signed_at, last)


def _count(found: Walk, row: Any, *, signed: bool) -> None:
    found.erased += row.ip_digest_ is not None and row.ip_address is None
    found.latest = max(row.at, found.latest or row.at)
    if not signed:
        found.unsigned += 1
        found.unsigned_since = min(row.at, found.unsigned_since or row.at)


def _start(found: Walk, first: Any) -> End:
    """Where a chain begins: what stands there is not an event, or was removed by retention.

    A chain that is trimmed in part has no signed hash there. What is left of it still has to lead
    to its signed end.
    """
    stump = found.trimmed.get(first.chain)
    if stump is None:
        return End(0, evidence.first_hash(first.chain))
    return End(stump.position, stump.hash or first.previous_hash)


def _check_event(row: Any, expected: int, previous: bytes) -> None:
    if row.position < expected:
        raise Broken(f"{_named(row)} was put in")
    if row.position > expected:
        raise Broken(f"event {expected} of chain {row.chain} was removed")
    if row.previous_hash != previous:
        raise Broken(f"{_named(row)} was altered or moved")
    if row.at is None:
        raise Broken(f"{_named(row)} was altered: it has an impossible time")
    parts = [None if each is None else str(each) for each in row[:PARTS]]
    if evidence.event_hash(previous, parts) != row.hash:
        raise Broken(f"{_named(row)} was altered")
    if row.ip_address is None and row.ip_salt is None:
        return
    if (
        row.ip_address is None
        or row.ip_salt is None
        or row.ip_digest_ != evidence.address_digest(row.ip_salt, row.ip_address).hex()
    ):
        raise Broken(f"{_named(row)} was altered: its address is another one")


def _named(row: Any) -> str:
    return f"event {row.position} of chain {row.chain} ({one_line(row.name)}, {row.id})"


async def check_ends(connection: AsyncConnection, found: Walk) -> None:
    """Compare how far the chains go with how far they should, by who appends and by who signs."""
    table, nothing = AuditChain, End(0, b"")
    columns = (table.position, table.hash, table.chain, table.signed_position)
    ends = {row.chain: row for row in await connection.execute(select(*columns))}
    asked = {"valid": found.checkpoints}
    signed = {row.chain: row.max for row in await connection.execute(LAST_SIGNED, asked)}
    for chain in sorted({*found.chains, *ends, *signed} - found.broken_chains):
        walked = found.chains.get(chain) or found.trimmed.get(chain, nothing)
        end = ends.get(chain)
        kept = End(*end[:2]) if end else nothing
        if walked.position < max(kept.position, signed.get(chain, 0)):
            raise Broken(f"event {walked.position + 1} of chain {chain} was removed")
        if walked.position > kept.position:
            raise Broken(f"event {kept.position + 1} of chain {chain} was put in")
        if walked.hash != kept.hash:
            raise Broken(f"the end of chain {chain} was altered")
        if found.checkpoints_valid and end and end.signed_position > signed.get(chain, 0):
            raise Broken(f"checkpoint {found.checkpoints + 1} was removed")


def check_unsigned(found: Walk) -> None:
    """Notice that checkpoints are missing where events went on for long without any.

    By the time of events alone: a database that stands still, or was restored, has a last event.
    """
    if not found.checkpoints_valid or found.latest is None or found.unsigned_since is None:
        return
    if found.latest - found.unsigned_since > LEEWAY:
        raise Broken(
            f"{found.unsigned} events since {found.unsigned_since:%Y-%m-%d %H:%M:%S} UTC are not "
            "signed: checkpoints were removed, or no server was there to make them"
        )
