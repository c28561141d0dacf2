"""Checkpoints: from time to time the ends of all chains that have grown are signed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import orjson
from sqlalchemy import func, insert, select, update

from app import models
from app.db import Database
from app.security import evidence
from app.security.keys import Secrets
from app.services.signing_keys import SigningKeys

LOCK = 0x636865636B  # "check"
SEAL = "audit-key-seal"
NOTHING = sha256(b"").digest()


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Signed with the key that signs tokens just then, whose public half is kept with it.

    Keys go when their tokens are gone. The kept half is sealed under SECRET_KEY: whoever has the
    database alone can put none of their own there.
    """

    db: Database
    keys: SigningKeys
    secrets: Secrets
    clock: Callable[[], datetime]

    async def sign(self) -> bool:
        """Sign what has grown since the last one; say whether anything had."""
        table, now = models.AuditCheckpoint, self.clock()
        async with self.db.begin() as session:
            await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
            last = (
                await session.execute(
                    select(table.number, table.signature).order_by(table.number.desc()).limit(1)
                )
            ).one_or_none()
            chain = models.AuditChain
            # In the order in which a writer could hold two of them, around midnight.
            longer = select(chain.chain, chain.position, chain.hash).where(
                chain.position > chain.signed_position
            )
            ends = await session.execute(longer.order_by(chain.chain).with_for_update())
            grown = {each.chain: [each.position, each.hash.hex()] for each in ends}
            if not grown:
                return False
            number = last.number + 1 if last else 1
            previous = sha256(last.signature).digest() if last else NOTHING
            key = self.keys.signing_key()
            text = evidence.checkpoint_text(number, microseconds(now), previous, grown)
            jwk = orjson.dumps(key.jwk())
            row = {
                "number": number,
                "at": now,
                "previous_hash": previous,
                "heads": grown,
                "sealed_public_key": self.secrets.sealer(SEAL).encrypt(jwk).decode("ascii"),
                "signature": evidence.sign(key.private, text),
            }
            await session.execute(insert(table), row)
            signed = update(chain).where(chain.chain.in_(list(grown)))
            await session.execute(signed.values(signed_position=chain.position))
        return True


def microseconds(moment: datetime) -> int:
    """Since 1970, exact, as the database counts them."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond
