"""After a leak of SECRET_KEY: everything that it sealed or signed is revoked at once.

An attacker with the secret and a copy of the database has the private signing keys, can make
refresh tokens for any session, and can read the links of emails in the queue.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.checkpoints import Checkpoints, LastCheckpoint
from app.audit.services.events import Recorder
from app.audit.services.retention import AuditRetention
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.errors import Misconfigured
from app.factors.models import Factor, FactorKind, Passkey, RecoveryCodes, TotpEnrollment
from app.jobs.services.queue import Jobs
from app.keys.models import SecretFingerprint, SigningKey
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.key_rotation import KeyRotation
from app.mail.models import OneTimeToken
from app.security.client import NO_CLIENT
from app.security.keys import Secrets
from app.sessions.events import SessionEvent
from app.sessions.models import LIFETIME, Challenge, EndReason, Session

# Until the commit, no session is started and no link is made; reads continue. Fails if another
# transaction blocks the locks for longer than the timeout.
LOCK_TABLES = (
    text("SET LOCAL lock_timeout = '30s'"),
    text(
        # In the order in which a sign-in writes most of them; a deadlock is tried again.
        "LOCK TABLE challenges, totp_secrets, passkeys, factors, recovery_codes, totp_enrollments,"
        " one_time_tokens, sessions IN SHARE ROW EXCLUSIVE MODE"
    ),
)
TOTP = FactorKind.TOTP.value
JOB_FAILED = "it was sealed with a SECRET_KEY that was declared compromised"

ONE_KEY_ONLY = "Set SECRET_KEY to the new secret alone, without any former one after a comma."
ALREADY_KNOWN = (
    "The database already knows this SECRET_KEY: servers use it or have used it. "
    "Make a new one: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
)
DECLARED_MEANWHILE = "A leak was declared meanwhile with another SECRET_KEY. Nothing was changed."


class CompromiseDeclared(NamedTuple):
    """What was revoked, and the last audit checkpoint before."""

    at: datetime
    keys: int
    sessions: int
    links: int
    factors: int
    jobs: int
    key_id: str
    former: LastCheckpoint


class AlreadyDeclared(NamedTuple):
    """This secret has already replaced leaked ones. Nothing was changed."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Compromise:
    db: Database
    secrets: Secrets
    fleet: FleetSecrets
    rotation: KeyRotation
    checkpoints: Checkpoints
    retention: AuditRetention
    jobs: Jobs
    clock: Clock

    async def check(self) -> datetime | AlreadyDeclared | None:
        """Returns when the last leak was declared, for `declare`; None if none ever was.

        Raises:
            Misconfigured: the secret is not a new one.

        """
        async with self.db.begin() as session:
            return await self._check(session)

    @retry_on_conflict
    async def declare(self, last: datetime | None) -> CompromiseDeclared | AlreadyDeclared:
        """Revoke everything that the former secrets protect, in one transaction.

        Device tokens need no change in the database: they are MACs under the former secrets, which
        servers no longer accept.

        Raises:
            Misconfigured: the secret is not a new one, or another leak was declared after `last`.

        """
        async with self.db.begin() as session:
            await self._lock_all(session)
            found = await self._check(session)
            if isinstance(found, AlreadyDeclared):
                return found
            if found != last:
                raise Misconfigured(DECLARED_MEANWHILE)
            return await self._declare(session)

    async def _check(self, session: AsyncSession) -> datetime | AlreadyDeclared | None:
        if len(self.secrets.fingerprints) != 1:
            raise Misconfigured(ONE_KEY_ONLY)
        known = await self.fleet.known(session)
        last = max((each.declared_at for each in known if each.declared_at), default=None)
        for each in known:
            if not self.fleet.has(each.fingerprint):
                continue
            if each.declared_at is None or each.declared_at != last:
                raise Misconfigured(ALREADY_KNOWN)
            return AlreadyDeclared(each.declared_at)
        # Servers of the previous release do not record fingerprints of their secrets.
        sealed = await session.scalars(select(SigningKey.sealed_private_key))
        if any(self.secrets.open(each) for each in sealed):
            raise Misconfigured(ALREADY_KNOWN)
        return last

    async def _lock_all(self, session: AsyncSession) -> None:
        """Lock out what makes keys, announces removals, signs the audit or starts sessions."""
        await self.rotation.lock(session)
        await self.retention.lock(session)
        await self.checkpoints.lock(session)
        for statement in LOCK_TABLES:
            await session.execute(statement)

    async def _declare(self, session: AsyncSession) -> CompromiseDeclared:
        now = self.clock()
        await self._replace_secrets(session, now)
        keys = await _count(session, delete(SigningKey))
        pair = await self.rotation.add(session, now)
        sessions = await _count(session, self._end_sessions(now))
        links = await _count(session, delete(OneTimeToken))
        await session.execute(delete(Challenge))
        # Sealed under the leaked secret: who has it and a copy of the database makes their codes.
        # Passkeys stay, since only their authenticators have the private keys. They need the
        # password once: who has the secret could use sessions of others to register their own.
        factors = await _count(session, delete(Factor).where(Factor.kind == TOTP))
        for table in (TotpEnrollment, RecoveryCodes):
            await session.execute(delete(table))
        await session.execute(update(Passkey).values(needs_password=True))
        jobs = await self.jobs.fail_all(session, JOB_FAILED)
        # Last, since it locks the ends of all audit chains.
        former = await self.checkpoints.last(session)
        await Recorder(None, NO_CLIENT, now).record(
            session,
            SessionEvent.SECRET_COMPROMISED,
            keys=str(keys),
            sessions=str(sessions),
            links=str(links),
            factors=str(factors),
            jobs=str(jobs),
            checkpoint=str(former.number),
            hash=former.hash.hex(),
        )
        await self.checkpoints.begin_epoch(session, pair)
        return CompromiseDeclared(now, keys, sessions, links, factors, jobs, pair.id, former)

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

    def _end_sessions(self, now: datetime) -> Any:
        values = {"ended_at": now, "end_reason": EndReason.REVOKED.value}
        return update(Session).where(LIFETIME.is_active(now)).values(values)


async def _count(session: AsyncSession, change: Any) -> int:
    await session.flush()
    result: Any = await session.execute(change)
    return result.rowcount
