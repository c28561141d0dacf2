"""Passwords: choosing a new one, by the current one or by an email."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from sqlalchemy import ColumnElement, and_, false, select

from app.accounts.emails import PASSWORD_CHANGED, RESET_PASSWORD
from app.accounts.events import AccountEvent
from app.accounts.services.email_addresses import RequestAccepted, user_at
from app.accounts.services.new_passwords import NewPasswords
from app.accounts.services.password_confirmation import PasswordConfirmation
from app.accounts.services.trust import Change, Trust
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import repeatable
from app.errors import Unauthenticated
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
from app.sessions.services.known_devices import Devices
from app.sessions.services.outcomes import Tokens
from app.sessions.services.refresh import TokenRefresh
from app.sessions.services.sign_in import SignIn, Started
from app.throttle.services.budgets import Budgets
from app.users.models import User, UserRow
from app.users.services.inputs import ChosenPassword, check, known_form
from app.users.services.outcomes import UserChanged
from app.users.services.rows import is_active, locked_user
from app.users.services.viewer import Viewer

UNCHANGED = InputIssue(
    ("newPassword",), InputIssueCode.UNCHANGED, "This is the password that you have already."
)


@dataclass(frozen=True, slots=True)
class SendReset:
    """Somebody has asked for a link to choose a password; None: for what is no address."""

    job: ClassVar[str] = "password.reset_asked"

    email: str | None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """The session goes on with new tokens; the ones it had are over, and so are copies of them."""

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
    sign_in: SignIn
    clock: Clock

    async def request_reset(self, email: str, client: Client) -> RequestAccepted:
        """Ask for a link. The same work for every address: a job finds out about it."""
        address = known_form(email)
        job = SendReset(address, self.emails.locale_of(client))
        async with self.db.begin() as session:
            await self.jobs.enqueue(session, job, about=address)
        return RequestAccepted()

    async def post_reset(self, job: SendReset) -> None:
        """Send the link if a user has the address: the job's handler."""
        purpose = TokenPurpose.RESET_PASSWORD
        async with self.db.begin() as session:
            charge = email_charge("reset", job.email or "")
            if await self.budgets.charge_within(session, charge):
                return
            user = await user_at(session, job.email)
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

        A password that is refused does not use the link up. Reading the email proves the address,
        so this device is known from now on: guesses from elsewhere do not keep it from signing in.

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
        """Set a password by the current one. The session that asks goes on with new tokens.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        seen = await self.confirmation.check(viewer, current, client)
        if not isinstance(seen, str):
            return seen
        if normalised(new_password) == normalised(current):
            return InvalidInput((UNCHANGED,))
        user = viewer.user
        refused = await self._refused(new_password, user.email, user.display_name)
        if refused:
            return refused
        password_hash = await self.passwords.hash(normalised(new_password), client.block)
        table = Session.id
        ended = false() if keep_other_sessions else table != viewer.session_id
        return await self._change(viewer, seen, password_hash, client, ended)

    @repeatable
    async def _change(
        self,
        viewer: Viewer,
        seen: str,
        password_hash: str,
        client: Client,
        ended: ColumnElement[bool],
    ) -> PasswordChanged | InvalidCredentials:
        now, user, change = self.clock(), User, Change.PASSWORD_CHANGED
        recorder = Recorder.by(viewer, client, now)
        as_seen = and_(user.id == viewer.user.id, user.password_hash == seen, is_active(now))
        values = {"password_hash": password_hash}
        async with self.db.begin() as session:
            if not await locked_user(session, as_seen):
                return InvalidCredentials()
            renewed = await self.token_refresh.renew(session, viewer.session_id, client)
            if renewed is None:
                raise Unauthenticated("The session has ended. Sign in again.")
            row = await self.trust.change(
                session, change, as_seen, values, recorder, sessions=ended
            )
            if row is None:
                raise LookupError("a locked row is gone")
            started = Started(renewed, await self.devices.issue(session, row.id))
            locale = self.emails.locale_of(client)
            await self.emails.enqueue(session, PASSWORD_CHANGED, row.email, row.id, locale)
            await recorder.record(session, AccountEvent.PASSWORD_CHANGED, target=row.id)
        return PasswordChanged(row, self.sign_in.signed_in(row, started).tokens)

    @repeatable
    async def _reset(
        self, found: TokenRow, token: str, password_hash: str, client: Client
    ) -> UserChanged | TokenInvalid:
        now, user, change = self.clock(), User, Change.PASSWORD_RESET
        recorder = Recorder(found.user_id, client, now)
        as_found = and_(user.id == found.user_id, user.email == found.email, is_active(now))
        values = {"password_hash": password_hash, "email_verified": True}
        async with self.db.begin() as session:
            if not await locked_user(session, as_found):
                return TokenInvalid()
            if not await self.tokens.use(session, token):
                return TokenInvalid()
            row = await self.trust.change(session, change, as_found, values, recorder)
            if row is None:
                raise LookupError("a locked row is gone")
            device_token = await self.devices.issue(session, row.id)
            locale = self.emails.locale_of(client)
            await self.emails.enqueue(session, PASSWORD_CHANGED, row.email, row.id, locale)
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
        issue = await self.new_passwords.issue_with(checked.new_password, email, name)
        return InvalidInput((issue.at("newPassword"),)) if issue else None
