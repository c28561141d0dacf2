"""What administrators, and operators by commands, do with the accounts of others."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.services.erasure import Erasure
from app.accounts.services.last_administrator import LastAdministrator, has_other_administrator
from app.accounts.services.new_users import NewUser, is_unconfirmed, new_user
from app.accounts.services.trust import Change, Trust
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.factors.models import has_factor
from app.mail.models import TokenPurpose
from app.mail.services.one_time_tokens import OneTimeTokens
from app.mail.services.outgoing_emails import OutgoingEmails
from app.outcomes import EmailTaken, InvalidInput, NotFound
from app.people.emails import FACTORS_RESET, INVITATION
from app.people.events import PeopleEvent
from app.security.client import Client
from app.text.email_addresses import EmailDomains
from app.users.models import Role, User, UserRow
from app.users.services.inputs import FactorReset, Invitee, NewSuspension, check
from app.users.services.outcomes import UserChanged
from app.users.services.rows import changed_user, locked_user
from app.users.services.viewer import Admin, Operator

Changed = UserChanged | NotFound | LastAdministrator


@dataclass(frozen=True, slots=True)
class UnconfirmedRegistration:
    """An account whose address is not confirmed: a stranger may have registered it."""


@dataclass(frozen=True, slots=True)
class UserDeleted:
    """The account and its personal data are deleted; the audit keeps the id."""

    user_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Administration:
    """Each change records an event in its transaction; a call that changes nothing does not."""

    db: Database
    emails: OutgoingEmails
    tokens: OneTimeTokens
    trust: Trust
    erasure: Erasure
    clock: Clock
    email_domains: EmailDomains

    @retry_on_conflict
    async def create_user(
        self, by: Admin | Operator, email: str, display_name: str | None, role: Role, client: Client
    ) -> UserChanged | EmailTaken | InvalidInput:
        """Create an account without a password, and send an invitation to choose one."""
        values = {"email": email, "displayName": display_name}
        checked = check(Invitee, values, email_domains=self.email_domains)
        if not isinstance(checked, Invitee):
            return InvalidInput(checked)
        now, name, purpose = self.clock(), checked.display_name, TokenPurpose.INVITATION
        async with self.db.begin() as session:
            user = await new_user(session, now, NewUser(checked.email, None, name, role))
            if user is None:
                return EmailTaken()
            link = await self.tokens.issue(session, purpose, user.id, user.email)
            locale = self.emails.locale_of(client)
            await self.emails.enqueue(session, INVITATION, user.email, user.id, locale, link)
            recorder, event = Recorder.by(by, client, now), PeopleEvent.USER_CREATED
            await recorder.record(session, event, target=user.id, role=role.value)
        return UserChanged(user)

    @retry_on_conflict
    async def set_role(
        self, by: Admin | Operator, user_id: uuid.UUID, role: Role, client: Client
    ) -> Changed | UnconfirmedRegistration:
        """Change the role of a user, effective from their next request."""
        async with self.db.begin() as session:
            another = await has_other_administrator(session, user_id, self.clock())
            user = await locked_user(session, User.id == user_id)
            if user is None:
                return NotFound()
            if user.role == role.value:
                return UserChanged(user)
            if role is not Role.ADMIN and not another:
                return LastAdministrator()
            if role is Role.ADMIN and await is_unconfirmed(session, user):
                return UnconfirmedRegistration()
            recorder = Recorder.by(by, client, self.clock())
            changed = await self._changed(session, user, {"role": role.value})
            details = {"from": user.role, "to": role.value}
            await recorder.record(session, PeopleEvent.ROLE_CHANGED, target=user.id, **details)
            return changed

    @retry_on_conflict
    async def suspend(
        self,
        by: Admin | Operator,
        user_id: uuid.UUID,
        reason: str,
        until: datetime | None,
        client: Client,
    ) -> Changed | InvalidInput:
        """Suspend a user, and end their sessions. With `until`, the suspension ends by itself.

        If they are suspended already, another reason or end replaces the current one.
        """
        now = self.clock()
        checked = check(NewSuspension, {"reason": reason, "until": until}, now=now)
        if not isinstance(checked, NewSuspension):
            return InvalidInput(checked)
        values: dict[str, Any] = {
            "suspended_until": checked.until,
            "suspension_reason": checked.reason,
        }
        async with self.db.begin() as session:
            another = await has_other_administrator(session, user_id, now)
            user = await locked_user(session, User.id == user_id)
            if user is None:
                return NotFound()
            if user.role == Role.ADMIN.value and not another:
                return LastAdministrator()
            if user.is_active(now):
                values["suspended_at"] = now
            elif all(getattr(user, name) == value for name, value in values.items()):
                return UserChanged(user)
            recorder, is_user = Recorder.by(by, client, self.clock()), User.id == user_id
            row = await self.trust.change(session, Change.SUSPENDED, is_user, values, recorder)
            if row is None:
                raise LookupError("a locked row was deleted")
            until_text = checked.until.isoformat() if checked.until else "for good"
            event = PeopleEvent.USER_SUSPENDED
            await recorder.record(session, event, target=row.id, until=until_text)
            return UserChanged(row)

    @retry_on_conflict
    async def reinstate(self, by: Admin | Operator, user_id: uuid.UUID, client: Client) -> Changed:
        """End a suspension. Its user has to sign in again."""
        values = {"suspended_at": None, "suspended_until": None, "suspension_reason": None}
        async with self.db.begin() as session:
            user = await locked_user(session, User.id == user_id)
            if user is None:
                return NotFound()
            if user.is_active(self.clock()):
                return UserChanged(user)
            recorder = Recorder.by(by, client, self.clock())
            changed = await self._changed(session, user, values)
            await recorder.record(session, PeopleEvent.USER_REINSTATED, target=user.id)
            return changed

    @retry_on_conflict
    async def delete(
        self, by: Admin | Operator, user_id: uuid.UUID, client: Client
    ) -> UserDeleted | NotFound | LastAdministrator:
        """Delete an account, as its owner can; an email notifies them."""
        async with self.db.begin() as session:
            recorder = Recorder.by(by, client, self.clock())
            erased = await self.erasure.erase(session, user_id, recorder)
        if erased is None:
            return NotFound()
        return erased if isinstance(erased, LastAdministrator) else UserDeleted(user_id)

    @retry_on_conflict
    async def end_sessions(
        self, by: Admin | Operator, user_id: uuid.UUID, client: Client
    ) -> Changed:
        """End all sessions of a user."""
        async with self.db.begin() as session:
            user = await locked_user(session, User.id == user_id)
            if user is None:
                return NotFound()
            recorder = Recorder.by(by, client, self.clock())
            await self.trust.end(session, Change.SIGNED_OUT, user, recorder)
            return UserChanged(user)

    @retry_on_conflict
    async def reset_factors(
        self, by: Admin | Operator, user_id: uuid.UUID, reason: str, client: Client
    ) -> UserChanged | NotFound | InvalidInput:
        """Remove all factors and recovery codes of a user, and end their sessions.

        An email tells them. Nothing ends, and nothing is recorded, if they have none.
        """
        checked = check(FactorReset, {"reason": reason})
        if not isinstance(checked, FactorReset):
            return InvalidInput(checked)
        recorder = Recorder.by(by, client, self.clock())
        async with self.db.begin() as session:
            user = await locked_user(session, User.id == user_id)
            if user is None:
                return NotFound()
            if not await session.scalar(select(has_factor(user.id))):
                return UserChanged(user)
            locale = self.emails.locale_of(client)
            await self.emails.enqueue(session, FACTORS_RESET, user.email, user.id, locale)
            await self.trust.end(session, Change.FACTORS_RESET, user, recorder)
            event, details = PeopleEvent.FACTORS_RESET, {"reason": checked.reason}
            await recorder.record(session, event, target=user.id, **details)
        return UserChanged(user)

    async def _changed(
        self, session: AsyncSession, user: UserRow, values: dict[str, Any]
    ) -> UserChanged:
        change = update(User).where(User.id == user.id)
        row = await changed_user(session, change.values(**values, updated_at=self.clock()))
        if row is None:
            raise LookupError("a locked row was deleted")
        return UserChanged(row)
