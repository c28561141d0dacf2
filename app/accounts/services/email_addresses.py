"""Addresses: showing that one reads mail there, and changing to another."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.emails import (
    CONFIRM_EMAIL,
    EMAIL_CHANGE_ASKED,
    EMAIL_CHANGE_UNDONE,
    EMAIL_CHANGED,
    PASSWORD_REMOVED,
    VERIFY_EMAIL,
    VERIFY_REGISTRATION,
)
from app.accounts.events import AccountEvent
from app.accounts.services.new_users import awaits_its_owner, delete_unconfirmed, is_reserved
from app.accounts.services.password_confirmation import PasswordConfirmation
from app.accounts.services.repeated_links import RepeatedLinks
from app.accounts.services.trust import Change, Trust
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import repeatable
from app.jobs.services.queue import Jobs
from app.mail.limits import email_charge
from app.mail.models import OneTimeToken, TokenPurpose
from app.mail.services.one_time_tokens import OneTimeTokens, TokenInvalid, TokenRow
from app.mail.services.outgoing_emails import OutgoingEmails
from app.outcomes import (
    EmailTaken,
    InputIssue,
    InputIssueCode,
    InvalidCredentials,
    InvalidInput,
    RateLimited,
)
from app.security.client import Client
from app.sessions.services.outcomes import SignedIn
from app.sessions.services.sign_in import SignIn
from app.text.email_addresses import EmailDomains
from app.throttle.services.budgets import Budgets
from app.users.models import User, UserRow
from app.users.services.inputs import NewAddress, check, known_form
from app.users.services.outcomes import UserChanged
from app.users.services.rows import UNCONFIRMED, is_active, locked_user
from app.users.services.viewer import Viewer

UNCHANGED = InputIssue(
    ("newEmail",), InputIssueCode.UNCHANGED, "This is the address of the account already."
)


@dataclass(frozen=True, slots=True)
class SendVerification:
    """Somebody has asked for a link to verify an address; None: for what is no address."""

    job: ClassVar[str] = "email.verification_asked"

    email: str | None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class RequestAccepted:
    """Whatever there was to do will be done; it says nothing about who has an account."""


class Proof(NamedTuple):
    """What a link proves, as a change of the account that it belongs to."""

    change: Change
    values: dict[str, Any]


class Reserved(Exception):
    """The address may still go back to another account: rolls back."""


@dataclass(frozen=True, slots=True)
class EmailAddresses:
    db: Database
    jobs: Jobs
    emails: OutgoingEmails
    tokens: OneTimeTokens
    trust: Trust
    confirmation: PasswordConfirmation
    sign_in: SignIn
    repeats: RepeatedLinks
    budgets: Budgets
    clock: Clock
    email_domains: EmailDomains

    async def verify(
        self, token: str, viewer: Viewer | None, client: Client
    ) -> SignedIn | TokenInvalid:
        """Take a link as proof that its bearer reads mail at the address, and sign them in.

        If the address was not proved before, the account may have been made by a stranger:
        every session, device, link and the password end. Not if the link belongs to the
        registration that the password comes from, which is the only one that it makes valid, nor
        if a living session of the account brings the link.
        """
        found = await self.tokens.find(token, TokenPurpose.VERIFY_EMAIL)
        signed_in = await self._verify(found, token, viewer, client) if found else None
        return signed_in or await self.repeats.verified(token, client) or TokenInvalid()

    @repeatable
    async def _verify(
        self, found: TokenRow, token: str, viewer: Viewer | None, client: Client
    ) -> SignedIn | None:
        now, user = self.clock(), User
        recorder = Recorder(found.user_id, client, now)
        as_found = and_(user.id == found.user_id, user.email == found.email, is_active(now))
        if found.password_hash is not None:
            # Not into an account that somebody has signed in to since, on a server that lets them.
            as_found &= UNCONFIRMED
        async with self.db.begin() as session:
            before = await locked_user(session, as_found)
            if before is None or not await self.tokens.use(session, token):
                return None
            proof = _proof(found, before, viewer)
            values = {"email_verified": True, "last_login_at": now, **proof.values}
            row = await self.trust.change(session, proof.change, as_found, values, recorder)
            if row is None:
                raise LookupError("a locked row is gone")
            if proof.change is Change.ADDRESS_PROVED:
                await self._send_password_link(session, row, client)
            await recorder.record(session, AccountEvent.EMAIL_VERIFIED, target=row.id)
            started = await self.sign_in.start(session, row, client)
            await self.tokens.remember(session, found.id, client, started.session.id)
        return self.sign_in.signed_in(row, started)

    async def request_verification(self, email: str, client: Client) -> RequestAccepted:
        """Ask for another link. The same work for every address: a job finds out about it."""
        address = known_form(email)
        job = SendVerification(address, self.emails.locale_of(client))
        async with self.db.begin() as session:
            await self.jobs.enqueue(session, job, about=address)
        return RequestAccepted()

    async def post_verification(self, job: SendVerification) -> None:
        """Send the link where there is something to verify: the job's handler."""
        async with self.db.begin() as session:
            charge = email_charge("verification", job.email or "")
            if await self.budgets.charge_within(session, charge):
                return
            user = await user_at(session, job.email)
            if user is None or user.email_verified or not user.is_active(self.clock()):
                return
            waits = await awaits_its_owner(session, user)
            pending = await self._pending_registration(session, user) if waits else None
            if waits and pending is None:
                # Every registration has lapsed: a link would bring the password of whoever was
                # first, and that may be a stranger. They register anew.
                return
            if await pending_registrations(session, user) > 1:
                # Which of them is the owner's cannot be told: the link brings no password.
                pending = None
            link = await self.tokens.issue(
                session,
                TokenPurpose.VERIFY_EMAIL,
                user.id,
                user.email,
                password_hash=pending.password_hash if pending else None,
                display_name=pending.display_name if pending else None,
            )
            kind = VERIFY_REGISTRATION if pending else VERIFY_EMAIL
            await self.emails.enqueue(session, kind, user.email, user.id, job.locale, link)

    async def request_change(
        self, viewer: Viewer, new_email: str, password: str, client: Client
    ) -> RequestAccepted | InvalidCredentials | InvalidInput | RateLimited:
        """Write to the new address, and tell the old one. Says nothing of who has the new one.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        checked = check(NewAddress, {"newEmail": new_email}, email_domains=self.email_domains)
        if not isinstance(checked, NewAddress):
            return InvalidInput(checked)
        if checked.new_email == viewer.user.email:
            return InvalidInput((UNCHANGED,))
        seen = await self.confirmation.check(viewer, password, client)
        if not isinstance(seen, str):
            return seen
        return await self._request_change(viewer, checked.new_email, seen, client)

    @repeatable
    async def _request_change(
        self, viewer: Viewer, new_email: str, seen: str, client: Client
    ) -> RequestAccepted | InvalidCredentials | RateLimited:
        now, purpose, user = self.clock(), TokenPurpose.CHANGE_EMAIL, User
        as_seen = and_(user.id == viewer.user.id, user.password_hash == seen, is_active(now))
        async with self.db.begin() as session:
            # While the password was verified its owner may have changed it, to stop just this.
            row = await locked_user(session, as_seen)
            if row is None:
                return InvalidCredentials()
            refused = await self.budgets.charge_within(session, email_charge("change", new_email))
            if refused:
                return refused
            await self.tokens.revoke(session, row.id, (purpose,))
            link = await self.tokens.issue(session, purpose, row.id, new_email)
            locale = self.emails.locale_of(client)
            await self.emails.enqueue(session, CONFIRM_EMAIL, new_email, row.id, locale, link)
            await self.emails.enqueue(session, EMAIL_CHANGE_ASKED, row.email, row.id, locale)
            recorder = Recorder.by(viewer, client, now)
            await recorder.record(session, AccountEvent.EMAIL_CHANGE_REQUESTED, target=row.id)
        return RequestAccepted()

    async def confirm_change(
        self, token: str, client: Client
    ) -> UserChanged | TokenInvalid | EmailTaken:
        """Move the account to the address that the link was sent to, or back to the former one.

        The database decides whether the address is free. Sessions go on after a change: the user
        who asked for it knew the password. The former address, if it was verified, gets a link that
        undoes the change for a week, and everything that was done since.
        """
        undo = TokenPurpose.UNDO_EMAIL_CHANGE
        found = await self.tokens.find(token, TokenPurpose.CHANGE_EMAIL, undo)
        try:
            changed = await self._confirm(found, token, client) if found else None
            return changed or await self.repeats.confirmed(token, client) or TokenInvalid()
        except (IntegrityError, Reserved):
            # The link stays valid: the address may become free again while it lasts.
            return EmailTaken()

    async def _confirm(self, found: TokenRow, token: str, client: Client) -> UserChanged | None:
        undoes = found.purpose == TokenPurpose.UNDO_EMAIL_CHANGE.value
        return await (self._undo if undoes else self._move)(found, token, client)

    @repeatable
    async def _move(self, found: TokenRow, token: str, client: Client) -> UserChanged | None:
        recorder = Recorder(found.user_id, client, self.clock())
        async with self.db.begin() as session:
            moved = await self._moved(session, Change.EMAIL_CHANGED, found, token, recorder)
            if moved is None:
                return None
            former, row = moved
            if await is_reserved(session, self.clock(), row):
                raise Reserved
            await self._tell_former(session, former, row, client)
            await recorder.record(session, AccountEvent.EMAIL_CHANGED, target=row.id)
        return UserChanged(row)

    @repeatable
    async def _undo(self, found: TokenRow, token: str, client: Client) -> UserChanged | None:
        recorder = Recorder(found.user_id, client, self.clock())
        async with self.db.begin() as session:
            moved = await self._moved(session, Change.EMAIL_CHANGE_UNDONE, found, token, recorder)
            if moved is None:
                return None
            former, row = moved
            # What an older change left behind can still be undone, what a later one did cannot.
            undo = (TokenPurpose.UNDO_EMAIL_CHANGE,)
            await self.tokens.revoke(session, row.id, undo, after=found.id)
            await self._send_password_link(session, row, client)
            locale = self.emails.locale_of(client)
            await self.emails.enqueue(session, EMAIL_CHANGE_UNDONE, former.email, row.id, locale)
            await recorder.record(session, AccountEvent.EMAIL_CHANGE_UNDONE, target=row.id)
        return UserChanged(row)

    async def _moved(
        self,
        session: AsyncSession,
        change: Change,
        found: TokenRow,
        token: str,
        recorder: Recorder,
    ) -> tuple[UserRow, UserRow] | None:
        """Use the link, and return the user as they were before and as they are now."""
        user, now = User, self.clock()
        mine: ColumnElement[bool] = user.id == found.user_id
        former = await locked_user(session, mine, is_active(now))
        if former is None or not await self.tokens.use(session, token):
            return None
        await delete_unconfirmed(session, now, user.email == found.email)
        values = {"email": found.email, "email_verified": True}
        row = await self.trust.change(session, change, mine, values, recorder)
        if row is None:
            raise LookupError("a locked row is gone")
        await self.tokens.remember(session, found.id, recorder.client)
        return former, row

    async def _tell_former(
        self, session: AsyncSession, former: UserRow, row: UserRow, client: Client
    ) -> None:
        """Write to the former address, and let it undo the change if that may be its owner's wish.

        Not if it was never verified, since it may never have been theirs. Nor if the account comes
        back to an address that could have undone a change: what lies in between may be a thief's.
        """
        undo, link = TokenPurpose.UNDO_EMAIL_CHANGE, None
        before = await self.tokens.open_for(session, undo, row.id, row.email)
        if before is not None:
            await self.tokens.revoke(session, row.id, (undo,), after=before)
        elif former.email_verified:
            link = await self.tokens.issue(session, undo, former.id, former.email)
        locale = self.emails.locale_of(client)
        await self.emails.enqueue(session, EMAIL_CHANGED, former.email, row.id, locale, link)

    async def _send_password_link(
        self, session: AsyncSession, user: UserRow, client: Client
    ) -> None:
        purpose = TokenPurpose.RESET_PASSWORD
        link = await self.tokens.issue(session, purpose, user.id, user.email)
        locale = self.emails.locale_of(client)
        await self.emails.enqueue(session, PASSWORD_REMOVED, user.email, user.id, locale, link)

    async def _pending_registration(self, session: AsyncSession, user: UserRow) -> Any:
        table = OneTimeToken
        newest = (
            select(table.password_hash, table.display_name)
            .where(
                table.user_id == user.id,
                table.purpose == TokenPurpose.VERIFY_EMAIL.value,
                table.password_hash.is_not(None),
            )
            .order_by(table.id.desc())
            .limit(1)
        )
        return (await session.execute(newest)).one_or_none()


def _proof(found: TokenRow, before: UserRow, viewer: Viewer | None) -> Proof:
    if found.password_hash is not None:
        brought = {"password_hash": found.password_hash, "display_name": found.display_name}
        return Proof(Change.REGISTRATION_CONFIRMED, brought)
    in_session = viewer is not None and viewer.user.id == before.id
    if before.email_verified or in_session:
        return Proof(Change.ADDRESS_PROVED_IN_SESSION, {})
    return Proof(Change.ADDRESS_PROVED, {})


async def user_at(session: AsyncSession, email: str | None) -> UserRow | None:
    """Building block: whoever has an address, locked; None where nobody has."""
    return await locked_user(session, User.email == email) if email else None


async def pending_registrations(session: AsyncSession, user: UserRow) -> int:
    """Building block: how many registrations wait for the owner of the address to confirm one."""
    table = OneTimeToken
    # A link that is sent again brings the same password as before.
    waiting = select(func.count(table.password_hash.distinct())).where(
        table.user_id == user.id, table.purpose == TokenPurpose.VERIFY_EMAIL.value
    )
    return int(await session.scalar(waiting) or 0)
