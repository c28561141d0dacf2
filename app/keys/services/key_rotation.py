"""Rotation of signing keys: the next key is published before it signs, and old ones are deleted.

Until the next key signs, everybody who caches the JWKS has it. A key is deleted once the last token
that it signed has expired.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock
from app.database.database import Database
from app.errors import Misconfigured
from app.keys.models import SigningKey
from app.keys.services.fleet_secrets import ANNOUNCE_SECONDS as REFRESH_SECONDS
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.key_ring import KeyRing
from app.security.keys import KeyPair, Secrets

LOCK = 0x6B657973  # "keys"
PUBLISH_AHEAD = timedelta(days=1)
# How long others may cache the JWKS (`Cache-Control` of its route).
JWKS_MAX_AGE = timedelta(minutes=5)
# Then every copy of the JWKS and every server has a new key.
KNOWN_AFTER = JWKS_MAX_AGE + timedelta(seconds=REFRESH_SECONDS)

UNKNOWN_TO_SERVERS = (
    "No running server has the first secret of SECRET_KEY, so none could sign with the key. "
    "Use the SECRET_KEY of the servers."
)


@dataclass(frozen=True, slots=True)
class KeyRotation:
    db: Database
    secrets: Secrets
    fleet: FleetSecrets
    clock: Clock
    rotate_after: timedelta
    token_lifetime: timedelta

    async def rotate(self, signs_from: datetime) -> KeyPair:
        """Publish a new key, whatever the age of the current one.

        Raises:
            Misconfigured: no running server could sign with it, or the secret is revoked.

        """
        async with self.db.begin() as session:
            await self.lock(session)
            state = await self.fleet.refresh(session)
            if state.revoked:
                raise Misconfigured(state.explanation or "")
            if state.active and self.secrets.sealing_fingerprint not in state.active:
                raise Misconfigured(UNKNOWN_TO_SERVERS)
            return await self.add(session, signs_from)

    async def lock(self, session: AsyncSession) -> None:
        """Building block: let no other process change the keys until the transaction ends."""
        await session.execute(select(func.pg_advisory_xact_lock(LOCK)))

    async def add(self, session: AsyncSession, signs_from: datetime) -> KeyPair:
        """Building block: add a key. The database refuses it if the secret is revoked."""
        pair = KeyPair.generate(signs_from)
        session.add(
            SigningKey(
                id=pair.id,
                public_jwk=pair.jwk(),
                sealed_private_key=self.secrets.seal(pair.private_bytes()),
                sealed_with=self.secrets.sealing_fingerprint,
                created_at=self.clock(),
                signs_from=signs_from,
            )
        )
        return pair

    async def rotate_by_age(self, session: AsyncSession, ring: KeyRing, now: datetime) -> KeyRing:
        """Building block: add the next key and delete old ones, if it is time."""
        ring = await self._with_next_key(session, ring, now)
        return await self._without_old_keys(session, ring, now)

    async def _with_next_key(self, session: AsyncSession, ring: KeyRing, now: datetime) -> KeyRing:
        newest = ring.newest
        if newest is None:
            # Keys that do not open may be those of servers with another secret.
            return ring if ring.invalid else ring.with_pair(await self.add(session, now), now)
        is_early = newest + self.rotate_after - PUBLISH_AHEAD > now
        if is_early or not self._others_can_open(ring, now):
            return ring
        signs_from = max(now + PUBLISH_AHEAD, newest + self.rotate_after)
        return ring.with_pair(await self.add(session, signs_from), now)

    def _others_can_open(self, ring: KeyRing, now: datetime) -> bool:
        """Whether other servers can be expected to open a key that this process makes."""
        return ring.opens_current(now) and not self.fleet.state.missing_sealing

    async def _without_old_keys(
        self, session: AsyncSession, ring: KeyRing, now: datetime
    ) -> KeyRing:
        # A key signs until the next one does. Every server knows that one refresh later, and the
        # tokens of the old key expire a token lifetime after that.
        needed_for = self.token_lifetime + timedelta(seconds=2 * REFRESH_SECONDS)
        oldest_first = reversed(ring.newest_first)
        old = {
            key.id
            for key, successor in pairwise(oldest_first)
            if successor.signs_from + needed_for < now
        }
        if old:
            await session.execute(delete(SigningKey).where(SigningKey.id.in_(old)))
        return ring.without(old)
