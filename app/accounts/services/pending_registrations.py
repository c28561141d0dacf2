"""Registrations whose address has to be verified first.

`register` does the same work for every address: it hashes the password and enqueues a job. Only the
job looks the address up, so neither the answer nor its timing reveals whether it has an account.
"""

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.emails import REGISTERED_ALREADY, VERIFY_REGISTRATION
from app.accounts.events import AccountEvent
from app.accounts.services.email_addresses import (
    count_pending_registrations,
    locked_user_with_email,
)
from app.accounts.services.new_users import NewUser, delete_unconfirmed, is_unconfirmed, new_user
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.jobs.services.queue import Jobs
from app.mail.limits import email_charge
from app.mail.models import OneTimeToken, TokenPurpose
from app.mail.services.one_time_tokens import LIFETIMES, OneTimeTokens
from app.mail.services.outgoing_emails import OutgoingEmails
from app.security.client import Client
from app.throttle.services.budgets import Budgets
from app.users.models import User, UserRow
from app.users.services.inputs import Registration
from app.users.services.rows import UNCONFIRMED

PURGE_BATCH = 100


@dataclass(frozen=True, slots=True)
class VerificationSent:
    """An email with the next step was queued, whether the address is new or known."""


@dataclass(frozen=True, slots=True)
class FinishRegistration:
    """A registration was requested, perhaps by a person who does not own the address."""

    job: ClassVar[str] = "user.registration"

    email: str
    password_hash: str
    display_name: str | None
    ip_address: str | None
    request_id: str | None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Registrations:
    db: Database
    jobs: Jobs
    emails: OutgoingEmails
    tokens: OneTimeTokens
    budgets: Budgets
    clock: Clock

    async def accept(
        self, registration: Registration, password_hash: str, client: Client
    ) -> VerificationSent:
        job = FinishRegistration(
            registration.email,
            password_hash,
            registration.display_name,
            client.ip_address,
            client.request_id,
            self.emails.locale_of(client),
        )
        async with self.db.begin() as session:
            await self.jobs.enqueue(session, job, about=registration.email)
        return VerificationSent()

    async def finish(self, job: FinishRegistration) -> None:
        """Create the account if the address is free, and send the email. Handles the job."""
        email, name, locale = job.email, job.display_name, job.locale
        client = Client(job.ip_address, None, job.request_id)
        async with self.db.begin() as session:
            now = self.clock()
            charge = email_charge("registration", email)
            refused = await self.budgets.charge_within(session, charge)
            new = NewUser(email, job.password_hash, name, open_to_registration=True)
            user = await new_user(session, now, new)
            if user is not None:
                recorder = Recorder(user.id, client, now)
                await recorder.record(session, AccountEvent.USER_REGISTERED, target=user.id)
            else:
                user = await locked_user_with_email(session, email)
            if user is None or refused:
                return
            if not await is_unconfirmed(session, user):
                # Also for users who signed in before verification was required, were invited or
                # imported: their account must not get the password of a stranger.
                await self.emails.enqueue(session, REGISTERED_ALREADY, email, user.id, locale)
                return
            await self._send_link(session, user, job.password_hash, name, locale)

    async def purge(self) -> None:
        """Delete registrations whose last link has expired, in batches."""
        while await self._purge_some() == PURGE_BATCH:
            pass

    async def _purge_some(self) -> int:
        now, user, token = self.clock(), User, OneTimeToken
        # The job that sends the first link of a newer one may not have run yet.
        is_old = user.created_at < now - LIFETIMES[TokenPurpose.VERIFY_EMAIL]
        has_link = exists().where(token.user_id == user.id, token.expires_at > now)
        expired = select(user.id).where(UNCONFIRMED, is_old, ~has_link).limit(PURGE_BATCH)
        async with self.db.begin() as session:
            chosen = expired.with_for_update(skip_locked=True)
            return await delete_unconfirmed(session, now, user.id.in_(chosen))

    async def _send_link(
        self,
        session: AsyncSession,
        user: UserRow,
        password_hash: str,
        name: str | None,
        locale: str | None,
    ) -> None:
        others = await count_pending_registrations(session, user)
        purpose = TokenPurpose.VERIFY_EMAIL
        link = await self.tokens.issue(
            session, purpose, user.id, user.email, password_hash=password_hash, display_name=name
        )
        await self.emails.enqueue(
            session,
            VERIFY_REGISTRATION,
            user.email,
            user.id,
            locale,
            link,
            others="yes" if others else None,
        )
