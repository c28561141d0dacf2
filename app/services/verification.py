"""Walking the audit: every event hashed anew, every chain to its end, every signature checked."""

import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from cryptography.fernet import InvalidToken
from jwt.algorithms import ECAlgorithm
from sqlalchemy import Executable, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import models
from app.db import Database
from app.security import evidence
from app.security.keys import Secrets, same
from app.services.audit_retention import ANNOUNCEMENTS, announced_day
from app.services.checkpoints import NOTHING, SEAL, epoch_macs, microseconds

BATCH = 2000
# An event is signed by the next checkpoint, so it is hardly older than the one before that: by as
# long as its transaction took, and as clocks differ. What is older was put in later.
LEEWAY = timedelta(hours=1)
# However long the audit is, it is read as its index has it, and not sorted first.
AS_INDEXED = text("SET LOCAL enable_sort = off")
# The ends that were signed, and how old at most what each of them was the first to sign can be. A
# clock that was ahead for a while is outvoted by all checkpoints that came later.
SIGNED = (
    """
    CREATE TEMP TABLE signed_ends ON COMMIT DROP AS
    SELECT ends.key AS chain, (ends.value->>0)::bigint AS position, ends.value->>1 AS hash, since,
           number, at
    FROM (
        SELECT heads, number, at, CASE WHEN number > 1 THEN min(at) OVER (
            ORDER BY number ROWS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING) END AS since
        FROM audit_checkpoints
    ) AS checkpoints, jsonb_each(heads) AS ends
    """,
    "CREATE INDEX ON signed_ends (chain, position)",
)
SIGNED_OF = text(
    "SELECT position, hash, since FROM signed_ends"
    " WHERE chain = :chain AND position > :trimmed ORDER BY position, number"
)
# Where the events of a chain that was trimmed begin, and what was signed of it.
TRIMMED = text(
    """
    SELECT chain, trimmed_position AS position,
           (SELECT hash FROM signed_ends s
            WHERE s.chain = c.chain AND s.position = c.trimmed_position LIMIT 1) AS hash,
           (SELECT max(position) FROM signed_ends s WHERE s.chain = c.chain) AS signed_position,
           (SELECT at FROM signed_ends s WHERE s.chain = c.chain
            ORDER BY number LIMIT 1) AS signed_at
    FROM audit_chains c WHERE trimmed_position <> 0 ORDER BY chain
    """
)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}/")
LAST_SIGNED = text("SELECT chain, max(position) FROM signed_ends GROUP BY chain")
# In the order in which the database hashes them.
EVENTS = text(
    """
    SELECT chain, position, id::text AS id,
           (extract(epoch FROM at) * 1000000)::bigint::text, name,
           actor_id::text, target_id::text, encode(ip_digest, 'hex') AS ip_digest_,
           request_id, details::text,
           previous_hash, hash, ip_address, ip_salt, at
    FROM audit_events ORDER BY chain, position
    """
)
PARTS = 10


class Broken(Exception):
    """The first thing that is not as it was written."""


class End(NamedTuple):
    """How far a chain goes, and the hash of what stands there."""

    position: int
    hash: bytes


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
    signed_at: datetime | None = None
    # The day before which retention has removed everything.
    since: date | None = None
    chains: dict[str, End] = field(default_factory=dict[str, End])
    trimmed: dict[str, Stump] = field(default_factory=dict[str, Stump])


@dataclass(slots=True)
class Chain:
    """One on which the walk is, and what was signed of it further on."""

    name: str
    end: End
    signed: deque[Any]
    signed_at: datetime | None

    def follow(self, row: Any) -> None:
        _check_event(row, self.end.position + 1, self.end.hash)
        self.end = End(row.position, row.hash)
        since = self.signed[0].since if self.signed else self.signed_at
        if since is not None and row.at < since - LEEWAY:
            raise Broken(f"{_named(row)} was put in later")
        while self.signed and self.signed[0].position == row.position:
            if self.signed.popleft().hash != row.hash.hex():
                raise Broken(f"{_named(row)} is not the one that was signed")


