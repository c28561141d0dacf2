"""Signing in: a password for a session and its tokens."""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app import models
from app.db import Database
from app.errors import Overloaded
from app.models import AuditName, SessionRow, UserRow
from app.outages import repeatable
from app.security.access_tokens import AccessTokens
from app.security.device_tokens import DeviceTokens
from app.security.passwords import Passwords, Verification
from app.security.refresh_tokens import RefreshTokens
from app.services.audit import record
from app.services.identifiers import new_id
from app.services.inputs import MAX_EMAIL_BYTES, known_form
from app.services.outcomes import Client, InvalidCredentials, RateLimited, SignedIn, Tokens
from app.services.rows import changed_session, changed_user, is_active
from app.services.throttle import Throttle

SALT_BYTES = 16
MAX_USER_AGENT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class EmailNotVerified:
    """The password was right; what is missing is a click in a letter."""


class Known(NamedTuple):
    """What a sign-in has to know of an account beforehand."""

    id: uuid.UUID
    password_hash: str | None
    email_verified: bool


@dataclass(frozen=True, slots=True)
class SignIn:
    db: Database
    passwords: Passwords
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    clock: Callable[[], datetime]
    idle_lifetime: timedelta
    max_lifetime: timedelta
    verified_only: bool
    throttle: Throttle
    devices: DeviceTokens

    async def login(
        self, email: str, password: str, client: Client
    ) -> SignedIn | InvalidCredentials | EmailNotVerified | RateLimited:
        """Sign in. Takes as long where nobody has this address (OWASP ASVS 6.3.8).

        Charged before the password is looked at, and given back if it was right. What is over a
        budget is no try: it costs nothing, and is no event.
        """
        address = known_form(email)
        known = await self._known(address) if address else None
        account = address or email[:MAX_EMAIL_BYTES]
        charge = await self.throttle.sign_in(account, known.id if known else None, client)
        if isinstance(charge, RateLimited):
            return charge
        entered = await self._login(address, known, password, client)
        if entered is None:
            return await self._refuse(known.id if known else None, client)
        await self.throttle.give_back(charge)
        return entered

    async def _login(
        self, address: str | None, known: Known | None, password: str, client: Client
    ) -> SignedIn | EmailNotVerified | RateLimited | None:
        try:
            entered = await self._try(known, password, client)
            if entered is None and address is not None:
                # Another sign-in may have stored an upgraded hash of the same password meanwhile.
                # Asked for nobody's address too, or the time of this read would tell them apart.
                again = await self._known(address)
                if again != known:
                    entered = await self._try(again, password, client)
        except Overloaded as full:
            return RateLimited(full.retry_after_seconds)
        return entered

    async def _try(
        self, known: Known | None, password: str, client: Client
    ) -> SignedIn | EmailNotVerified | None:
        # No connection is held meanwhile: this takes a third of a second, and connections are few.
        password_hash = known.password_hash if known else None
        verification = await self.passwords.verify(password, password_hash, client.block)
        if known is None or not verification.matches:
            return None
        return await self._enter(known, verification, client)

    async def start(self, session: AsyncSession, user: UserRow, client: Client) -> SessionRow:
        """Building block: open a session in the caller's transaction."""
        now = self.clock()
        started = insert(models.Session).values(
            id=new_id(now),
            user_id=user.id,
            token_salt=secrets.token_bytes(SALT_BYTES),
            user_agent=_shown(client.user_agent),
            ip_address=client.ip_address,
            created_at=now,
            rotated_at=now,
            last_used_at=now,
            expires_at=now + self.idle_lifetime,
            ends_by=now + self.max_lifetime,
        )
        await record(session, now, AuditName.SESSION_STARTED, client, actor=user.id, target=user.id)
        row = await changed_session(session, started)
        if row is None:
            raise LookupError("an insert gave no row")
        return row

    def signed_in(self, user: UserRow, session: SessionRow) -> SignedIn:
        """Building block: make the tokens, once the session is committed."""
        access = self.access_tokens.issue(user.id, session.id, session.generation)
        refresh = self.refresh_tokens.issue(session.id, session.generation, session.token_salt)
        expires_at = min(session.expires_at, session.ends_by)
        device = self.devices.issue(user.id)
        tokens = Tokens(access.text, access.expires_at, refresh, expires_at, device)
        return SignedIn(user, session, tokens)

    async def _known(self, address: str) -> Known | None:
        user = models.User
        columns = [getattr(user, name) for name in Known._fields]
        rows = await self.db.rows(select(*columns).where(user.email == address))
        return Known._make(rows[0]) if rows else None

    async def _unverified(
        self, user_id: uuid.UUID, as_seen: tuple[ColumnElement[bool], ...], client: Client
    ) -> EmailNotVerified | None:
        if not await self.db.rows(select(models.User.id).where(*as_seen)):
            return None
        await self._refuse(user_id, client)
        return EmailNotVerified()

    @repeatable
    async def _refuse(self, user_id: uuid.UUID | None, client: Client) -> InvalidCredentials:
        # Written for an unknown address too: that it is known must not show in the time this takes.
        async with self.db.begin() as session:
            event = AuditName.SESSION_REFUSED
            await record(session, self.clock(), event, client, target=user_id)
        return InvalidCredentials()

    @repeatable
    async def _enter(
        self, known: Known, verification: Verification, client: Client
    ) -> SignedIn | EmailNotVerified | None:
        # While the hash was computed the account may have been suspended or its password changed:
        # the same row is asked again, under lock, and only as it was seen does it let anybody in.
        now, user_ = self.clock(), models.User
        as_seen = (user_.id == known.id, user_.password_hash == known.password_hash, is_active(now))
        if self.verified_only and not known.email_verified:
            return await self._unverified(known.id, as_seen, client)
        password_hash = verification.upgraded_hash or known.password_hash
        entered = (
            update(user_).where(*as_seen).values(last_login_at=now, password_hash=password_hash)
        )
        async with self.db.begin() as session:
            user = await changed_user(session, entered)
            if user is None:
                return None
            started = await self.start(session, user, client)
        return self.signed_in(user, started)


def _shown(user_agent: str | None) -> str | None:
    if user_agent is None:
        return None
    return "".join(c for c in user_agent if c.isprintable())[:MAX_USER_AGENT_CHARACTERS] or None
