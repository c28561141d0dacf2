"""Checkpoints: signatures over the ends of all chains with new events, made periodically."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import orjson
from sqlalchemy import ColumnElement, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.models import AuditChain, AuditCheckpoint
from app.clock import Clock
from app.database.database import Database
from app.keys.services.signing_keys import SigningKeys
from app.security import evidence
from app.security.keys import KeyPair, Secrets, mac

LOCK = 0x636865636B  # "check"
SEAL_PURPOSE = "audit-key-seal"
EPOCH_PURPOSE = "audit-epoch"
EMPTY_HASH = sha256(b"").digest()


class LastCheckpoint(NamedTuple):
    """The number of the last checkpoint, 0 if there is none, and its hash."""

    number: int
    # SHA-256 of its signature.
    hash: bytes


NO_CHECKPOINT = LastCheckpoint(0, EMPTY_HASH)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Checkpoints are signed with the current signing key of access tokens.

    Each row keeps the public half, since signing keys are deleted once their tokens have expired.
    It is sealed under SECRET_KEY: an attacker with access to the database alone cannot put in
    another key. The database refuses rows that are sealed under a compromised secret.
    """

    db: Database
    keys: SigningKeys
    secrets: Secrets
    clock: Clock

    async def sign(self) -> bool:
        """Sign the chains with new events; returns whether there were any."""
        chain = AuditChain
        async with self.db.begin() as session:
            await self.lock(session)
            grown = await self._ends(session, chain.position > chain.signed_position)
            if not grown or not self.keys.can_sign:
                return False
            await self._sign(session, grown, self.keys.signing_key(), await self.last(session))
        return True

    async def lock(self, session: AsyncSession) -> None:
        """Building block: let no other process sign until the transaction ends."""
        await session.execute(select(func.pg_advisory_xact_lock(LOCK)))

    async def begin_epoch(self, session: AsyncSession, key: KeyPair) -> None:
        """Building block: sign the ends of all chains after a leak of SECRET_KEY.

        So all earlier events can be verified with the new secret alone.
        """
        ends = await self._ends(session, true())
        await self._sign(session, ends, key, await self.last(session), begins_epoch=True)

    async def last(self, session: AsyncSession) -> LastCheckpoint:
        """Building block: returns the last checkpoint."""
        table = AuditCheckpoint
        newest = select(table.number, table.signature).order_by(table.number.desc()).limit(1)
        last = (await session.execute(newest)).one_or_none()
        return (
            LastCheckpoint(last.number, sha256(last.signature).digest()) if last else NO_CHECKPOINT
        )

    async def _ends(
        self, session: AsyncSession, condition: ColumnElement[bool]
    ) -> dict[str, list[int | str]]:
        """Lock and return the ends of chains, in the order in which writers lock them."""
        chain = AuditChain
        ends = select(chain.chain, chain.position, chain.hash).where(condition)
        rows = await session.execute(ends.order_by(chain.chain).with_for_update())
        return {row.chain: [row.position, row.hash.hex()] for row in rows}

    async def _sign(
        self,
        session: AsyncSession,
        heads: dict[str, list[int | str]],
        key: KeyPair,
        last: LastCheckpoint,
        *,
        begins_epoch: bool = False,
    ) -> None:
        table, chain, now = AuditCheckpoint, AuditChain, self.clock()
        number, previous = last.number + 1, last.hash
        text = evidence.checkpoint_text(
            number, microseconds(now), previous, heads, begins_epoch=begins_epoch
        )
        jwk = orjson.dumps(key.jwk())
        row = {
            "number": number,
            "at": now,
            "previous_hash": previous,
            "heads": heads,
            "sealed_public_key": self.secrets.sealer(SEAL_PURPOSE).encrypt(jwk).decode("ascii"),
            "sealed_with": self.secrets.sealing_fingerprint,
            "signature": evidence.sign(key.private, text),
            "epoch_mac": epoch_macs(self.secrets, number, previous)[0] if begins_epoch else None,
        }
        await session.execute(insert(table), row)
        signed = update(chain).where(chain.chain.in_(list(heads)))
        await session.execute(signed.values(signed_position=chain.position))


def epoch_macs(secrets: Secrets, number: int, previous_hash: bytes) -> list[bytes]:
    """Returns the MAC of the first checkpoint of an epoch under each secret, in their order."""
    return [mac(key, number, previous_hash) for key in secrets.derive(EPOCH_PURPOSE)]


def microseconds(moment: datetime) -> int:
    """Returns the microseconds since 1970, without rounding."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
