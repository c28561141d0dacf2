"""The secrets of the fleet: each server announces its own by fingerprint, and learns of others'.

A server that lacks a secret which another one seals with cannot read that one's refresh tokens and
jobs, or sign with its keys. It says so, and is not ready, where it would otherwise sign people out.
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
# Announced thrice in vain, a server is gone. What is as far ahead is of no server that counts: its
# clock is wrong, or somebody else wrote it.
LIVING = timedelta(seconds=3 * ANNOUNCE_SECONDS)
SHOWN_CHARACTERS = 12
# One that is revoked is left as it is. A new secret is taken in if it comes with one that is
# accepted, or if no leak was ever declared.
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
FOREIGN_KEYS = text(
    "SELECT EXISTS (SELECT FROM signing_keys WHERE sealed_with <> ALL(:fingerprints))"
)

REVOKED = (
    "SECRET_KEY was declared compromised on {at:%Y-%m-%d %H:%M} UTC, and another one took its "
    "place: this process stops. Start it with the new SECRET_KEY alone. The former one must not "
    "come back, not even after a comma: whoever has it could sign in as anybody."
)
LACKS_SEALING = (
    "Other servers seal with a secret that this one lacks ({secrets}): it cannot read their refresh"
    " tokens and jobs, and is not ready. Give all servers the same secrets in SECRET_KEY, separated"
    " by commas. If those servers are stopped, this passes in three minutes."
)
LACKS = (
    "Other servers have a secret that this one lacks ({secrets}). None seals with it: give it to"
    " this one before one does, unless it is on its way out."
)
AGREES = "Other servers have no secret any more that this one lacks."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """A secret as the database knows it."""

    fingerprint: bytes
    first_seen_at: datetime
    last_seen_at: datetime
    last_seen_on: str
    last_sealed_at: datetime | None
    declared_at: datetime | None
    revoked_at: datetime | None

    @property
    def name(self) -> str:
        """What people tell it by."""
        return self.fingerprint.hex()[:SHOWN_CHARACTERS]

    def is_living(self, now: datetime) -> bool:
        return self.revoked_at is None and abs(now - self.last_seen_at) < LIVING

    def seals(self, now: datetime) -> bool:
        sealed_at = self.last_sealed_at
        return self.is_living(now) and sealed_at is not None and abs(now - sealed_at) < LIVING


@dataclass(frozen=True, slots=True)
class SecretsState:
    """How the secrets of this process stand to those of the fleet."""

    # When a leak was last declared.
    declared_at: datetime | None = None
    # Those of this process are accepted no more.
    revoked: bool = False
    # Those that living servers have and this process lacks.
    lacking: tuple[KnownSecret, ...] = ()
    # Of these, those that are sealed with.
    lacking_sealing: tuple[KnownSecret, ...] = ()
    # The fingerprints that living servers have.
    living: frozenset[bytes] = frozenset()
    # All fingerprints that are known and not revoked.
    accepted: frozenset[bytes] = frozenset()

    @property
    def explanation(self) -> str | None:
        """One or two sentences for operators; None if all is well."""
        if self.revoked:
            return REVOKED.format(at=self.declared_at)
        if self.lacking_sealing:
            return LACKS_SEALING.format(secrets=_named(self.lacking_sealing))
        return LACKS.format(secrets=_named(self.lacking)) if self.lacking else None


COLUMNS = tuple(getattr(SecretFingerprint, name) for name in KnownSecret.__dataclass_fields__)


@dataclass(slots=True)
class FleetSecrets:
    db: Database
    secrets: Secrets
    clock: Clock
    host: str = field(default_factory=socket.gethostname)
    state: SecretsState = field(default_factory=SecretsState)
    # Set once they are: for whoever has to stop this process.
    revoked: asyncio.Event = field(default_factory=asyncio.Event)

    async def announce(self, session: AsyncSession) -> None:
        """Building block: say which secrets this process has, and look at those of others.

        The caller holds the lock of the ring. A server that lacks what others seal with is not
        ready, and does not claim to seal: one that was forgotten must not stop all others.
        """
        await self.look(session)
        if self.state.revoked:
            return
        values = {
            "fingerprints": self.secrets.fingerprints,
            "sealing": None if self.state.lacking_sealing else self.secrets.sealing_fingerprint,
            "host": self.host,
            "now": self.clock(),
        }
        await session.execute(ANNOUNCE, values)

    async def look(self, session: AsyncSession) -> SecretsState:
        """Building block: look at the secrets of others, and say once what has changed."""
        before = self.state.explanation
        self.state = await self.read(session)
        if self.state.explanation != before:
            self.report()
        if self.state.revoked:
            self.revoked.set()
        return self.state

    def report(self) -> None:
        """Log how the secrets of this process stand to those of others."""
        say = log.critical if self.state.revoked else log.warning
        say("%s", self.state.explanation or AGREES)

    async def read(self, session: AsyncSession) -> SecretsState:
        """Building block: as `look`, for a command that says it in words of its own."""
        return self._judged(await self.known(session))

    async def lacks_any(self, session: AsyncSession) -> bool:
        """Building block: whether what this process cannot read may be another server's."""
        state = await self.look(session)
        if state.revoked or state.lacking:
            return True
        mine = {"fingerprints": self.secrets.fingerprints}
        return bool(await session.scalar(FOREIGN_KEYS, mine))

    async def known(self, session: AsyncSession) -> Sequence[KnownSecret]:
        """Building block: all that were ever announced, oldest first."""
        first = SecretFingerprint.first_seen_at
        rows = await session.execute(select(*COLUMNS).order_by(first))
        return [KnownSecret(*row) for row in rows]

    def has(self, fingerprint: bytes) -> bool:
        return fingerprint in self.secrets.fingerprints

    def _judged(self, known: Sequence[KnownSecret]) -> SecretsState:
        now = self.clock()
        declared = max((each.declared_at for each in known if each.declared_at), default=None)
        mine = [each for each in known if self.has(each.fingerprint)]
        accepted = any(each.revoked_at is None for each in mine)
        living = [each for each in known if each.is_living(now)]
        lacking = tuple(each for each in living if not self.has(each.fingerprint))
        return SecretsState(
            declared,
            any(each.revoked_at for each in mine) or (declared is not None and not accepted),
            lacking,
            tuple(each for each in lacking if each.seals(now)),
            frozenset(each.fingerprint for each in living),
            frozenset(each.fingerprint for each in known if each.revoked_at is None),
        )


def _named(secrets: Sequence[KnownSecret]) -> str:
    return ", ".join(
        f"{each.name}, last announced by {one_line(each.last_seen_on)}" for each in secrets
    )
