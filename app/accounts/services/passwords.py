"""Passwords: changing one with the current one, and resetting one by email."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.emails import PASSWORD_CHANGED, RESET_PASSWORD
from app.accounts.events import AccountEvent
from app.accounts.services.email_addresses import RequestAccepted, locked_user_with_email
from app.accounts.services.new_passwords import NewPasswords
from app.accounts.services.password_confirmation import PasswordConfirmation
from app.accounts.services.trust import Change, Trust
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.errors import Unauthenticated
from app.factors.models import Factor, Passkey
from app.jobs.services.queue import Jobs
from app.mail.limits import email_charge
from app.mail.models import TokenPurpose
from app.mail.services.one_time_tokens import OneTimeTokens, TokenInvalid, TokenRow
from app.mail.services.outgoing_emails import OutgoingEmails
from app.outcomes import InputIssue, InputIssueCode, InvalidCredentials, InvalidInput
from app.security.client import Client
from app.security.password_hashes.preparations import normalised
from app.security.passwords import Passwords
from app.sessions.models import Session
from app.sessions.services.freshness import FRESH_WITHIN, Freshness
from app.sessions.services.known_devices import Devices
from app.sessions.services.outcomes import Tokens
from app.sessions.services.refresh import TokenRefresh
from app.sessions.services.session_tokens import SessionTokens
from app.throttle.services.budgets import Budgets
from app.users.models import User, UserRow
from app.users.services.inputs import ChosenPassword, check, normalised_address
from app.users.services.outcomes import UserChanged
from app.users.services.rows import is_active, locked_user
from app.users.services.viewer import Viewer

UNCHANGED = InputIssue(("newPassword",), InputIssueCode.UNCHANGED, "This is already your password.")


@dataclass(frozen=True, slots=True)
class SendReset:
    """A link to reset a password was requested. `email` is None if it is not an address."""

    job: ClassVar[str] = "password.reset_asked"

    email: str | None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """The session continues with new tokens; its former ones, and copies of them, are invalid."""

    user: UserRow
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class PasswordChanges:
    db: Database
    jobs: Jobs
    emails: OutgoingEmails
    tokens: OneTimeTokens
    trust: Trust
    confirmation: PasswordConfirmation
    passwords: Passwords
    new_passwords: NewPasswords
    budgets: Budgets
    devices: Devices
    token_refresh: TokenRefresh
    freshness: Freshness
    session_tokens: SessionTokens
    clock: Clock

    async def request_reset(self, email: str, client: Client) -> RequestAccepted:
        """Request a link. The work is the same for every address: a job looks it up."""
        address = normalised_address(email)
        job = SendReset(address, self.emails.locale_of(client))
        async with self.db.begin() as session:
            await self.jobs.enqueue(session, job, about=address)
        return RequestAccepted()

    async def send_reset(self, job: SendReset) -> None:
        """Send the link if a user has the address. Handles `SendReset`."""
        purpose = TokenPurpose.RESET_PASSWORD
        async with self.db.begin() as session:
            charge = email_charge("reset", job.email or "")
            if await self.budgets.charge_within(session, charge):
                return
            user = await locked_user_with_email(session, job.email)
            if user is None or not user.is_active(self.clock()):
                return
            await self.tokens.revoke(session, user.id, (purpose,))
            link = await self.tokens.issue(session, purpose, user.id, user.email)
            await self.emails.enqueue(
                session, RESET_PASSWORD, user.email, user.id, job.locale, link
            )

    async def reset(
        self, token: str, new_password: str, client: Client
    ) -> UserChanged | TokenInvalid | InvalidInput:
        """Set a password by an emailed link, and end every session (OWASP Forgot Password).

        A refused password does not use up the link. The link proves the address, so the result has
        a device token: wrong passwords from other devices do not lock this one out.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        purposes = (TokenPurpose.RESET_PASSWORD, TokenPurpose.INVITATION)
        found = await self.tokens.find(token, *purposes)
        if found is None:
            return TokenInvalid()
        name = await self._name_of(found.user_id)
        refused = await self._refused(new_password, found.email, name)
        if refused:
            return refused
        password_hash = await self.passwords.hash(normalised(new_password), client.block)
        return await self._reset(found, token, password_hash, client)

    async def change(
        self,
        viewer: Viewer,
        current: str,
        new_password: str,
        client: Client,
        *,
        keep_other_sessions: bool,
    ) -> PasswordChanged | InvalidCredentials | InvalidInput:
        """Set a password by the current one. The current session continues with new tokens.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        confirmed = await self.confirmation.check(viewer, current, client)
        if not isinstance(confirmed, str):
            return confirmed
        if normalised(new_password) == normalised(current):
            return InvalidInput((UNCHANGED,))
        user = viewer.user
        refused = await self._refused(new_password, user.email, user.display_name)
        if refused:
            return refused
        password_hash = await self.passwords.hash(normalised(new_password), client.block)
        table = Session.id
        ended = false() if keep_other_sessions else table != viewer.session_id
        return await self._change(viewer, confirmed, password_hash, client, ended)

    @retry_on_conflict
    async def _change(
        self,
        viewer: Viewer,
        confirmed: str,
        password_hash: str,
        client: Client,
        ended: ColumnElement[bool],
    ) -> PasswordChanged | InvalidCredentials:
        now, user, change = self.clock(), User, Change.PASSWORD_CHANGED
        recorder = Recorder.by(viewer, client, now)
        unchanged = and_(user.id == viewer.user.id, user.password_hash == confirmed, is_active(now))
        values = {"password_hash": password_hash}
        async with self.db.begin() as session:
            if not await locked_user(session, unchanged):
                return InvalidCredentials()
            await self.freshness.check_locked(session, viewer, FRESH_WITHIN)
            renewed = await self.token_refresh.renew(session, viewer.session_id, client)
            if renewed is None:
                raise Unauthenticated("The session has ended. Sign in again.")
            row = await self.trust.change(
                session,
                change,
                unchanged,
                values,
                recorder,
                sessions=ended,
                current=viewer.session_id,
            )
            if row is None:
                raise LookupError("a locked row was deleted")
            device_token = await self.devices.issue(session, row.id)
            locale = self.emails.locale_of(client)
            await self.emails.enqueue(session, PASSWORD_CHANGED, row.email, row.id, locale)
            await recorder.record(session, AccountEvent.PASSWORD_CHANGED, target=row.id)
        signed_in = self.session_tokens.signed_in(row, renewed, device_token)
        return PasswordChanged(row, signed_in.tokens)

    @retry_on_conflict
    async def _reset(
        self, found: TokenRow, token: str, password_hash: str, client: Client
    ) -> UserChanged | TokenInvalid:
        now, user, change = self.clock(), User, Change.PASSWORD_RESET
        recorder = Recorder(found.user_id, client, now)
        unchanged = and_(user.id == found.user_id, user.email == found.email, is_active(now))
        values = {"password_hash": password_hash, "email_verified": True}
        async with self.db.begin() as session:
            if not await locked_user(session, unchanged):
                return TokenInvalid()
            if not await self.tokens.use(session, token):
                return TokenInvalid()
            row = await self.trust.change(session, change, unchanged, values, recorder)
            if row is None:
                raise LookupError("a locked row was deleted")
            device_token = await self.devices.issue(session, row.id)
            locale, names = self.emails.locale_of(client), await _passkeys(session, row.id)
            await self.emails.enqueue(
                session, PASSWORD_CHANGED, row.email, row.id, locale, passkeys=names
            )
            await recorder.record(session, AccountEvent.PASSWORD_RESET, target=row.id)
        return UserChanged(row, device_token)

    async def _name_of(self, user_id: UUID) -> str | None:
        user = User
        rows = await self.db.rows(select(user.display_name).where(user.id == user_id))
        return rows[0][0] if rows else None

    async def _refused(
        self, new_password: str, email: str, name: str | None
    ) -> InvalidInput | None:
        shortest = self.new_passwords.min_length
        values = {"newPassword": new_password}
        checked = check(ChosenPassword, values, password_min_length=shortest)
        if not isinstance(checked, ChosenPassword):
            return InvalidInput(checked)
        issue = await self.new_passwords.find_issue(checked.new_password, email, name)
        return InvalidInput((issue.at("newPassword"),)) if issue else None


async def _passkeys(session: AsyncSession, user_id: UUID) -> str:
    """Returns the passkeys of a user, a line for each: names may contain anything else."""
    found = (
        select(Passkey.name, Factor.created_at)
        .join(Factor, Factor.id == Passkey.factor_id)
        .where(Passkey.user_id == user_id)
        .order_by(Passkey.factor_id)
    )
    rows = await session.execute(found)
    return "\n".join(f"- “{name}”, registered on {at:%Y-%m-%d}" for name, at in rows)
