"""Walking the audit: every event hashed anew, every chain to its end, every signature checked."""

import re
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from cryptography.fernet import InvalidToken
from sqlalchemy import Executable, Row, TextClause, insert, literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit.models import AuditChain, AuditCheckpoint, AuditVerification
from app.audit.services.checkpoint_files import EPOCH, Checkpoint
from app.audit.services.checkpoints import NOTHING, SEAL, epoch_macs, microseconds
from app.audit.services.definitions import differences
from app.audit.services.retention import ANNOUNCEMENTS, announced_day
from app.database.database import Database
from app.database.grants import ExcessPrivileges, excess_privileges_of_granted_roles
from app.database.identifiers import new_id
from app.database.migration_table import TABLE
from app.database.migrations import head
from app.security import evidence
from app.security.keys import Secrets, mac, same
from app.text.visible import one_line

BATCH = 2000
# An event is signed by the next checkpoint, so it is hardly older than the one before that: by as
# long as its transaction took, and as clocks differ. What is older was put in later.
LEEWAY = timedelta(hours=1)
# However long the audit is, it is read as its index has it, and not sorted first.
AS_INDEXED = text("SET LOCAL enable_sort = off")
# A checkpoint that was altered says nothing about chains, nor do those after it: only as many are
# read as were found valid.
SIGNED_OF = text(
    """
    SELECT number, (heads->:chain->>0)::bigint AS position, heads->:chain->>1 AS hash
    FROM audit_checkpoints WHERE heads ? :chain AND number <= :valid
    ORDER BY position, number
    """
)
ENDS = """
    SELECT ends.key AS chain, (ends.value->>0)::bigint AS position, ends.value->>1 AS hash,
           number, at
    FROM audit_checkpoints, jsonb_each(heads) AS ends WHERE number <= :valid
"""
# Where the events of a chain that was trimmed begin, and what was signed of it.
TRIMMED = text(
    f"""
    SELECT c.chain, trimmed_position AS position,
           max(s.hash) FILTER (WHERE s.position = trimmed_position) AS hash,
           max(s.position) AS signed_position,
           (array_agg(s.at ORDER BY number))[1] AS signed_at
    FROM audit_chains c LEFT JOIN ({ENDS}) AS s ON s.chain = c.chain
    WHERE trimmed_position <> 0 GROUP BY c.chain ORDER BY c.chain
    """  # noqa: S608 - a query of ours
)
REVISION = text(f"SELECT version_num FROM {TABLE}")  # noqa: S608 - a name of ours
SIGNATURES = text("SELECT number, signature FROM audit_checkpoints ORDER BY number")
KEPT_ENDS = text(
    """
    SELECT kept.chain, kept.position, e.hash, coalesce(c.trimmed_position, 0) AS trimmed
    FROM unnest(CAST(:chains AS text[]), CAST(:positions AS bigint[])) AS kept(chain, position)
    LEFT JOIN audit_chains c ON c.chain = kept.chain
    LEFT JOIN audit_events e ON e.chain = kept.chain AND e.position = kept.position
    ORDER BY kept.chain
    """
)
RECORDABLE = text(
    "SELECT current_setting('transaction_read_only') = 'off'"
    " AND has_table_privilege('audit_verifications', 'INSERT')"
)
# Those of the future are of a wrong clock, or made to stand before all that come.
RECORDED = "SELECT * FROM audit_verifications WHERE at <= :now"
NEWEST = text(f"{RECORDED} ORDER BY at DESC")
LONGEST_VALID = text(f"{RECORDED} AND valid ORDER BY checkpoints DESC, at DESC")
RECORD = "audit-verification"
EARLIER = (
    "{name} is more than an hour earlier than the one before it: the clock of a server that made "
    "one of them was wrong"
)
NOT_OPENED = "{name} was altered, or was made with another SECRET_KEY"
DAY = re.compile(r"\d{4}-\d{2}-\d{2}/")
LAST_SIGNED = text(f"SELECT chain, max(position) FROM ({ENDS}) AS s GROUP BY chain")  # noqa: S608 - a query of ours
# Whoever removes all of the audit leaves the people of whom it told.
EMPTIED = text(
    "SELECT NOT EXISTS (SELECT FROM audit_chains) AND EXISTS (SELECT FROM users) AS emptied"
)
# The database refuses other times, which Python cannot hold. Whoever owns it can put some there.
READABLE = "CASE WHEN at BETWEEN '2000-01-01 00:00Z' AND '9000-01-01 00:00Z' THEN at END"
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
CHECKPOINTS = select(
    *(column for column in AuditCheckpoint.__table__.columns if column.name != "at"),
    literal_column(READABLE, AuditCheckpoint.__table__.c.at.type).label("at"),
)
PARTS = 10


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


