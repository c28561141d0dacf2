"""Checkpoints: from time to time the ends of all chains that have grown are signed."""

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
SEAL = "audit-key-seal"
EPOCH = "audit-epoch"
NOTHING = sha256(b"").digest()


class LastCheckpoint(NamedTuple):
    """What the audit ends with: the number of its last checkpoint, 0 if there is none."""

    number: int
    # SHA-256 of the signature of the last one.
    hash: bytes


NONE_YET = LastCheckpoint(0, NOTHING)


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Signed with the key that signs tokens just then, whose public half is kept with it.

    Keys go when their tokens are gone. The kept half is sealed under SECRET_KEY: whoever has the
    database alone can put none of their own there. The database refuses what is sealed under a
    secret that was declared compromised.
    """

    db: Database
    keys: SigningKeys
    secrets: Secrets
    clock: Clock

    async def sign(self) -> bool:
        """Sign what has grown since the last one; say whether anything had."""
        chain = AuditChain
        async with self.db.begin() as session:
            await self.hold(session)
            longer = await self._ends(session, chain.position > chain.signed_position)
            if not longer or not self.keys.can_sign:
                return False
            await self._sign(session, longer, self.keys.signing_key(), await self.last(session))
        return True

    async def hold(self, session: AsyncSession) -> None:
        """Building block: let nobody else sign until the transaction is over."""
        await session.execute(select(func.pg_advisory_xact_lock(LOCK)))

    async def begin_epoch(self, session: AsyncSession, key: KeyPair) -> None:
        """Building block: sign the ends of all chains, for whoever has the new secret alone.

        It covers all that was written before, whose own signatures need the former secret.
        """
        every = await self._ends(session, true())
        await self._sign(session, every, key, await self.last(session), begins_epoch=True)

    async def last(self, session: AsyncSession) -> LastCheckpoint:
        """Building block: what the audit ends with now."""
        table = AuditCheckpoint
        newest = select(table.number, table.signature).order_by(table.number.desc()).limit(1)
        last = (await session.execute(newest)).one_or_none()
        return LastCheckpoint(last.number, sha256(last.signature).digest()) if last else NONE_YET

    async def _ends(
        self, session: AsyncSession, which: ColumnElement[bool]
    ) -> dict[str, list[int | str]]:
        """Hold the ends of chains, in the order in which a writer could hold two of them."""
        chain = AuditChain
        ends = select(chain.chain, chain.position, chain.hash).where(which)
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
            "sealed_public_key": self.secrets.sealer(SEAL).encrypt(jwk).decode("ascii"),
            "sealed_with": self.secrets.sealing_fingerprint,
            "signature": evidence.sign(key.private, text),
            "epoch_mac": epoch_macs(self.secrets, number, previous)[0] if begins_epoch else None,
        }
        await session.execute(insert(table), row)
        signed = update(chain).where(chain.chain.in_(list(heads)))
        await session.execute(signed.values(signed_position=chain.position))


def epoch_macs(secrets: Secrets, number: int, previous_hash: bytes) -> list[bytes]:
    """What each secret makes of the beginning of an epoch, the first secret's first."""
    return [mac(key, number, previous_hash) for key in secrets.derive(EPOCH)]


def microseconds(moment: datetime) -> int:
    """Since 1970, exact, as the database counts them."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
