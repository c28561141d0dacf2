"""The ring of signing keys: made on first need, agreed on through the database, rotated by age.

A key is published a day before it signs, so that whoever caches the JWKS has it by then, and stays
until the last token it signed is gone.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import models
from app.db import Database
from app.security.keys import KeyPair, Secrets

ROTATION_LOCK = 0x6B657973  # "keys"
PUBLISH_AHEAD = timedelta(days=1)
REFRESH_SECONDS = 60
LOOK_AGAIN_SECONDS = 0.5


@dataclass(slots=True)
class SigningKeys:
    db: Database
    secrets: Secrets
    clock: Callable[[], datetime]
    rotate_after: timedelta
    token_lifetime: timedelta
    _pairs: dict[str, KeyPair] = field(default_factory=dict[str, KeyPair])
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _looked_at: float = 0.0

    async def refresh(self) -> None:
        """Load the ring, adding and dropping keys when it is time. Safe on every worker at once."""
        now = self.clock()
        async with self.db.begin() as session:
            await session.execute(select(func.pg_advisory_xact_lock(ROTATION_LOCK)))
            pairs = await self._load(session)
            newest = max((pair.signs_from for pair in pairs), default=None)
            if newest is None:
                pairs.append(await self._add(session, now))
            elif newest + self.rotate_after - PUBLISH_AHEAD <= now:
                pairs.append(
                    await self._add(session, max(now + PUBLISH_AHEAD, newest + self.rotate_after))
                )
            pairs = await self._drop_outlived(session, pairs, now)
        self._pairs = {pair.id: pair for pair in pairs}

    async def rotate(self) -> str:
        """Make a key that signs from now on and give its id. Tokens of the former stay valid."""
        async with self.db.begin() as session:
            await session.execute(select(func.pg_advisory_xact_lock(ROTATION_LOCK)))
            pair = await self._add(session, self.clock())
        self._pairs[pair.id] = pair
        return pair.id

    @property
    def can_sign(self) -> bool:
        return bool(self._pairs)

    def signing_key(self) -> KeyPair:
        now = self.clock()
        ready = [pair for pair in self._pairs.values() if pair.signs_from <= now]
        return max(ready or self._pairs.values(), key=lambda pair: pair.signs_from)

    async def verifying_key(self, key_id: str) -> ec.EllipticCurvePublicKey | None:
        if key_id not in self._pairs:
            await self._look_again()
        pair = self._pairs.get(key_id)
        return pair.public if pair else None

    def jwks(self) -> dict[str, Any]:
        """Everything that verifies now or will soon (RFC 7517)."""
        newest_first = sorted(self._pairs.values(), key=lambda pair: pair.signs_from, reverse=True)
        return {"keys": [pair.jwk() for pair in newest_first]}

    async def _look_again(self) -> None:
        # Another worker may have made a key a moment ago, so an unknown id is looked up; but
        # strangers can send any id, so all who wait share one look, and looks keep their distance
        # from each other.
        arrived = time.monotonic()
        async with self._looking:
            if self._looked_at >= arrived:
                return
            await asyncio.sleep(max(0.0, self._looked_at + LOOK_AGAIN_SECONDS - time.monotonic()))
            self._looked_at = time.monotonic()
            async with self.db.begin() as session:
                pairs = await self._load(session)
            self._pairs = {pair.id: pair for pair in pairs}

    async def _load(self, session: AsyncSession) -> list[KeyPair]:
        rows = await session.scalars(
            select(models.SigningKey).order_by(models.SigningKey.signs_from)
        )
        return [
            KeyPair.load(row.id, self.secrets.open(row.sealed_private_key), row.signs_from)
            for row in rows
        ]

    async def _add(self, session: AsyncSession, signs_from: datetime) -> KeyPair:
        pair = KeyPair.generate(signs_from)
        session.add(
            models.SigningKey(
                id=pair.id,
                public_jwk=pair.jwk(),
                sealed_private_key=self.secrets.seal(pair.private_bytes()),
                created_at=self.clock(),
                signs_from=signs_from,
            )
        )
        return pair

    async def _drop_outlived(
        self, session: AsyncSession, pairs: list[KeyPair], now: datetime
    ) -> list[KeyPair]:
        ordered = sorted(pairs, key=lambda pair: pair.signs_from)
        # A key signs until the next one does; a refresh later every worker knows, a lifetime later
        # its tokens are gone.
        last_needed = self.token_lifetime + timedelta(seconds=2 * REFRESH_SECONDS)
        outlived = {
            pair.id
            for pair, successor in pairwise(ordered)
            if successor.signs_from + last_needed < now
        }
        if outlived:
            await session.execute(
                delete(models.SigningKey).where(models.SigningKey.id.in_(outlived))
            )
        return [pair for pair in pairs if pair.id not in outlived]