@dataclass(frozen=True, slots=True)
class Verification:
    db: Database
    secrets: Secrets
    clock: Callable[[], datetime]

    async def walk(
        self,
        progress: Callable[[int], object] | None = None,
        against: Iterable[Checkpoint] | None = None,
    ) -> Walk:
        """Check all of it, as it is at one moment: writers go on meanwhile.

        `against` are checkpoints that were kept elsewhere, in the order of their numbers.

        Raises:
            Broken: names the first event, chain and checkpoint that was altered, removed, moved or
                put in, and everything else that is not as this release has made it.
            InvalidFile: from `against`.

        """
        found = await self.look(progress, against)
        if found.findings:
            raise Broken(*found.findings)
        return found

    async def look(
        self,
        progress: Callable[[int], object] | None = None,
        against: Iterable[Checkpoint] | None = None,
    ) -> Walk:
        """Do the same, and return with what was found."""
        found = Walk()
        async with self.db.unlimited_connection() as connection:
            snapshot = await connection.execution_options(isolation_level="REPEATABLE READ")
            await snapshot.execute(AS_INDEXED)
            found.epoch = await self._epoch(snapshot)
            with found.noticing():
                await self._checkpoints(snapshot, found)
            found.checkpoints_valid = not found.findings
            with found.noticing():
                await self._announcements(snapshot, found)
            with found.noticing():
                await _stumps(snapshot, found)
            with found.noticing():
                await _events(snapshot, found, progress)
            with found.noticing():
                await _ends(snapshot, found)
            with found.noticing():
                _check_unsigned(found)
            with found.noticing():
                await _check_emptied(snapshot)
            with found.noticing():
                _check_former(await self._recorded(snapshot, LONGEST_VALID), found)
            with found.noticing():
                await _check_definitions(snapshot)
            if against is not None:
                with found.noticing():
                    await _compare(snapshot, found, against)
            found.warnings += await _excess(snapshot)
        return found

    async def record(self, found: Walk) -> bool:
        """Note what was found, for the next run and the metrics; returns whether it could be.

        It cannot on a standby, nor by a role that may only read.
        """
        if not (await self.db.rows(RECORDABLE))[0][0]:
            return False
        now = self.clock()
        row: dict[str, Any] = {
            "id": new_id(now),
            "at": now,
            "valid": not found.findings,
            "events": found.events,
            "checkpoints": found.checkpoints,
            "latest_event_at": found.latest,
        }
        row["mac"] = record_macs(self.secrets, **row)[0]
        async with self.db.begin() as session:
            await session.execute(insert(AuditVerification), row)
        return True

    async def last(self) -> Row[Any] | None:
        """Returns the last verification, None if none was recorded with one of these secrets."""
        async with self.db.begin() as session:
            return await self._recorded(await session.connection(), NEWEST)

    async def _recorded(
        self, connection: AsyncConnection, statement: TextClause
    ) -> Row[Any] | None:
        """Returns the first verification that was recorded with one of these secrets."""
        rows = _streamed(connection, statement.bindparams(now=self.clock()))
        async with aclosing(rows):
            async for row in rows:
                if self._is_recorded(row):
                    return row
        return None

    def _is_recorded(self, row: Any) -> bool:
        macs = record_macs(
            self.secrets,
            id=row.id,
            at=row.at,
            valid=row.valid,
            events=row.events,
            checkpoints=row.checkpoints,
            latest_event_at=row.latest_event_at,
        )
        return any(same(row.mac, each) for each in macs)

    async def check_present(self, kept: Checkpoint) -> None:
        """Return if the database has a checkpoint that was kept elsewhere.

        Raises:
            Broken: it has another one of this number, or none.

        """
        asked = select(AuditCheckpoint.signature)
        rows = await self.db.rows(asked.where(AuditCheckpoint.number == kept.number))
        if [row.signature for row in rows] != [kept.signature]:
            raise Broken(
                f"the database does not have checkpoint {kept.number}, the last one in the file. "
                "`portico audit verify --against` says what it has"
            )

    async def checkpoints(self, after: int = 0) -> AsyncIterator[Checkpoint]:
        """Give the checkpoints that follow a number.

        Raises:
            Broken: one was altered.

        """
        table = AuditCheckpoint
        later = CHECKPOINTS.where(table.number > after)
        async with self.db.unlimited_connection() as connection:
            epoch = await self._epoch(connection)
            async for row in _streamed(connection, later.order_by(table.number)):
                checkpoint = self._opened(row)
                if checkpoint is not None:
                    yield checkpoint
                # Only the former secret opens what was before an epoch: a file begins with that.
                elif after or not _is_former(row, epoch):
                    raise Broken(NOT_OPENED.format(name=_checkpoint_name(row)))

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

    async def _checkpoints(self, connection: AsyncConnection, found: Walk) -> None:
        table, previous = AuditCheckpoint, NOTHING
        every = CHECKPOINTS.order_by(table.number)
        try:
            async for row in _streamed(connection, every):
                if row.number != found.checkpoints + 1:
                    raise Broken(f"checkpoint {found.checkpoints + 1} was removed")
                self._check(row, previous, found)
                if found.signed_at and row.at < found.signed_at - LEEWAY:
                    found.warnings.append(EARLIER.format(name=_checkpoint_name(row)))
                found.checkpoints, found.signed_at = row.number, row.at
                found.earliest.append(microseconds(row.at))
                previous = sha256(row.signature).digest()
        finally:
            for index in reversed(range(len(found.earliest) - 1)):
                found.earliest[index] = min(found.earliest[index : index + 2])

    def _check(self, row: Any, previous: bytes, found: Walk) -> None:
        checkpoint = self._opened(row)
        name = _checkpoint_name(row)
        if row.previous_hash != previous:
            raise Broken(f"{name} was altered")
        if checkpoint is None:
            if not _is_former(row, found.epoch):
                raise Broken(NOT_OPENED.format(name=name))
            found.unopened += 1
        elif not checkpoint.is_signed() or not self._is_as_sealed(row):
            raise Broken(f"{name} was altered")

    def _opened(self, row: Any) -> Checkpoint | None:
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


