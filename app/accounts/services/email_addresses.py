"""Email addresses: verification, and changing the address."""

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
from app.accounts.services.new_users import delete_unconfirmed, is_reserved, is_unconfirmed
from app.accounts.services.password_confirmation import PasswordConfirmation
from app.accounts.services.repeated_links import RepeatedLinks
from app.accounts.services.trust import Change, Trust
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
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
from app.sessions.models import AuthenticationMethod
from app.sessions.services.freshness import FRESH_WITHIN, Freshness
from app.sessions.services.gate import Gate
from app.sessions.services.outcomes import ChallengeRequired, SignedIn, StartedSession
from app.text.email_addresses import EmailDomains
from app.throttle.services.budgets import Budgets
from app.users.models import User, UserRow
from app.users.services.inputs import NewAddress, check, normalised_address
from app.users.services.outcomes import UserChanged
from app.users.services.rows import UNCONFIRMED, is_active, locked_user
from app.users.services.viewer import Viewer

UNCHANGED = InputIssue(
    ("newEmail",), InputIssueCode.UNCHANGED, "This is already the address of the account."
)


@dataclass(frozen=True, slots=True)
class SendVerification:
    """A link to verify an address was requested. `email` is None if it is not an address."""

    job: ClassVar[str] = "email.verification_asked"

    email: str | None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class RequestAccepted:
    """The request was queued. The answer does not reveal whether an account has the address."""


class Proof(NamedTuple):
    """What the link of a verification proves: the change of trust, and the values to set."""

    change: Change
    values: dict[str, Any]


class AddressReserved(Exception):
    """Another account may still move back to the address. Rolls back."""


