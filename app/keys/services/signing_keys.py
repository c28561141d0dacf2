"""The signing keys of access tokens, as this process knows them.

Servers agree on the keys through the database. The public half of a key verifies tokens on every
server; only a server with the secret that sealed the private half signs with it. Invalid rows
(`key_validation`) stay in the table, so that an operator can find out where they come from.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock
from app.database.database import Database
from app.errors import Misconfigured, Unavailable
from app.keys.models import SigningKey
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.key_ring import KeyRing
from app.keys.services.key_rotation import KNOWN_AFTER, KeyRotation
from app.keys.services.key_validation import InvalidKey, validated
from app.security.keys import KeyPair, Secrets

RELOAD_INTERVAL_SECONDS = 0.5
# How long a request for the public keys waits for the database.
RELOAD_TIMEOUT_SECONDS = 1
# Public: shown at /health/ready.
NOT_ACCEPTED = "SECRET_KEY is no longer accepted. The log says why."
DIFFERS_FROM_OTHERS = "SECRET_KEY differs from that of other servers. The log says how."
NO_KEY = "There is no key to sign tokens with yet."

KEYS_NOT_OPENED = (
    "SECRET_KEY does not open the signing keys in this database. "
    "Put the former key back, after a comma: SECRET_KEY=new,former. "
    "If the former one is lost or has leaked: `portico keys compromised` with the new one alone."
)
INVALID_KEY = (
    "Signing key %s is invalid: its private half cannot be opened, or does not match its public"
    " half. It is not published, and its tokens are refused. If no server has lost its secret,"
    " somebody has written to the database: `portico keys` shows it."
)
UNVERIFIED_KEY = (
    "Signing key %s is sealed with a secret that this process lacks, so it cannot be verified here."
    " Its tokens are accepted. Delete its row if none of your servers has made it."
)

log = logging.getLogger(__name__)


class ListedKey(NamedTuple):
    """A key for operators."""

    id: str
    created_at: datetime
    signs_from: datetime
    # "signs", "next", "verifies" or "invalid".
    state: str
    is_opened: bool


@dataclass(slots=True)
class SigningKeys:
    db: Database
    secrets: Secrets
    fleet: FleetSecrets
    clock: Clock
    rotation: KeyRotation
    _ring: KeyRing = field(default_factory=KeyRing)
    # The ids of keys that were logged.
    _logged: set[str] = field(default_factory=set[str])
    _reload_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _reloaded_at: float = 0.0
    _reloading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the keys, and check that this process can use them.

        Does not announce the secrets of this process: a command is not a server.

        Raises:
            Misconfigured: the secrets of this process are revoked, or differ from those of servers.

        """
        await self._refresh(announce=False)
        state = self.fleet.state
        if not state.revoked and not self._ring.opens_current(self.clock()):
            raise Misconfigured(KEYS_NOT_OPENED)
        if state.revoked or state.missing_sealing:
            raise Misconfigured(state.explanation or "")
        if state.explanation:
            self.fleet.report()
        self._warn(UNVERIFIED_KEY, self._ring.unverified)

    async def refresh(self) -> None:
        """Announce the secrets of this process, load the keys, and rotate them if it is time.

        Safe to run from several processes at once.
        """
        await self._refresh(announce=True)
        self._warn(UNVERIFIED_KEY, self._ring.unverified)

    async def rotate(self, *, now: bool = False) -> KeyPair:
        """Publish a key that signs once every cached JWKS has it; with `now`, at once.

        Tokens of the former key stay valid.

        Raises:
            Misconfigured: no running server could sign with it, or the secret is revoked.

        """
        made_at = self.clock()
        pair = await self.rotation.rotate(made_at if now else made_at + KNOWN_AFTER)
        self._ring = self._ring.with_pair(pair, made_at)
        return pair

    async def listed(self) -> list[ListedKey]:
        """Returns all valid keys, newest first, and then the invalid ones."""
        async with self.db.begin() as session:
            state = await self.fleet.read(session)
            ring = await self._load(session, state.accepted)
        now = self.clock()
        current = ring.current(now)
        valid = [
            ListedKey(
                key.id,
                key.created_at,
                key.signs_from,
                "signs" if key is current else "next" if key.signs_from > now else "verifies",
                key.id in ring.pairs,
            )
            for key in ring.newest_first
        ]
        return valid + [ListedKey(*each, "invalid", is_opened=False) for each in ring.invalid]

    async def problem(self) -> str | None:
        """Returns one public sentence why this process cannot use the keys; None if it can.

        Reads the database; if that does not answer, the last known state counts.
        """
        await self._reload_now()
        if self.fleet.state.revoked:
            return NOT_ACCEPTED
        if self.fleet.state.missing_sealing or not self._ring.opens_current(self.clock()):
            return DIFFERS_FROM_OTHERS if self._ring.public or self._ring.invalid else NO_KEY
        return None

    @property
    def can_sign(self) -> bool:
        return bool(self._ring.pairs) and not self.fleet.state.revoked

    def signing_key(self) -> KeyPair:
        """Returns the newest key that may sign now and that this process can open.

        Raises:
            Unavailable: there is no such key, or the secrets of this process are revoked.

        """
        if not self.can_sign:
            raise Unavailable("this process has no key to sign with")
        now, pairs = self.clock(), self._ring.pairs.values()
        ready = [pair for pair in pairs if pair.signs_from <= now]
        return max(ready or pairs, key=lambda pair: pair.signs_from)

    async def verifying_key(self, key_id: str) -> ec.EllipticCurvePublicKey | None:
        if key_id not in self._ring.public:
            await self._reload_for_unknown_key()
        found = self._ring.public.get(key_id)
        return found.key if found else None

    async def jwks(self) -> dict[str, Any]:
        """Returns the keys that verify now or will soon (RFC 7517).

        Reads the database; if that does not answer, the last known keys.
        """
        await self._reload_now()
        return {"keys": [key.jwk() for key in self._ring.newest_first]}

    async def _refresh(self, *, announce: bool) -> None:
        now = self.clock()
        async with self.db.begin() as session:
            await self.rotation.lock(session)
            if announce:
                await self.fleet.announce(session)
            else:
                # Not logged: what keeps this process from starting is raised instead.
                self.fleet.state = await self.fleet.read(session)
            ring = await self._load(session, self.fleet.state.accepted)
            if not self.fleet.state.revoked:
                ring = await self.rotation.rotate_by_age(session, ring, now)
        self._ring = ring
        self._warn(INVALID_KEY, [each.id for each in ring.invalid])

    async def _reload_for_unknown_key(self) -> None:
        # Another process may have made a key a moment ago. But a client can send any id: all
        # requests that wait share one reload, and reloads keep a minimum interval.
        arrived = time.monotonic()
        async with self._reload_lock:
            if self._reloaded_at >= arrived:
                return
            await asyncio.sleep(
                max(0.0, self._reloaded_at + RELOAD_INTERVAL_SECONDS - time.monotonic())
            )
            await self._reload()

    async def _reload_now(self) -> None:
        """Reload, once for all requests that wait, and stop waiting after a short time."""
        if self._reloading is None or self._reloading.done():
            self._reloading = asyncio.create_task(self._reload_if_possible())
        await asyncio.wait({self._reloading}, timeout=RELOAD_TIMEOUT_SECONDS)

    async def _reload_if_possible(self) -> None:
        try:
            await self._reload()
        except (Unavailable, SQLAlchemyError) as error:
            log.debug("The signing keys could not be read", exc_info=error)

    async def _reload(self) -> None:
        self._reloaded_at = time.monotonic()
        async with self.db.begin() as session:
            await self.fleet.refresh(session)
            self._ring = await self._load(session, self.fleet.state.accepted)
        self._warn(INVALID_KEY, [each.id for each in self._ring.invalid])
        self._warn(UNVERIFIED_KEY, self._ring.unverified)

    def _warn(self, warning: str, key_ids: Iterable[str]) -> None:
        """Log a warning once for each key."""
        for key_id in key_ids:
            if key_id not in self._logged:
                self._logged.add(key_id)
                log.warning(warning, key_id)

    async def _load(self, session: AsyncSession, accepted: AbstractSet[bytes]) -> KeyRing:
        rows = await session.scalars(select(SigningKey).order_by(SigningKey.signs_from))
        ring, invalid = KeyRing(), list[InvalidKey]()
        for row in rows:
            key = validated(row, self.secrets, accepted, self._ring.pairs.get(row.id))
            if key is None:
                invalid.append(InvalidKey(row.id, row.created_at, row.signs_from))
                continue
            ring.public[row.id] = key.public
            if key.pair is not None:
                ring.pairs[row.id] = key.pair
        return replace(ring, invalid=tuple(invalid))
