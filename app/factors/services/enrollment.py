"""Enrolling an authenticator app: a secret is shown, and a code confirms that the app has it."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.identifiers import new_id
from app.database.outages import retry_on_conflict
from app.factors.models import Factor, FactorKind, FactorRow, TotpEnrollment, TotpSecret, has_factor
from app.factors.services.added_factors import AddedFactors
from app.factors.services.answers import InvalidCode
from app.factors.services.challenge_answers import ChallengeExpired
from app.factors.services.factor_secrets import FactorSecrets
from app.factors.services.locking import locked_viewer
from app.factors.services.totp_codes import TotpCodes
from app.mail.services.outgoing_emails import OutgoingEmails
from app.security import totp
from app.security.client import Client
from app.sessions.models import AuthenticationMethod
from app.sessions.services.freshness import FRESH_WITHIN, Freshness, record_proof
from app.sessions.services.sign_in import EmailNotVerified
from app.users.services.viewer import Viewer

PENDING_FOR = timedelta(minutes=15)
KIND = FactorKind.TOTP


@dataclass(frozen=True, slots=True)
class Enrollment:
    """A secret to enter into an authenticator app. It is not stored in clear."""

    secret: str
    otpauth_uri: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class FactorAlreadyEnrolled:
    """The user has a factor of this kind, of which there can be one."""


@dataclass(frozen=True, slots=True)
class FactorAdded:
    factor: FactorRow
    # With the first factor only; they cannot be read again.
    recovery_codes: list[str] | None


@dataclass(frozen=True, slots=True)
class TotpEnrollments:
    db: Database
    secrets: FactorSecrets
    totp_codes: TotpCodes
    freshness: Freshness
    added: AddedFactors
    emails: OutgoingEmails
    clock: Clock

    @retry_on_conflict
    async def begin(self, viewer: Viewer) -> Enrollment | FactorAlreadyEnrolled | EmailNotVerified:
        """Make a secret that this session can confirm within 15 minutes.

        A new one replaces the former one of the session. The address must be verified: who has
        registered the address of somebody else must not lock them out with a factor.
        """
        secret, expires_at = totp.make_secret(), self.clock() + PENDING_FOR
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, self.clock())
            await self.freshness.check_locked(session, viewer, FRESH_WITHIN)
            if not user.email_verified:
                return EmailNotVerified()
            if await session.scalar(select(has_factor(user.id, KIND))):
                return FactorAlreadyEnrolled()
            await self._store(session, viewer, secret, expires_at)
        uri = totp.otpauth_uri(secret, user.email, self.emails.renderer.product_name)
        return Enrollment(totp.secret_text(secret), uri, expires_at)

    @retry_on_conflict
    async def confirm(
        self, viewer: Viewer, code: str, client: Client
    ) -> FactorAdded | InvalidCode | ChallengeExpired:
        """Make the secret a factor, with a code of it. The code cannot be used again.

        Only the session that has begun can confirm, and it was fresh then. Repeated within 30
        seconds, the result has no recovery codes.

        With the first factor the user gets recovery codes, and what other sessions have proved no
        longer suffices for sensitive changes.

        Raises:
            Unavailable: this server lacks the secret that sealed the enrollment.

        """
        now = self.clock()
        recorder = Recorder.by(viewer, client, now)
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            secret = await self._pending(session, viewer, now)
            if secret is None:
                # Without the recovery codes, which could not be read again: a double click must not
                # replace those that the first answer shows.
                added = await self.totp_codes.just_accepted(session, viewer, code, now)
                is_new = added is not None and added.created_at == added.last_used_at
                return FactorAdded(added, None) if added and is_new else ChallengeExpired()
            step = totp.matching_step(secret, totp.normalised(code), now)
            if step is None:
                return InvalidCode()
            is_first = await self.added.is_first(session, user.id)
            factor = await self._add(session, user.id, secret, step, now)
            await record_proof(session, viewer, AuthenticationMethod.TOTP, now)
            codes = await self.added.complete(
                session, viewer, user, factor, recorder, is_first=is_first
            )
        return FactorAdded(factor, codes)

    async def purge(self) -> None:
        """Delete enrollments that were not confirmed in time."""
        async with self.db.begin() as session:
            expired = TotpEnrollment.expires_at <= self.clock()
            await session.execute(delete(TotpEnrollment).where(expired))

    async def _store(
        self, session: AsyncSession, viewer: Viewer, secret: bytes, expires_at: datetime
    ) -> None:
        table, sealed = TotpEnrollment, self.secrets.seal(secret)
        values: dict[str, Any] = {
            "sealed_secret": sealed.text,
            "sealed_with": sealed.sealed_with,
            "created_at": expires_at - PENDING_FOR,
            "expires_at": expires_at,
        }
        stored = postgresql.insert(table).values(
            session_id=viewer.session_id, user_id=viewer.user.id, **values
        )
        await session.execute(
            stored.on_conflict_do_update(index_elements=[table.session_id], set_=values)
        )

    async def _pending(self, session: AsyncSession, viewer: Viewer, now: datetime) -> bytes | None:
        table = TotpEnrollment
        pending = select(table.sealed_secret).where(
            table.session_id == viewer.session_id, table.expires_at > now
        )
        sealed = await session.scalar(pending)
        return self.secrets.open(sealed) if sealed else None

    async def _add(
        self, session: AsyncSession, user_id: uuid.UUID, secret: bytes, step: int, now: datetime
    ) -> FactorRow:
        """Insert the factor, and delete all pending enrollments of the user."""
        factor = FactorRow(new_id(now), user_id, KIND.value, now, now)
        sealed = self.secrets.seal(secret)
        await session.execute(insert(Factor), factor._asdict())
        row = {
            "user_id": user_id,
            "factor_id": factor.id,
            "sealed_secret": sealed.text,
            "sealed_with": sealed.sealed_with,
            "last_step": step,
        }
        await session.execute(insert(TotpSecret), row)
        await session.execute(delete(TotpEnrollment).where(TotpEnrollment.user_id == user_id))
        return factor
