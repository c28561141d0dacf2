"""The ring of signing keys: made on first need, agreed on through the database, rotated by age.

A key is published before it signs, so that whoever caches the JWKS has it by then, and stays until
the last token it signed is gone. Its public half verifies on every server; only a server that has
the secret which sealed the private half signs with it. Rows that do not count (`key_rows`) are left
in the table, for whoever has to find out where they come from.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock
from app.database.database import Database
from app.errors import Misconfigured, Unavailable
from app.keys.models import SigningKey
from app.keys.services.fleet_secrets import ANNOUNCE_SECONDS as REFRESH_SECONDS
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.key_rows import InvalidKey, halves
from app.security.keys import KeyPair, PublicKey, Secrets

ROTATION_LOCK = 0x6B657973  # "keys"
PUBLISH_AHEAD = timedelta(days=1)
LOOK_AGAIN_SECONDS = 0.5
# How long whoever asks for the public keys waits for a database that does not answer.
PATIENCE_SECONDS = 1
# How long others may cache the JWKS (`Cache-Control` of its route).
JWKS_MAX_AGE = timedelta(minutes=5)
# After this every copy of the JWKS has a new key, and every server knows it.
SETTLED_AFTER = JWKS_MAX_AGE + timedelta(seconds=REFRESH_SECONDS)

# What anybody may read at /health/ready.
NOT_IN_FORCE = "SECRET_KEY is accepted no more. The log says why."
DIFFERENT = "SECRET_KEY differs from that of other servers. The log says how."
NO_KEY = "There is no key to sign tokens with yet."

NONE_OPENS = (
    "SECRET_KEY does not open the signing keys in this database. "
    "Put the former key back, after a comma: SECRET_KEY=new,former. "
    "If the former one is lost or has leaked: `portico keys compromised` with the new one alone."
)
NOBODY_HAS_IT = (
    "No running server has the first secret of SECRET_KEY, so none could sign with the key. "
    "Run this with the SECRET_KEY of the servers."
)

INVALID = (
    "Signing key %s is invalid: its private half does not open, or is not that of its public half."
    " It is not published, and its tokens are refused. If no server has lost its secret, somebody"
    " has written to the database: `portico keys` shows it."
)
NOT_CHECKED = (
    "Signing key %s was sealed with a secret that this process lacks, and cannot be checked here."
    " Its tokens are accepted. Delete its row if no server of yours has made it."
)

log = logging.getLogger(__name__)


class KeyInRing(NamedTuple):
    """A key as operators see it."""

    id: str
    created_at: datetime
    signs_from: datetime
    # "signs", "next", "verifies" or "invalid".
    state: str
    is_opened: bool


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys that verify, and those of them that this process can sign with."""

    public: dict[str, PublicKey] = field(default_factory=dict[str, PublicKey])
    pairs: dict[str, KeyPair] = field(default_factory=dict[str, KeyPair])
    invalid: tuple[InvalidKey, ...] = ()

    def without(self, ids: Iterable[str]) -> "Ring":
        gone = set(ids)
        return Ring(
            {key_id: key for key_id, key in self.public.items() if key_id not in gone},
            {key_id: pair for key_id, pair in self.pairs.items() if key_id not in gone},
            self.invalid,
        )

    def with_pair(self, pair: KeyPair, created_at: datetime) -> "Ring":
        public = PublicKey(pair.id, pair.public, created_at, pair.signs_from)
        public_keys = self.public | {pair.id: public}
        return Ring(public_keys, self.pairs | {pair.id: pair}, self.invalid)

    @property
    def not_checked(self) -> list[str]:
        """The ids of keys that another server's secret has sealed."""
        return [key_id for key_id in self.public if key_id not in self.pairs]

    @property
    def newest(self) -> datetime | None:
        return max((key.signs_from for key in self.public.values()), default=None)

    def current(self, now: datetime) -> PublicKey | None:
        """The key that signs, for whoever can open it."""
        ready = [key for key in self.public.values() if key.signs_from <= now]
        return max(ready or self.public.values(), key=lambda key: key.signs_from, default=None)


