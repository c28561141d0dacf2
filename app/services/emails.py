"""Addresses: showing that one reads mail there, and changing to another."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import models
from app.db import Database
from app.models import AuditName, TokenPurpose, UserRow
from app.outages import repeatable
from app.security.viewer import Viewer
from app.services.audit import record
from app.services.confirmation import Confirmation
from app.services.inputs import NewAddress, check, known_form
from app.services.jobs import Jobs, Payload
from app.services.letters import Letter, Letters
from app.services.new_users import UNCONFIRMED, awaits_its_owner
from app.services.one_time_tokens import IN_WORDS, OneTimeTokens, TokenInvalid, TokenRow
from app.services.outcomes import (
    Client,
    EmailTaken,
    InputIssue,
    InputIssueCode,
    InvalidCredentials,
    InvalidInput,
    RateLimited,
    SignedIn,
    UserChanged,
)
from app.services.rows import changed_user, is_active, locked_user
from app.services.sign_in import SignIn
from app.services.throttle import MAIL_SECONDS, Throttle

VERIFICATION_ASKED = "email.verification_asked"
UNCHANGED = InputIssue(
    ("newEmail",), InputIssueCode.UNCHANGED, "This is the address of the account already."
)


@dataclass(frozen=True, slots=True)
class RequestAccepted:
    """Whatever there was to do will be done; it says nothing about who has an account."""


@dataclass(frozen=True, slots=True)
class Emails:
    db: Database
    jobs: Jobs
    letters: Letters
    tokens: OneTimeTokens
    confirmation: Confirmation
    sign_in: SignIn
    throttle: Throttle
    clock: Callable[[], datetime]

    async def verify(self, token: str, client: Client) -> SignedIn | TokenInvalid | RateLimited:
        """Take a link as proof that its bearer reads mail at the address, and sign them in.

        The link of a registration brings the password of that registration and of no other: nobody
        who registered somebody else's address first gets in by the click of its owner.
        """
        charge = await self.throttle.token(client)
        if isinstance(charge, RateLimited):
            return charge
        found = await self.tokens.find(token, TokenPurpose.VERIFY_EMAIL)
        if found is None:
            return TokenInvalid()
        await self.throttle.give_back(charge)
        now, user = self.clock(), models.User
        changes: dict[str, Any] = {"email_verified": True, "last_login_at": now, "updated_at": now}
        as_found = (user.id == found.user_id, user.email == found.email, is_active(now))
        replaced = (TokenPurpose.VERIFY_EMAIL,)
        if found.password_hash is not None:
            # Not into an account that somebody has signed in to since, on a server that lets them.
            as_found = (*as_found, UNCONFIRMED)
            changes |= {"password_hash": found.password_hash, "display_name": found.display_name}
            replaced = tuple(TokenPurpose)
        async with self.db.begin() as session:
            if not await locked_user(session, *as_found):
                return TokenInvalid()
            if not await self.tokens.use(session, token):
                return TokenInvalid()
            row = await changed_user(session, update(user).where(*as_found).values(**changes))
            if row is None:
                raise LookupError("a locked row is gone")
            await self.tokens.revoke(session, row.id, *replaced)
            event = AuditName.EMAIL_VERIFIED
            await record(session, now, event, client, actor=row.id, target=row.id)
            started = await self.sign_in.start(session, row, client)
        return self.sign_in.signed_in(row, started)

    async def request_verification(self, email: str, client: Client) -> RequestAccepted:
        """Ask for another link. The same work for every address: a job finds out about it.

        Raises:
            Overloaded: too many were asked for from there.

        """
        await self.throttle.request(client)
        async with self.db.begin() as session:
            await self.jobs.enqueue(session, VERIFICATION_ASKED, {"email": known_form(email)})
        return RequestAccepted()

    async def post_verification(self, payload: Payload) -> None:
        """Send the link where there is something to verify: the job's handler."""
        async with self.db.begin() as session:
            if not await self.throttle.mail(session, "verification", payload["email"] or ""):
                return
            user = await user_at(session, payload["email"])
            if user is None or user.email_verified or not user.is_active(self.clock()):
                return
            waits = await awaits_its_owner(session, user)
            pending = await self._pending_registration(session, user) if waits else None
            if waits and pending is None:
                # Every registration has lapsed: a link would bring the password of whoever was
                # first, and that may be a stranger. They register anew.
                return
            token = await self.tokens.issue(
                session,
                TokenPurpose.VERIFY_EMAIL,
                user.id,
                user.email,
                password_hash=pending.password_hash if pending else None,
                display_name=pending.display_name if pending else None,
            )
            others = await pending_registrations(session, user) > 1
            await self.letters.post(
                session,
                Letter.VERIFY_REGISTRATION if pending else Letter.VERIFY_EMAIL,
                user.email,
                token=token,
                lifetime=IN_WORDS[TokenPurpose.VERIFY_EMAIL],
                others="yes" if others else None,
            )

    async def request_change(
        self, viewer: Viewer, new_email: str, password: str, client: Client
    ) -> RequestAccepted | InvalidCredentials | InvalidInput | RateLimited:
        """Write to the new address, and tell the old one. Says nothing of who has the new one."""
        checked = check(NewAddress, {"newEmail": new_email})
        if not isinstance(checked, NewAddress):
            return InvalidInput(checked)
        if checked.new_email == viewer.user.email:
            return InvalidInput((UNCHANGED,))
        seen = await self.confirmation.ask(viewer, password, client)
        if not isinstance(seen, str):
            return seen
        now, purpose, user = self.clock(), TokenPurpose.CHANGE_EMAIL, models.User
        as_seen = (user.id == viewer.user.id, user.password_hash == seen, is_active(now))
        async with self.db.begin() as session:
            if not await self.throttle.mail(session, "change", checked.new_email):
                return RateLimited(MAIL_SECONDS)
            # While the password was verified its owner may have changed it, to stop just this.
            row = await locked_user(session, *as_seen)
            if row is None:
                return InvalidCredentials()
            await self.tokens.revoke(session, row.id, purpose)
            token = await self.tokens.issue(session, purpose, row.id, checked.new_email)
            words = {"token": token, "lifetime": IN_WORDS[purpose]}
            await self.letters.post(session, Letter.CONFIRM_EMAIL, checked.new_email, **words)
            await self.letters.post(session, Letter.EMAIL_CHANGE_ASKED, row.email)
            event = AuditName.EMAIL_CHANGE_REQUESTED
            await record(session, now, event, client, actor=row.id, target=row.id)
        return RequestAccepted()

    async def confirm_change(
        self, token: str, client: Client
    ) -> UserChanged | TokenInvalid | EmailTaken | RateLimited:
        """Move the account to the address that the link was sent to.

        The database decides whether it is free. Sessions go on: whoever asked knew the password.
        """
        charge = await self.throttle.token(client)
        if isinstance(charge, RateLimited):
            return charge
        found = await self.tokens.find(token, TokenPurpose.CHANGE_EMAIL)
        if found is None:
            return TokenInvalid()
        await self.throttle.give_back(charge)
        try:
            return await self._move(found, token, client)
        except IntegrityError:
            # The link stays good: the address may become free again while it lasts.
            return EmailTaken()

    @repeatable
    async def _move(
        self, found: TokenRow, token: str, client: Client
    ) -> UserChanged | TokenInvalid:
        now, user = self.clock(), models.User
        mine = user.id == found.user_id
        values = {"email": found.email, "email_verified": True, "updated_at": now}
        async with self.db.begin() as session:
            former = await locked_user(session, mine, is_active(now))
            if former is None or not await self.tokens.use(session, token):
                return TokenInvalid()
            row = await changed_user(session, update(user).where(mine).values(**values))
            if row is None:
                raise LookupError("a locked row is gone")
            await self.tokens.revoke(session, row.id)
            await self.letters.post(session, Letter.EMAIL_CHANGED, former.email)
            event = AuditName.EMAIL_CHANGED
            await record(session, now, event, client, actor=row.id, target=row.id)
        return UserChanged(row)

    async def _pending_registration(self, session: AsyncSession, user: UserRow) -> Any:
        table = models.OneTimeToken
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


async def user_at(session: AsyncSession, email: str | None) -> UserRow | None:
    """Building block: whoever has an address, locked; None where nobody has."""
    return await locked_user(session, models.User.email == email) if email else None


async def pending_registrations(session: AsyncSession, user: UserRow) -> int:
    """Building block: how many registrations wait for the owner of the address to confirm one."""
    table = models.OneTimeToken
    # A link that is sent again brings the same password as before.
    waiting = select(func.count(table.password_hash.distinct())).where(
        table.user_id == user.id, table.purpose == TokenPurpose.VERIFY_EMAIL.value
    )
    return int(await session.scalar(waiting) or 0)
