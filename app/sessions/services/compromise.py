"""After a leak of SECRET_KEY: whatever it sealed, signed or could open is ended, at once.

Whoever has the secret and a copy of the database has the private signing keys, can make refresh
tokens of any session, and can read the links of emails that wait in the queue.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.checkpoints import Checkpoints, LastCheckpoint
from app.audit.services.events import Recorder
from app.audit.services.retention import AuditRetention
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.errors import Misconfigured
from app.jobs.services.queue import Jobs
from app.keys.models import SecretFingerprint, SigningKey
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.signing_keys import SigningKeys
from app.mail.models import OneTimeToken
from app.security.client import NO_CLIENT
from app.security.keys import Secrets
from app.sessions.events import SessionEvent
from app.sessions.models import LIFETIME, EndReason, Session

# Nobody begins a session or makes a link until all of it is done; reading goes on. Whoever holds
# one of them for longer than that is in the way.
LOCK_TABLES = (
    text("SET LOCAL lock_timeout = '30s'"),
    text("LOCK TABLE sessions, one_time_tokens IN SHARE ROW EXCLUSIVE MODE"),
)
JOB_FAILED = "it was sealed with a SECRET_KEY that was declared compromised"

GIVE_IT_ALONE = "Give the new SECRET_KEY alone: no former one, not even after a comma."
KNOWN = (
    "This SECRET_KEY is known to the database already: servers have it or had it. "
    "Make a new one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
)
MEANWHILE = (
    "Somebody else has declared a leak a moment ago, with another SECRET_KEY. Nothing was changed."
)


class Declared(NamedTuple):
    """What was ended, and what the audit ended with."""

    at: datetime
    keys: int
    sessions: int
    links: int
    jobs: int
    key_id: str
    former: LastCheckpoint


class DeclaredBefore(NamedTuple):
    """This secret has taken the place of leaked ones already. Nothing was changed."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Compromise:
    db: Database
    secrets: Secrets
    fleet: FleetSecrets
    keys: SigningKeys
    checkpoints: Checkpoints
    retention: AuditRetention
    jobs: Jobs
    clock: Callable[[], datetime]

    async def check(self) -> datetime | DeclaredBefore | None:
        """Returns when the last leak was declared, for `declare`; None if none ever was.

        Raises:
            Misconfigured: the secret given is not a new one.

        """
        async with self.db.begin() as session:
            return await self._check(session)

    @retry_on_conflict
    async def declare(self, last: datetime | None) -> Declared | DeclaredBefore:
        """End all that the former secrets protect, in one transaction: interrupted, it did nothing.

        Device tokens need no row changed: they are MACs under the former secrets, which the
        database accepts from nobody any more.

        Raises:
            Misconfigured: the secret is not a new one, or another leak was declared after `last`.

        """
        async with self.db.begin() as session:
            await self._hold_all(session)
            found = await self._check(session)
            if isinstance(found, DeclaredBefore):
                return found
            if found != last:
                raise Misconfigured(MEANWHILE)
            return await self._declare(session)

    async def _check(self, session: AsyncSession) -> datetime | DeclaredBefore | None:
        if len(self.secrets.fingerprints) != 1:
            raise Misconfigured(GIVE_IT_ALONE)
        known = await self.fleet.known(session)
        last = max((each.declared_at for each in known if each.declared_at), default=None)
        for each in known:
            if not self.fleet.has(each.fingerprint):
                continue
            if each.declared_at is None or each.declared_at != last:
                raise Misconfigured(KNOWN)
            return DeclaredBefore(each.declared_at)
        # Servers of the release before have announced nothing.
        sealed = await session.scalars(select(SigningKey.sealed_private_key))
        if any(self.secrets.open(each) for each in sealed):
            raise Misconfigured(KNOWN)
        return last

    async def _hold_all(self, session: AsyncSession) -> None:
        """Wait for whoever makes keys, announces removals, signs the audit or signs somebody in."""
        await self.keys.hold(session)
        await self.retention.hold(session)
        await self.checkpoints.hold(session)
        for statement in LOCK_TABLES:
            await session.execute(statement)

    async def _declare(self, session: AsyncSession) -> Declared:
        now = self.clock()
        await self._replace_secrets(session, now)
        keys = await _count(session, delete(SigningKey))
        pair = await self.keys.add(session, now)
        sessions = await _count(session, self._ended(now))
        links = await _count(session, delete(OneTimeToken))
        jobs = await self.jobs.fail_all(session, JOB_FAILED)
        # Last, since it holds the ends of all chains.
        former = await self.checkpoints.last(session)
        await Recorder(None, NO_CLIENT, now).record(
            session,
            SessionEvent.SECRET_COMPROMISED,
            keys=str(keys),
            sessions=str(sessions),
            links=str(links),
            jobs=str(jobs),
            checkpoint=str(former.number),
            hash=former.hash.hex(),
        )
        await self.checkpoints.begin_epoch(session, pair)
        return Declared(now, keys, sessions, links, jobs, pair.id, former)

    async def _replace_secrets(self, session: AsyncSession, now: datetime) -> None:
        table = SecretFingerprint
        await session.execute(
            update(table).where(table.revoked_at.is_(None)).values(revoked_at=now)
        )
        new = {
            "fingerprint": self.secrets.sealing_fingerprint,
            "first_seen_at": now,
            "last_seen_at": now,
            "last_seen_on": self.fleet.host,
            "declared_at": now,
        }
        await session.execute(insert(table).values(new))

    def _ended(self, now: datetime) -> Any:
        alive = LIFETIME.is_alive(now)
        values = {"ended_at": now, "end_reason": EndReason.REVOKED.value}
        return update(Session).where(alive).values(values)


async def _count(session: AsyncSession, change: Any) -> int:
    await session.flush()
    result: Any = await session.execute(change)
    return result.rowcount
