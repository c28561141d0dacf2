"""The secrets of all servers: each server announces its own by fingerprint, and reads the others'.

A server that lacks a secret which another one seals with cannot read that server's refresh tokens
and jobs, or sign with its keys. Then it is not ready: it would sign users out.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock
from app.database.database import Database
from app.keys.models import SecretFingerprint
from app.security.keys import Secrets
from app.text.visible import one_line

ANNOUNCE_SECONDS = 60
# A server that missed three announcements has stopped. An announcement this far in the future comes
# from a wrong clock, or was forged.
ACTIVE_FOR = timedelta(seconds=3 * ANNOUNCE_SECONDS)
SHOWN_CHARACTERS = 12
# A revoked secret stays revoked. A new secret is accepted if it is announced together with an
# accepted one, or if no leak was ever declared.
ANNOUNCE = text(
    """
    INSERT INTO secret_fingerprints AS known
        (fingerprint, first_seen_at, last_seen_at, last_seen_on, last_sealed_at)
    SELECT given, now, now, CAST(:host AS text),
        CASE WHEN given = CAST(:sealing AS bytea) THEN now END
    FROM unnest(CAST(:fingerprints AS bytea[])) AS given, CAST(:now AS timestamptz) AS now
    WHERE NOT EXISTS (SELECT FROM secret_fingerprints WHERE declared_at IS NOT NULL)
        OR EXISTS (
            SELECT FROM secret_fingerprints
            WHERE fingerprint = ANY(:fingerprints) AND revoked_at IS NULL
        )
    ORDER BY given
    ON CONFLICT (fingerprint) DO UPDATE SET
        last_seen_at = excluded.last_seen_at,
        last_seen_on = excluded.last_seen_on,
        last_sealed_at = coalesce(excluded.last_sealed_at, known.last_sealed_at)
    WHERE known.revoked_at IS NULL
    """
)
OTHER_KEYS_EXIST = text(
    "SELECT EXISTS (SELECT FROM signing_keys WHERE sealed_with <> ALL(:fingerprints))"
)

REVOKED = (
    "SECRET_KEY was declared compromised on {at:%Y-%m-%d %H:%M} UTC and replaced: this process "
    "stops. Start it with the new SECRET_KEY alone. The former one must not come back, not even "
    "after a comma: anyone who has it could sign in as any user."
)
MISSING_SEALING = (
    "Other servers seal with a secret that this one lacks ({secrets}): it cannot read their refresh"
    " tokens and jobs, and is not ready. Set the same secrets in SECRET_KEY on all servers,"
    " separated by commas. If those servers are stopped, this passes in three minutes."
)
MISSING = (
    "Other servers have a secret that this one lacks ({secrets}). None seals with it yet: add it to"
    " SECRET_KEY here before one does, unless it is being removed."
)
NONE_MISSING = "This server has all secrets of the other servers again."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """A secret that was announced."""

    fingerprint: bytes
    first_seen_at: datetime
    last_seen_at: datetime
    last_seen_on: str
    last_sealed_at: datetime | None
    declared_at: datetime | None
    revoked_at: datetime | None

    @property
    def name(self) -> str:
        """The beginning of the fingerprint, for operators."""
        return self.fingerprint.hex()[:SHOWN_CHARACTERS]

    def is_active(self, now: datetime) -> bool:
        return self.revoked_at is None and abs(now - self.last_seen_at) < ACTIVE_FOR

    def seals(self, now: datetime) -> bool:
        sealed_at = self.last_sealed_at
        return self.is_active(now) and sealed_at is not None and abs(now - sealed_at) < ACTIVE_FOR


@dataclass(frozen=True, slots=True)
class SecretsState:
    """The secrets of this process compared with those of all servers."""

    # When a leak was last declared.
    declared_at: datetime | None = None
    # Whether those of this process are no longer accepted.
    revoked: bool = False
    # Secrets that running servers have and this process lacks.
    missing: tuple[KnownSecret, ...] = ()
    # Those of them that a server seals with.
    missing_sealing: tuple[KnownSecret, ...] = ()
    # The fingerprints of secrets that running servers have.
    active: frozenset[bytes] = frozenset()
    # The fingerprints of all secrets that were announced and are not revoked.
    accepted: frozenset[bytes] = frozenset()

    @property
    def explanation(self) -> str | None:
        """What differs, in one or two sentences for operators; None if nothing does."""
        if self.revoked:
            return REVOKED.format(at=self.declared_at)
        if self.missing_sealing:
            return MISSING_SEALING.format(secrets=_described(self.missing_sealing))
        return MISSING.format(secrets=_described(self.missing)) if self.missing else None


COLUMNS = tuple(getattr(SecretFingerprint, name) for name in KnownSecret.__dataclass_fields__)


@dataclass(slots=True)
class FleetSecrets:
    db: Database
    secrets: Secrets
    clock: Clock
    host: str = field(default_factory=socket.gethostname)
    state: SecretsState = field(default_factory=SecretsState)
    # Set when the secrets of this process are revoked: the process has to stop.
    revoked: asyncio.Event = field(default_factory=asyncio.Event)

    async def announce(self, session: AsyncSession) -> None:
        """Building block: announce the secrets of this process, and read those of others.

        The caller has locked the keys (`KeyRotation.lock`). A server that lacks a secret which
        others seal with does not announce that it seals: a forgotten server must not make all
        others not ready.
        """
        await self.refresh(session)
        if self.state.revoked:
            return
        values = {
            "fingerprints": self.secrets.fingerprints,
            "sealing": None if self.state.missing_sealing else self.secrets.sealing_fingerprint,
            "host": self.host,
            "now": self.clock(),
        }
        await session.execute(ANNOUNCE, values)

    async def refresh(self, session: AsyncSession) -> SecretsState:
        """Building block: read the secrets of other servers, and log what has changed."""
        before = self.state.explanation
        self.state = await self.read(session)
        if self.state.explanation != before:
            self.report()
        if self.state.revoked:
            self.revoked.set()
        return self.state

    def report(self) -> None:
        """Log how the secrets of this process differ from those of other servers."""
        level = logging.CRITICAL if self.state.revoked else logging.WARNING
        log.log(level, "%s", self.state.explanation or NONE_MISSING)

    async def read(self, session: AsyncSession) -> SecretsState:
        """Building block: returns the same as `refresh`, without logging."""
        return self._compared(await self.known(session))

    async def may_be_elsewhere(self, session: AsyncSession) -> bool:
        """Building block: whether another server may read what this process cannot."""
        state = await self.refresh(session)
        if state.revoked or state.missing:
            return True
        mine = {"fingerprints": self.secrets.fingerprints}
        return bool(await session.scalar(OTHER_KEYS_EXIST, mine))

    async def known(self, session: AsyncSession) -> Sequence[KnownSecret]:
        """Building block: returns all secrets that were ever announced, oldest first."""
        first = SecretFingerprint.first_seen_at
        rows = await session.execute(select(*COLUMNS).order_by(first))
        return [KnownSecret(*row) for row in rows]

    def has(self, fingerprint: bytes) -> bool:
        return fingerprint in self.secrets.fingerprints

    def _compared(self, known: Sequence[KnownSecret]) -> SecretsState:
        now = self.clock()
        declared = max((each.declared_at for each in known if each.declared_at), default=None)
        mine = [each for each in known if self.has(each.fingerprint)]
        accepted = any(each.revoked_at is None for each in mine)
        active = [each for each in known if each.is_active(now)]
        missing = tuple(each for each in active if not self.has(each.fingerprint))
        return SecretsState(
            declared,
            any(each.revoked_at for each in mine) or (declared is not None and not accepted),
            missing,
            tuple(each for each in missing if each.seals(now)),
            frozenset(each.fingerprint for each in active),
            frozenset(each.fingerprint for each in known if each.revoked_at is None),
        )


def _described(secrets: Sequence[KnownSecret]) -> str:
    return ", ".join(
        f"{each.name}, last announced by {one_line(each.last_seen_on)}" for each in secrets
    )