def _is_former(row: Any, epoch: Epoch | None) -> bool:
    """Whether only a secret that was declared compromised since can open a checkpoint."""
    return epoch is not None and row.number < epoch.number


def _checkpoint_name(row: Any) -> str:
    return f"checkpoint {row.number} of {row.at:%Y-%m-%d %H:%M:%S} UTC"


async def _stumps(connection: AsyncConnection, found: Walk) -> None:
    """Check that what was removed was announced, and signed before it was removed."""
    rows = (await connection.execute(TRIMMED, {"valid": found.checkpoints})).all()
    for row in rows:
        found.trimmed[row.chain] = Stump(row.position, row.hash and bytes.fromhex(row.hash))
    if not found.checkpoints_valid:
        return
    for row in rows:
        # What was never signed has no day that can be trusted, and no end.
        if row.signed_position is None or row.position > row.signed_position:
            raise Broken(f"event {(row.signed_position or 0) + 1} of chain {row.chain} was removed")
        if found.since is None or _day(row.chain, row.signed_at) >= found.since:
            raise Broken(f"event 1 of chain {row.chain} was removed")


def _day(chain: str, signed_at: datetime) -> date:
    """The day of a chain, as `audit_day` in the database."""
    return date.fromisoformat(chain[:10]) if DAY.match(chain) else signed_at.date()


async def _events(
    connection: AsyncConnection, found: Walk, progress: Callable[[int], object] | None
) -> None:
    """Walk all chains, those after one that is broken too; the first that is broken is named."""
    chain: Chain | None = None
    first: Broken | None = None
    async for row in _streamed(connection, EVENTS):
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


async def _streamed(connection: AsyncConnection, statement: Executable) -> AsyncGenerator[Any]:
    options = {"yield_per": BATCH}
    result = await connection.stream(statement, execution_options=options)
    async for row in result:
        yield row


async def _ends(connection: AsyncConnection, found: Walk) -> None:
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