@dataclass(slots=True)
class SigningKeys:
    db: Database
    secrets: Secrets
    fleet: FleetSecrets
    clock: Clock
    rotate_after: timedelta
    token_lifetime: timedelta
    _ring: Ring = field(default_factory=Ring)
    # The ids of keys that the log has a warning of.
    _told: set[str] = field(default_factory=set[str])
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    _looked_at: float = 0.0
    _look: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the ring for a process that can work with it.

        Announces nothing: a command that runs once has no part in what servers agree on.

        Raises:
            Misconfigured: the secrets of this process are revoked, or others than those in force.

        """
        await self._renew(announced=False)
        state = self.fleet.state
        if not state.revoked and not self._opens_current:
            raise Misconfigured(NONE_OPENS)
        if state.revoked or state.lacking_sealing:
            raise Misconfigured(state.explanation or "")
        if state.explanation:
            self.fleet.report()
        self._warn(NOT_CHECKED, self._ring.not_checked)

    async def refresh(self) -> None:
        """Announce the secrets of this process and load the ring, which is safe on all at once.

        Adds and drops keys when it is time.
        """
        await self._renew(announced=True)
        self._warn(NOT_CHECKED, self._ring.not_checked)

    async def rotate(self, *, now: bool = False) -> KeyPair:
        """Publish a key that signs once no copy of the JWKS lacks it; with `now`, at once.

        Tokens of the former key stay valid.

        Raises:
            Misconfigured: no running server could sign with it, or the secret is revoked.

        """
        made_at = self.clock()
        async with self.db.begin() as session:
            await self.hold(session)
            state = await self.fleet.look(session)
            if state.revoked:
                raise Misconfigured(state.explanation or "")
            living = state.living
            if living and self.secrets.sealing_fingerprint not in living:
                raise Misconfigured(NOBODY_HAS_IT)
            pair = await self.add(session, made_at if now else made_at + SETTLED_AFTER)
        self._ring = self._ring.with_pair(pair, made_at)
        return pair

    async def listed(self) -> list[KeyInRing]:
        """All keys, the newest first, and after them those that are invalid."""
        async with self.db.begin() as session:
            state = await self.fleet.read(session)
            ring = await self._load(session, state.accepted)
        now = self.clock()
        current = ring.current(now)
        valid = [
            KeyInRing(
                key.id,
                key.created_at,
                key.signs_from,
                "signs" if key is current else "next" if key.signs_from > now else "verifies",
                key.id in ring.pairs,
            )
            for key in _newest_first(ring)
        ]
        return valid + [KeyInRing(*each, "invalid", is_opened=False) for each in ring.invalid]

    async def problem(self) -> str | None:
        """Say in one public sentence why this process cannot serve with its keys; None if it can.

        As the database has it now; while that does not answer, as it was last known.
        """
        await self._look_now()
        if self.fleet.state.revoked:
            return NOT_IN_FORCE
        if self.fleet.state.lacking_sealing or not self._opens_current:
            return DIFFERENT if self._ring.public or self._ring.invalid else NO_KEY
        return None

    @property
    def can_sign(self) -> bool:
        return bool(self._ring.pairs) and not self.fleet.state.revoked

    def signing_key(self) -> KeyPair:
        """Returns the newest key that signs by now and that this process can open.

        Raises:
            Unavailable: there is none, or its secrets are revoked.

        """
        if not self.can_sign:
            raise Unavailable("this process has no key to sign with")
        now, pairs = self.clock(), self._ring.pairs.values()
        ready = [pair for pair in pairs if pair.signs_from <= now]
        return max(ready or pairs, key=lambda pair: pair.signs_from)

    async def verifying_key(self, key_id: str) -> ec.EllipticCurvePublicKey | None:
        if key_id not in self._ring.public:
            await self._look_again()
        found = self._ring.public.get(key_id)
        return found.key if found else None

    async def jwks(self) -> dict[str, Any]:
        """Everything that verifies now or will soon (RFC 7517), as the database has it now.

        While that does not answer, as it was last known.
        """
        await self._look_now()
        return {"keys": [key.jwk() for key in _newest_first(self._ring)]}

    async def hold(self, session: AsyncSession) -> None:
        """Building block: let nobody else change the ring until the transaction is over."""
        await session.execute(select(func.pg_advisory_xact_lock(ROTATION_LOCK)))

    async def add(self, session: AsyncSession, signs_from: datetime) -> KeyPair:
        """Building block: add a key. The database refuses it if the secret is not in force."""
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

    @property
    def _opens_current(self) -> bool:
        current = self._ring.current(self.clock())
        return current is not None and current.id in self._ring.pairs

    async def _renew(self, *, announced: bool) -> None:
        now = self.clock()
        async with self.db.begin() as session:
            await self.hold(session)
            if announced:
                await self.fleet.announce(session)
            else:
                # Not logged: what keeps this process from starting is raised, and said once.
                self.fleet.state = await self.fleet.read(session)
            ring = await self._load(session, self.fleet.state.accepted)
            if not self.fleet.state.revoked:
                ring = await self._grown(session, ring, now)
                ring = await self._without_outlived(session, ring, now)
        self._ring = ring
        self._warn(INVALID, [each.id for each in ring.invalid])

    async def _grown(self, session: AsyncSession, ring: Ring, now: datetime) -> Ring:
        newest = ring.newest
        if newest is None:
            # Keys that do not open may be those of servers with another secret.
            return ring if ring.invalid else ring.with_pair(await self.add(session, now), now)
        if newest + self.rotate_after - PUBLISH_AHEAD > now or not self._may_follow(ring, now):
            return ring
        signs_from = max(now + PUBLISH_AHEAD, newest + self.rotate_after)
        return ring.with_pair(await self.add(session, signs_from), now)

    def _may_follow(self, ring: Ring, now: datetime) -> bool:
        """Whether others can be expected to open a key that this process makes."""
        current = ring.current(now)
        return current is not None and current.id in ring.pairs and not self._lacks_sealing

    @property
    def _lacks_sealing(self) -> bool:
        return bool(self.fleet.state.lacking_sealing)

    async def _look_again(self) -> None:
        # Another worker may have made a key a moment ago, so an unknown id is looked up; but
        # strangers can send any id, so all who wait share one look, and looks keep their distance
        # from each other.
        arrived = time.monotonic()
        async with self._looking:
            if self._looked_at >= arrived:
                return
            await asyncio.sleep(max(0.0, self._looked_at + LOOK_AGAIN_SECONDS - time.monotonic()))
            await self._read()

    async def _look_now(self) -> None:
        """Look, all who wait together; for a moment only, after which what was known stays."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._read_if_possible())
        await asyncio.wait({self._look}, timeout=PATIENCE_SECONDS)

    async def _read_if_possible(self) -> None:
        try:
            await self._read()
        except (Unavailable, SQLAlchemyError) as error:
            log.debug("The signing keys could not be read", exc_info=error)

    async def _read(self) -> None:
        self._looked_at = time.monotonic()
        async with self.db.begin() as session:
            await self.fleet.look(session)
            self._ring = await self._load(session, self.fleet.state.accepted)
        self._warn(INVALID, [each.id for each in self._ring.invalid])
        self._warn(NOT_CHECKED, self._ring.not_checked)

    def _warn(self, warning: str, key_ids: Iterable[str]) -> None:
        """Warn once of each key that is not beyond doubt."""
        for key_id in key_ids:
            if key_id not in self._told:
                self._told.add(key_id)
                log.warning(warning, key_id)

    async def _load(self, session: AsyncSession, accepted: AbstractSet[bytes]) -> Ring:
        rows = await session.scalars(select(SigningKey).order_by(SigningKey.signs_from))
        ring, invalid = Ring(), list[InvalidKey]()
        for row in rows:
            found = halves(row, self.secrets, accepted, self._ring.pairs.get(row.id))
            if found is None:
                invalid.append(InvalidKey(row.id, row.created_at, row.signs_from))
                continue
            ring.public[row.id] = found.public
            if found.pair is not None:
                ring.pairs[row.id] = found.pair
        return replace(ring, invalid=tuple(invalid))

    async def _without_outlived(self, session: AsyncSession, ring: Ring, now: datetime) -> Ring:
        ordered = sorted(ring.public.values(), key=lambda key: key.signs_from)
        # A key signs until the next one does; a refresh later every worker knows, a lifetime later
        # its tokens are gone.
        last_needed = self.token_lifetime + timedelta(seconds=2 * REFRESH_SECONDS)
        outlived = {
            key.id
            for key, successor in pairwise(ordered)
            if successor.signs_from + last_needed < now
        }
        if outlived:
            await session.execute(delete(SigningKey).where(SigningKey.id.in_(outlived)))
        return ring.without(outlived)


def _newest_first(ring: Ring) -> list[PublicKey]:
    return sorted(ring.public.values(), key=lambda key: key.signs_from, reverse=True)
