"""Passwords: choosing a new one, by the present one or by a letter."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update

from app import models
from app.db import Database
from app.errors import Overloaded
from app.models import AuditName, EndReason, TokenPurpose
from app.outages import repeatable
from app.security.device_tokens import DeviceTokens
from app.security.passwords import Passwords, normalised
from app.security.viewer import Viewer
from app.services.audit import record
from app.services.confirmation import Confirmation
from app.services.emails import RequestAccepted, user_at
from app.services.inputs import ChosenPassword, check, known_form
from app.services.jobs import Jobs, Payload
from app.services.letters import Letter, Letters
from app.services.new_passwords import NewPasswords
from app.services.one_time_tokens import IN_WORDS, OneTimeTokens, TokenInvalid, TokenRow
from app.services.outcomes import (
    Client,
    InputIssue,
    InputIssueCode,
    InvalidCredentials,
    InvalidInput,
    RateLimited,
    UserChanged,
)
from app.services.rows import changed_user, is_active, locked_user
from app.services.sessions import end_sessions
from app.services.throttle import Throttle

RESET_ASKED = "password.reset_asked"
UNCHANGED = InputIssue(
    ("newPassword",), InputIssueCode.UNCHANGED, "This is the password that you have already."
)


@dataclass(frozen=True, slots=True)
class PasswordChanges:
    db: Database
    jobs: Jobs
    letters: Letters
    tokens: OneTimeTokens
    confirmation: Confirmation
    passwords: Passwords
    new_passwords: NewPasswords
    throttle: Throttle
    devices: DeviceTokens
    clock: Callable[[], datetime]

    async def request_reset(self, email: str, client: Client) -> RequestAccepted:
        """Ask for a link. The same work for every address: a job finds out about it.

        Raises:
            Overloaded: too many were asked for from there.

        """
        await self.throttle.request(client)
        async with self.db.begin() as session:
            await self.jobs.enqueue(session, RESET_ASKED, {"email": known_form(email)})
        return RequestAccepted()

    async def post_reset(self, payload: Payload) -> None:
        """Send the link to whoever has the address, if anybody: the job's handler."""
        purpose = TokenPurpose.RESET_PASSWORD
        async with self.db.begin() as session:
            if not await self.throttle.mail(session, "reset", payload["email"] or ""):
                return
            user = await user_at(session, payload["email"])
            if user is None or not user.is_active(self.clock()):
                return
            await self.tokens.revoke(session, user.id, purpose)
            token = await self.tokens.issue(session, purpose, user.id, user.email)
            await self.letters.post(
                session,
                Letter.RESET_PASSWORD,
                user.email,
                token=token,
                lifetime=IN_WORDS[purpose],
            )

    async def reset(
        self, token: str, new_password: str, client: Client
    ) -> UserChanged | TokenInvalid | InvalidInput | RateLimited:
        """Set a password by a letter's link, and end every session (OWASP Forgot Password).

        A password that is refused does not use the link up. Reading the letter proves the address,
        so this device is the account's own from now on: no stranger's guesses keep it from signing
        in.
        """
        charge = await self.throttle.token(client)
        if isinstance(charge, RateLimited):
            return charge
        purposes = (TokenPurpose.RESET_PASSWORD, TokenPurpose.INVITATION)
        found = await self.tokens.find(token, *purposes)
        if found is None:
            return TokenInvalid()
        await self.throttle.give_back(charge)
        try:
            name = await self._name_of(found.user_id)
            refused = await self._refused(new_password, found.email, name)
            if refused:
                return refused
            password_hash = await self.passwords.hash(normalised(new_password), client.block)
        except Overloaded as full:
            return RateLimited(full.retry_after_seconds)
        return await self._reset(found, token, password_hash, client)

    async def change(
        self,
        viewer: Viewer,
        current: str,
        new_password: str,
        client: Client,
        *,
        keep_other_sessions: bool,
    ) -> UserChanged | InvalidCredentials | InvalidInput | RateLimited:
        """Set a password by the present one. The session that asks stays."""
        seen = await self.confirmation.ask(viewer, current, client)
        if not isinstance(seen, str):
            return seen
        if normalised(new_password) == normalised(current):
            return InvalidInput((UNCHANGED,))
        user = viewer.user
        try:
            refused = await self._refused(new_password, user.email, user.display_name)
            if refused:
                return refused
            password_hash = await self.passwords.hash(normalised(new_password), client.block)
        except Overloaded as full:
            return RateLimited(full.retry_after_seconds)
        return await self._change(viewer, seen, password_hash, client, keep=keep_other_sessions)

    @repeatable
    async def _change(
        self, viewer: Viewer, seen: str, password_hash: str, client: Client, *, keep: bool
    ) -> UserChanged | InvalidCredentials:
        now, user = self.clock(), models.User
        changed = (
            update(user)
            .where(user.id == viewer.user.id, user.password_hash == seen, is_active(now))
            .values(password_hash=password_hash, updated_at=now)
        )
        others = (models.Session.user_id == viewer.user.id) & (
            models.Session.id != viewer.session_id
        )
        async with self.db.begin() as session:
            row = await changed_user(session, changed)
            if row is None:
                return InvalidCredentials()
            if not keep:
                reason = EndReason.PASSWORD_CHANGED
                await end_sessions(session, now, reason, client, row.id, others, actor=row.id)
            await self.tokens.revoke(session, row.id)
            await self.letters.post(session, Letter.PASSWORD_CHANGED, row.email)
            event = AuditName.PASSWORD_CHANGED
            await record(session, now, event, client, actor=row.id, target=row.id)
        return UserChanged(row)

    @repeatable
    async def _reset(
        self, found: TokenRow, token: str, password_hash: str, client: Client
    ) -> UserChanged | TokenInvalid:
        now, user = self.clock(), models.User
        as_found = (user.id == found.user_id, user.email == found.email, is_active(now))
        values = {"password_hash": password_hash, "email_verified": True, "updated_at": now}
        async with self.db.begin() as session:
            if not await locked_user(session, *as_found):
                return TokenInvalid()
            if not await self.tokens.use(session, token):
                return TokenInvalid()
            row = await changed_user(session, update(user).where(*as_found).values(**values))
            if row is None:
                raise LookupError("a locked row is gone")
            everywhere = models.Session.user_id == row.id
            reason = EndReason.PASSWORD_CHANGED
            await end_sessions(session, now, reason, client, row.id, everywhere, actor=row.id)
            await self.tokens.revoke(session, row.id)
            await self.letters.post(session, Letter.PASSWORD_CHANGED, row.email)
            event = AuditName.PASSWORD_RESET
            await record(session, now, event, client, actor=row.id, target=row.id)
        return UserChanged(row, self.devices.issue(row.id))

    async def _name_of(self, user_id: UUID) -> str | None:
        user = models.User
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