def _check_unsigned(found: Walk) -> None:
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


async def _check_emptied(connection: AsyncConnection) -> None:
    if (await connection.execute(EMPTIED)).scalar_one():
        raise Broken("the audit is empty though there are users: all of it was removed")


def record_macs(
    secrets: Secrets,
    *,
    id: UUID,  # noqa: A002 - the name of the column
    at: datetime,
    valid: bool,
    events: int,
    checkpoints: int,
    latest_event_at: datetime | None,
) -> list[bytes]:
    """What each secret makes of a recorded verification, the first secret's first."""
    latest = "" if latest_event_at is None else microseconds(latest_event_at)
    parts = (id.bytes, microseconds(at), int(valid), events, checkpoints, latest)
    return [mac(key, *parts) for key in secrets.derive(RECORD)]


def _check_former(former: Row[Any] | None, found: Walk) -> None:
    """Notice that there is less than the last valid verification found."""
    # What cannot be told from what is broken is not said.
    if former is None or found.findings:
        return
    when = f"the verification of {former.at:%Y-%m-%d %H:%M:%S} UTC"
    if found.checkpoints < former.checkpoints:
        raise Broken(
            f"{when} found {former.checkpoints} checkpoints, now there are {found.checkpoints}: "
            "the last ones were removed"
        )
    latest = former.latest_event_at
    if latest is None or (found.latest is not None and found.latest >= latest):
        return
    if found.since is None or latest.date() >= found.since:
        raise Broken(f"{when} found events until {latest:%Y-%m-%d %H:%M:%S} UTC: they were removed")


async def _check_definitions(connection: AsyncConnection) -> None:
    # A newer release may have changed them.
    if head() not in (await connection.scalars(REVISION)).all():
        return
    different = await differences(connection)
    if different:
        raise Broken(*different)


async def _compare(connection: AsyncConnection, found: Walk, against: Iterable[Checkpoint]) -> None:
    """Check that the database has what a file has: its checkpoints, and the ends they signed."""
    first: Checkpoint | None = None
    last: Checkpoint | None = None
    present: int | None = None
    ends: dict[str, Any] = {}
    rows = _streamed(connection, SIGNATURES)
    for kept in against:
        first, last = first or kept, kept
        ends.update(kept.heads)
        row = await _reach(rows, kept.number) if present is None else None
        if row is None:
            present = kept.number - 1 if present is None else present
        elif row.number != kept.number:
            raise Broken(f"checkpoint {kept.number}, which is in the file, was removed")
        elif row.signature != kept.signature:
            raise Broken(
                f"checkpoint {kept.number} of {kept.moment:%Y-%m-%d %H:%M:%S} UTC is not the one "
                "in the file: the audit was written anew, or is another one"
            )
    await rows.aclose()
    if first is None or last is None:
        raise Broken("the file has no checkpoints")
    if present is not None:
        raise Broken(
            f"the database ends at checkpoint {present}, the file knows {last.number}: it was "
            "restored from an older backup, or its last checkpoints were removed"
        )
    await _compare_ends(connection, ends)
    found.against = Against(first, last)


async def _reach(rows: AsyncIterator[Any], number: int) -> Any:
    """Returns the first row from a number on, None if there is none."""
    async for row in rows:
        if row.number >= number:
            return row
    return None


async def _compare_ends(connection: AsyncConnection, ends: Mapping[str, Any]) -> None:
    asked = {"chains": list(ends), "positions": [position for position, _ in ends.values()]}
    for row in await connection.execute(KEPT_ENDS, asked):
        if row.hash is None and row.trimmed < row.position:
            raise Broken(
                f"event {row.position} of chain {row.chain} is in the file, and was removed"
            )
        if row.hash is not None and row.hash.hex() != ends[row.chain][1]:
            raise Broken(f"event {row.position} of chain {row.chain} is not the one in the file")


async def _excess(connection: AsyncConnection) -> list[str]:
    """Say which of the roles that serve can do more than serving takes."""
    return [
        f"{excess}. {_mend(excess)}"
        for excess in await excess_privileges_of_granted_roles(connection)
    ]


def _mend(excess: ExcessPrivileges) -> str:
    if excess.remedy is None:
        return f"`portico db grant {excess.role}` takes away what it was given"
    return f"What takes that away is {excess.remedy}"
