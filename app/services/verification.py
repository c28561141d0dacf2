"""Walking the audit: every event hashed anew, every chain to its end, every signature checked."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
from cryptography.fernet import InvalidToken
from jwt.algorithms import ECAlgorithm
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import models
from app.db import Database
from app.security import evidence
from app.security.keys import Secrets
from app.services.checkpoints import NOTHING, SEAL, microseconds

BATCH = 2000
# In the order in which the database hashes them.
EVENTS = text(
    """
    SELECT chain, position, id::text AS id,
           (extract(epoch FROM at) * 1000000)::bigint::text, name,
           actor_id::text, target_id::text, encode(ip_digest, 'hex') AS ip_digest_,
           request_id, details::text,
           previous_hash, hash, ip_address, ip_salt
    FROM audit_events ORDER BY chain, position
    """
)
PARTS = 10


class Broken(Exception):
    """The first thing that is not as it was written."""


@dataclass(slots=True)
class Walk:
    """What has been found so far."""

    events: int = 0
    erased: int = 0
    checkpoints: int = 0
    chains: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Verification:
    db: Database
    secrets: Secrets

    async def walk(self, progress: Callable[[int], object] | None = None) -> Walk:
        """Check all of it, as it is at one moment: writers go on meanwhile.

        Raises:
            Broken: names the first event or checkpoint that was altered, removed or moved.

        """
        found = Walk()
        async with self.db.engine.connect() as connection:
            snapshot = await connection.execution_options(isolation_level="REPEATABLE READ")
            await snapshot.execute(text("SET LOCAL statement_timeout = 0"))
            await snapshot.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            signed = await self._checkpoints(snapshot, found)
            await _events(snapshot, found, signed, progress)
            await _ends(snapshot, found)
        return found

    async def _checkpoints(
        self, connection: AsyncConnection, found: Walk
    ) -> dict[tuple[str, int], str]:
        """Check the signatures, and give what they say: the hash at a place in a chain."""
        table, previous, heads = models.AuditCheckpoint, NOTHING, dict[tuple[str, int], str]()
        rows = await connection.execute(select(*table.__table__.columns).order_by(table.number))
        for row in rows:
            found.checkpoints += 1
            name = f"checkpoint {row.number} of {row.at:%Y-%m-%d %H:%M:%S} UTC"
            if row.number != found.checkpoints:
                raise Broken(f"checkpoint {found.checkpoints} was removed")
            self._check(row, previous, name)
            previous = sha256(row.signature).digest()
            heads |= {(chain, head[0]): head[1] for chain, head in row.heads.items()}
        return heads

    def _check(self, row: Any, previous: bytes, name: str) -> None:
        try:
            jwk = self.secrets.sealer(SEAL).decrypt(row.sealed_public_key)
        except InvalidToken:
            wrong = f"{name} was altered, or was made with another SECRET_KEY"
            raise Broken(wrong) from None
        key: Any = ECAlgorithm(ECAlgorithm.SHA256).from_jwk(orjson.loads(jwk))
        said = evidence.checkpoint_text(row.number, microseconds(row.at), previous, row.heads)
        if row.previous_hash != previous or not evidence.is_signed(key, row.signature, said):
            raise Broken(f"{name} was altered")


async def _events(
    connection: AsyncConnection,
    found: Walk,
    signed: dict[tuple[str, int], str],
    progress: Callable[[int], object] | None,
) -> None:
    previous = b""
    async for row in _streamed(connection):
        chain, position, *_ = row
        if chain not in found.chains:
            _finished(found, signed)
            found.chains[chain], previous = 0, evidence.first_hash(chain)
        _check_event(row, found.chains[chain] + 1, previous)
        previous = row.hash
        found.chains[chain] = position
        said = signed.pop((chain, position), None)
        if said not in {None, row.hash.hex()}:
            raise Broken(f"{_named(row)} is not the one that was signed")
        found.events += 1
        found.erased += row.ip_digest_ is not None and row.ip_address is None
        if progress and found.events % BATCH == 0:
            progress(found.events)
    _finished(found, signed, everything=True)


def _finished(found: Walk, signed: dict[tuple[str, int], str], *, everything: bool = False) -> None:
    """After the last event of a chain, or of all: whatever was signed must have come by."""
    done = set(found.chains)
    for chain, position in signed:
        if chain in done or everything:
            raise Broken(f"event {position} of chain {chain} was removed")


def _check_event(row: Any, expected: int, previous: bytes) -> None:
    if row.position != expected:
        raise Broken(f"event {expected} of chain {row.chain} was removed")
    if row.previous_hash != previous:
        raise Broken(f"{_named(row)} was altered or moved")
    parts = [None if each is None else str(each) for each in row[:PARTS]]
    if evidence.event_hash(previous, parts) != row.hash:
        raise Broken(f"{_named(row)} was altered")
    if row.ip_address is None:
        return
    if (
        row.ip_salt is None
        or row.ip_digest_ != evidence.address_digest(row.ip_salt, row.ip_address).hex()
    ):
        raise Broken(f"{_named(row)} was altered: its address is another one")


def _named(row: Any) -> str:
    return f"event {row.position} of chain {row.chain} ({row.name}, {row.id})"


async def _streamed(connection: AsyncConnection) -> AsyncIterator[Any]:
    options = {"yield_per": BATCH}
    result = await connection.stream(EVENTS, execution_options=options)
    async for row in result:
        yield row


async def _ends(connection: AsyncConnection, found: Walk) -> None:
    table = models.AuditChain
    for chain, position in await connection.execute(select(table.chain, table.position)):
        if found.chains.get(chain, 0) != position:
            last = found.chains.get(chain, 0) + 1
            raise Broken(f"event {last} of chain {chain} was removed")