@dataclass(frozen=True, slots=True)
class EmailAddresses:
    db: Database
    jobs: Jobs
    emails: OutgoingEmails
    tokens: OneTimeTokens
    trust: Trust
    confirmation: PasswordConfirmation
    gate: Gate
    freshness: Freshness
    repeats: RepeatedLinks
    budgets: Budgets
    clock: Clock
    email_domains: EmailDomains

    async def verify(
        self, token: str, viewer: Viewer | None, client: Client
    ) -> SignedIn | ChallengeRequired | TokenInvalid:
        """Verify the address by a link that was sent to it, and sign the user in.

        If the address was not verified before, the account may have been created by a stranger:
        all its sessions, device tokens and links end, and its password is removed. There are two
        exceptions: the link belongs to the registration that chose the password (it confirms that
        registration only), or the viewer is its user.
        """
        found = await self.tokens.find(token, TokenPurpose.VERIFY_EMAIL)
        signed_in = await self._verify(found, token, viewer, client) if found else None
        return signed_in or await self.repeats.verified(token, client) or TokenInvalid()

    @retry_on_conflict
    async def _verify(
        self, found: TokenRow, token: str, viewer: Viewer | None, client: Client
    ) -> SignedIn | ChallengeRequired | None:
        now, user = self.clock(), User
        recorder = Recorder(found.user_id, client, now)
        unchanged = and_(user.id == found.user_id, user.email == found.email, is_active(now))
        if found.password_hash is not None:
            # Not if the account was signed in to meanwhile, where verification is not required.
            unchanged &= UNCONFIRMED
        async with self.db.begin() as session:
            before = await locked_user(session, unchanged)
            if before is None or not await self.tokens.use(session, token):
                return None
            proof = _proof(found, before, viewer)
            values = {"email_verified": True, **proof.values}
            row = await self.trust.change(session, proof.change, unchanged, values, recorder)
            if row is None:
                raise LookupError("a locked row was deleted")
            if proof.change is Change.ADDRESS_PROVED:
                await self._send_password_link(session, row, client)
            await recorder.record(session, AccountEvent.EMAIL_VERIFIED, target=row.id)
            proved = (AuthenticationMethod.EMAIL,)
            entered = await self.gate.start_or_challenge(session, row, proved, client)
            if isinstance(entered, StartedSession):
                await self.tokens.remember(session, found.id, client, entered.session.id)
        return self.gate.outcome_of(entered)

    async def request_verification(self, email: str, client: Client) -> RequestAccepted:
        """Request another link. The work is the same for every address: a job looks it up."""
        address = normalised_address(email)
        job = SendVerification(address, self.emails.locale_of(client))
        async with self.db.begin() as session:
            await self.jobs.enqueue(session, job, about=address)
        return RequestAccepted()

    async def send_verification(self, job: SendVerification) -> None:
        """Send the link if an account has an address to verify. Handles `SendVerification`."""
        async with self.db.begin() as session:
            charge = email_charge("verification", job.email or "")
            if await self.budgets.charge_within(session, charge):
                return
            user = await locked_user_with_email(session, job.email)
            if user is None or user.email_verified or not user.is_active(self.clock()):
                return
            unconfirmed = await is_unconfirmed(session, user)
            pending = await self._pending_registration(session, user) if unconfirmed else None
            if unconfirmed and pending is None:
                # Every registration has expired: a link would confirm the password of the first
                # one, which may be a stranger's. The owner has to register again.
                return
            if await count_pending_registrations(session, user) > 1:
                # Any of them may be the owner's: the link verifies the address without a password.
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
        """Send a link to the new address, and a notice to the current one.

        The result does not reveal whether another account has the new address.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        checked = check(NewAddress, {"newEmail": new_email}, email_domains=self.email_domains)
        if not isinstance(checked, NewAddress):
            return InvalidInput(checked)
        if checked.new_email == viewer.user.email:
            return InvalidInput((UNCHANGED,))
        confirmed = await self.confirmation.check(viewer, password, client)
        if not isinstance(confirmed, str):
            return confirmed
        return await self._request_change(viewer, checked.new_email, confirmed, client)

    @retry_on_conflict
    async def _request_change(
        self, viewer: Viewer, new_email: str, confirmed: str, client: Client
    ) -> RequestAccepted | InvalidCredentials | RateLimited:
        now, purpose, user = self.clock(), TokenPurpose.CHANGE_EMAIL, User
        unchanged = and_(user.id == viewer.user.id, user.password_hash == confirmed, is_active(now))
        async with self.db.begin() as session:
            # The owner may have changed the password during its verification, to stop this change.
            row = await locked_user(session, unchanged)
            if row is None:
                return InvalidCredentials()
            await self.freshness.check_locked(session, viewer, FRESH_WITHIN)
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
        """Change the address to the one that the link was sent to, or back to the former one.

        The database decides whether the address is free. Sessions continue after a change: the user
        who requested it knew the password. The former address, if it was verified, gets a link that
        undoes the change and all later ones; it is valid for a week.
        """
        undo = TokenPurpose.UNDO_EMAIL_CHANGE
        found = await self.tokens.find(token, TokenPurpose.CHANGE_EMAIL, undo)
        try:
            changed = await self._confirm(found, token, client) if found else None
            return changed or await self.repeats.confirmed(token, client) or TokenInvalid()
        except (IntegrityError, AddressReserved):
            # The link stays valid: the address may become free again while it lasts.
            return EmailTaken()

    async def _confirm(self, found: TokenRow, token: str, client: Client) -> UserChanged | None:
        if found.purpose == TokenPurpose.UNDO_EMAIL_CHANGE.value:
            return await self._undo_change(found, token, client)
        return await self._change(found, token, client)

    @retry_on_conflict
    async def _change(self, found: TokenRow, token: str, client: Client) -> UserChanged | None:
        recorder = Recorder(found.user_id, client, self.clock())
        async with self.db.begin() as session:
            changed = await self._set_address(session, Change.EMAIL_CHANGED, found, token, recorder)
            if changed is None:
                return None
            former, row = changed
            if await is_reserved(session, self.clock(), row):
                raise AddressReserved
            await self._notify_former_address(session, former, row, client)
            await recorder.record(session, AccountEvent.EMAIL_CHANGED, target=row.id)
        return UserChanged(row)

    @retry_on_conflict
    async def _undo_change(self, found: TokenRow, token: str, client: Client) -> UserChanged | None:
        recorder = Recorder(found.user_id, client, self.clock())
        async with self.db.begin() as session:
            changed = await self._set_address(
                session, Change.EMAIL_CHANGE_UNDONE, found, token, recorder
            )
            if changed is None:
                return None
            former, row = changed
            # Links that undo earlier changes stay valid, those of later changes do not.
            undo = (TokenPurpose.UNDO_EMAIL_CHANGE,)
            await self.tokens.revoke(session, row.id, undo, after=found.id)
            await self._send_password_link(session, row, client)
            locale = self.emails.locale_of(client)
            await self.emails.enqueue(session, EMAIL_CHANGE_UNDONE, former.email, row.id, locale)
            await recorder.record(session, AccountEvent.EMAIL_CHANGE_UNDONE, target=row.id)
        return UserChanged(row)

    async def _set_address(
        self,
        session: AsyncSession,
        change: Change,
        found: TokenRow,
        token: str,
        recorder: Recorder,
    ) -> tuple[UserRow, UserRow] | None:
        """Use the link, and return the row of the user before and after the change."""
        user, now = User, self.clock()
        is_owner: ColumnElement[bool] = user.id == found.user_id
        former = await locked_user(session, is_owner, is_active(now))
        if former is None or not await self.tokens.use(session, token):
            return None
        await delete_unconfirmed(session, now, user.email == found.email)
        values = {"email": found.email, "email_verified": True}
        row = await self.trust.change(session, change, is_owner, values, recorder)
        if row is None:
            raise LookupError("a locked row was deleted")
        await self.tokens.remember(session, found.id, recorder.client)
        return former, row

    async def _notify_former_address(
        self, session: AsyncSession, former: UserRow, row: UserRow, client: Client
    ) -> None:
        """Send a notice to the former address, with a link that undoes the change.

        Without the link if the former address was never verified: it may not be the owner's.
        Nor if the new address has a link that undoes an earlier change: the account returns to it,
        and the address in between may be an attacker's.
        """
        undo, link = TokenPurpose.UNDO_EMAIL_CHANGE, None
        before = await self.tokens.oldest_usable(session, undo, row.id, row.email)
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
        registered = {"password_hash": found.password_hash, "display_name": found.display_name}
        return Proof(Change.REGISTRATION_CONFIRMED, registered)
    in_session = viewer is not None and viewer.user.id == before.id
    if before.email_verified or in_session:
        return Proof(Change.ADDRESS_PROVED_IN_SESSION, {})
    return Proof(Change.ADDRESS_PROVED, {})


async def locked_user_with_email(session: AsyncSession, email: str | None) -> UserRow | None:
    """Building block: lock and return the user with an address; None if there is none."""
    return await locked_user(session, User.email == email) if email else None


async def count_pending_registrations(session: AsyncSession, user: UserRow) -> int:
    """Building block: how many registrations of the address are waiting for confirmation."""
    table = OneTimeToken
    # A link that is sent again has the password of the link before it.
    pending = select(func.count(table.password_hash.distinct())).where(
        table.user_id == user.id, table.purpose == TokenPurpose.VERIFY_EMAIL.value
    )
    return int(await session.scalar(pending) or 0)