@dataclass(frozen=True, slots=True)
class Verification:
    db: Database
    secrets: Secrets

    async def walk(self, progress: Callable[[int], object] | None = None) -> Walk:
        """Check all of it, as it is at one moment: writers go on meanwhile.

        Raises:
            Broken: names the first event or checkpoint that was altered, removed, moved or put in.

        """
        found = Walk()
        async with self.db.unhurried() as connection:
            snapshot = await connection.execution_options(isolation_level="REPEATABLE READ")
            await snapshot.execute(AS_INDEXED)
            found.epoch = await self._epoch(snapshot)
            await self._checkpoints(snapshot, found)
            for statement in SIGNED:
                await snapshot.execute(text(statement))
            await self._announcements(snapshot, found)
            await _stumps(snapshot, found)
            await _events(snapshot, found, progress)
            await _ends(snapshot, found)
        return found

    async def _announcements(self, connection: AsyncConnection, found: Walk) -> None:
        """Find the day before which everything may be missing."""
        for row in await connection.execute(ANNOUNCEMENTS):
            day = announced_day(row, self.secrets)
            if day is None and found.epoch and found.epoch.covers(row.chain, row.position):
                # Of the former secret. Whether it was made by this service cannot be told any more.
                day = date.fromisoformat(row.before)
            if day is None:
                raise Broken(
                    f"event {row.position} of chain {row.chain} (audit.trimmed, {row.id}) was not "
                    "made by this service, or with another SECRET_KEY"
                )
            found.since = max(day, found.since or day)

    async def _epoch(self, connection: AsyncConnection) -> Epoch | None:
        """Find the last beginning of an epoch that was made with one of these secrets."""
        table = models.AuditCheckpoint
        columns = (table.number, table.at, table.previous_hash, table.heads, table.epoch_mac)
        marked = select(*columns).where(table.epoch_mac.is_not(None))
        for row in await connection.execute(marked.order_by(table.number.desc())):
            if self._is_ours(row):
                return Epoch(row.number, row.at, row.previous_hash, row.heads)
        return None

    def _is_ours(self, row: Any) -> bool:
        """Whether the mark of the beginning of an epoch was made with one of these secrets."""
        macs = epoch_macs(self.secrets, row.number, row.previous_hash)
        return any(same(row.epoch_mac, each) for each in macs)

    async def _checkpoints(self, connection: AsyncConnection, found: Walk) -> None:
        table, previous = models.AuditCheckpoint, NOTHING
        every = select(*table.__table__.columns).order_by(table.number)
        async for row in _streamed(connection, every):
            found.checkpoints, found.signed_at = found.checkpoints + 1, row.at
            name = f"checkpoint {row.number} of {row.at:%Y-%m-%d %H:%M:%S} UTC"
            if row.number != found.checkpoints:
                raise Broken(f"checkpoint {found.checkpoints} was removed")
            self._check(row, previous, name, found)
            previous = sha256(row.signature).digest()

    def _check(self, row: Any, previous: bytes, name: str, found: Walk) -> None:
        try:
            jwk = self.secrets.sealer(SEAL).decrypt(row.sealed_public_key)
        except InvalidToken:
            if found.epoch and row.number < found.epoch.number:
                _check_link(row, previous, name)
                found.unopened += 1
                return
            wrong = f"{name} was altered, or was made with another SECRET_KEY"
            raise Broken(wrong) from None
        key: Any = ECAlgorithm(ECAlgorithm.SHA256).from_jwk(orjson.loads(jwk))
        begins_epoch = row.epoch_mac is not None
        said = evidence.checkpoint_text(
            row.number, microseconds(row.at), previous, row.heads, begins_epoch=begins_epoch
        )
        _check_link(row, previous, name)
        if row.sealed_with not in (None, *self.secrets.fingerprints):
            raise Broken(f"{name} was altered")
        if begins_epoch and not self._is_ours(row):
            raise Broken(f"{name} was altered")
        if not evidence.is_signed(key, row.signature, said):
            raise Broken(f"{name} was altered")


def _check_link(row: Any, previous: bytes, name: str) -> None:
    if row.previous_hash != previous:
        raise Broken(f"{name} was altered")


async def _stumps(connection: AsyncConnection, found: Walk) -> None:
    """Check that what was removed was announced, and signed before it was removed."""
    for row in await connection.execute(TRIMMED):
        # What was never signed has no day that can be trusted, and no end.
        if row.signed_position is None or row.position > row.signed_position:
            raise Broken(f"event {(row.signed_position or 0) + 1} of chain {row.chain} was removed")
        if found.since is None or _day(row.chain, row.signed_at) >= found.since:
            raise Broken(f"event 1 of chain {row.chain} was removed")
        found.trimmed[row.chain] = Stump(row.position, row.hash and bytes.fromhex(row.hash))


def _day(chain: str, signed_at: datetime) -> date:
    """The day of a chain, as `audit_day` in the database."""
    return date.fromisoformat(chain[:10]) if DAY.match(chain) else signed_at.date()


async def _events(
    connection: AsyncConnection, found: Walk, progress: Callable[[int], object] | None
) -> None:
    chain: Chain | None = None
    async for row in _streamed(connection, EVENTS):
        if chain is None or row.chain != chain.name:
            start = _start(found, row)
            kept = {"chain": row.chain, "trimmed": start.position}
            signed = deque(await connection.execute(SIGNED_OF, kept))
            chain = Chain(row.chain, start, signed, found.signed_at)
        chain.follow(row)
        found.chains[chain.name] = chain.end
        found.events += 1
        found.erased += row.ip_digest_ is not None and row.ip_address is None
        if progress and found.events % BATCH == 0:
            progress(found.events)


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
    return f"event {row.position} of chain {row.chain} ({row.name}, {row.id})"


async def _streamed(connection: AsyncConnection, statement: Executable) -> AsyncIterator[Any]:
    options = {"yield_per": BATCH}
    result = await connection.stream(statement, execution_options=options)
    async for row in result:
        yield row


async def _ends(connection: AsyncConnection, found: Walk) -> None:
    """Compare how far the chains go with how far they should, by who appends and by who signs."""
    table, nothing = models.AuditChain, End(0, b"")
    columns = (table.position, table.hash, table.chain, table.signed_position)
    ends = {row.chain: row for row in await connection.execute(select(*columns))}
    signed = {row.chain: row.max for row in await connection.execute(LAST_SIGNED)}
    for chain in sorted({*found.chains, *ends, *signed}):
        walked = found.chains.get(chain) or found.trimmed.get(chain, nothing)
        end = ends.get(chain)
        kept = End(*end[:2]) if end else nothing
        if walked.position < max(kept.position, signed.get(chain, 0)):
            raise Broken(f"event {walked.position + 1} of chain {chain} was removed")
        if walked.position > kept.position:
            raise Broken(f"event {kept.position + 1} of chain {chain} was put in")
        if walked.hash != kept.hash:
            raise Broken(f"the end of chain {chain} was altered")
        if end and end.signed_position > signed.get(chain, 0):
            raise Broken(f"checkpoint {found.checkpoints + 1} was removed")
