"""Signing in: a password for a session and its tokens."""

import secrets
import uuid
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, Query
from app.database.identifiers import new_id
from app.database.outages import repeatable
from app.outcomes import InvalidCredentials
from app.security.access_tokens import AccessTokens
from app.security.client import Client
from app.security.passwords import Passwords, Verification
from app.security.refresh_tokens import RefreshTokens
from app.sessions.events import SessionEvent
from app.sessions.models import LIFETIME, EndReason, PasswordSource, Session, SessionRow
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.known_devices import Devices
from app.sessions.services.lifetimes import Lifetimes
from app.sessions.services.outcomes import SignedIn, Tokens
from app.sessions.services.password_failures import PasswordFailures, is_open
from app.sessions.services.rows import changed_session
from app.sessions.services.sessions import end_sessions
from app.sessions.services.token_claims import TokenClaims
from app.users.models import User, UserRow
from app.users.services.inputs import account_name, known_form
from app.users.services.rows import UNCONFIRMED, changed_user, is_active

SALT_BYTES = 16
MAX_USER_AGENT_CHARACTERS = 300
# Of one user. A new one ends the oldest: a script that signs in each time fills no table.
MOST_SESSIONS = 100


@dataclass(frozen=True, slots=True)
class EmailNotVerified:
    """The password was right; what is missing is a click in an email."""


class Known(NamedTuple):
    """What a sign-in has to know of an account beforehand."""

    id: uuid.UUID
    password_hash: str | None
    email_verified: bool
    device_generation: int
    # A registration that no one has confirmed.
    unconfirmed: bool


class Started(NamedTuple):
    """A session, and the token of the device if it has just been given one."""

    session: SessionRow
    device_token: str | None = None


KNOWN = Query(
    select(
        User.id,
        User.password_hash,
        User.email_verified,
        User.device_generation,
        UNCONFIRMED,
    ).where(User.email == bindparam("email", type_=User.email.type))
)


@dataclass(frozen=True, slots=True)
class SignIn:
    db: Database
    passwords: Passwords
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    clock: Clock
    lifetimes: Lifetimes
    account_policy: AccountPolicy
    failures: PasswordFailures
    devices: Devices
    claims: TokenClaims

    async def login(
        self, email: str, password: str, client: Client
    ) -> SignedIn | InvalidCredentials | EmailNotVerified:
        """Sign in. Takes as long if no account has this address (OWASP ASVS 6.3.8).

        A wrong password is recorded, and counted with those before it.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        address = known_form(email)
        known = await self._known(address) if address else None
        entered = await self._try(known, password, client)
        if entered is None and address is not None:
            # Another sign-in may have stored an upgraded hash of the same password meanwhile.
            # Asked for an unknown address too, or the time of this read would tell them apart.
            again = await self._known(address)
            if again != known:
                entered = await self._try(again, password, client)
        return entered or await self._refuse(known, account_name(email), client)

    async def _try(
        self, known: Known | None, password: str, client: Client
    ) -> SignedIn | EmailNotVerified | None:
        # No connection is held meanwhile: this takes a third of a second, and connections are few.
        password_hash = known.password_hash if known else None
        verification = await self.passwords.verify(password, password_hash, client.block)
        if known is None or not verification.matches:
            return None
        if known.unconfirmed and self.account_policy.verified_only:
            # Told apart, it would show that the address had no account before: registering gives
            # the same answer for both, and so does signing in with the password just registered.
            return None
        return await self._enter(known, verification, client)

    async def start(self, session: AsyncSession, user: UserRow, client: Client) -> Started:
        """Building block: open a session in the caller's transaction, which has locked the user.

        Raises:
            Unavailable: this process could not sign its tokens.

        """
        self.access_tokens.check_can_issue()
        now = self.clock()
        started = insert(Session).values(
            id=new_id(now),
            user_id=user.id,
            token_salt=secrets.token_bytes(SALT_BYTES),
            user_agent=_shown(client.user_agent),
            ip_address=client.ip_address,
            created_at=now,
            rotated_at=now,
            last_used_at=now,
            expires_at=now + self.lifetimes.idle,
            ends_by=now + self.lifetimes.max,
        )
        row = await changed_session(session, started)
        if row is None:
            raise LookupError("an insert gave no row")
        device_token = await self.devices.issue(session, user.id)
        recorder = Recorder(user.id, client, now)
        await self._end_oldest(session, user, recorder)
        await recorder.record(session, SessionEvent.SESSION_STARTED, target=user.id)
        return Started(row, device_token)

    def signed_in(self, user: UserRow, started: Started) -> SignedIn:
        """Building block: make the tokens, once the session is committed."""
        session = started.session
        # A session begins only with a proof of who signs in.
        access = self.access_tokens.issue(
            user.id, session.id, session.generation, session.created_at, self.claims.of(user)
        )
        refresh = self.refresh_tokens.issue(session.id, session.generation, session.token_salt)
        tokens = Tokens(
            access.text,
            access.expires_at,
            access.expires_in,
            refresh,
            session.lifetime.lapses_at,
            started.device_token,
        )
        return SignedIn(user, session, tokens)

    async def _end_oldest(self, session: AsyncSession, user: UserRow, recorder: Recorder) -> None:
        table = Session
        alive = LIFETIME.is_alive(recorder.at)
        theirs = select(table.id).where(table.user_id == user.id, alive)
        surplus = table.id.in_(theirs.order_by(table.id.desc()).offset(MOST_SESSIONS))
        await end_sessions(session, recorder, EndReason.REVOKED, user.id, surplus)

    def _source(self, known: Known | None, client: Client) -> PasswordSource:
        device = known and self.devices.known(client, known.id, known.device_generation)
        return PasswordSource.KNOWN_DEVICE if device else PasswordSource.UNKNOWN_DEVICE

    async def _known(self, address: str) -> Known | None:
        # On the driver: what SQLAlchemy does to a row that was found is time that can be seen.
        rows = await self.db.fetch(KNOWN, email=address)
        return Known._make(rows[0]) if rows else None

    @repeatable
    async def _refuse(
        self, known: Known | None, account: str, client: Client
    ) -> InvalidCredentials:
        # Written for an unknown address too: that it is known must not show in the time this takes.
        user_id, source = known.id if known else None, self._source(known, client)
        async with self.db.begin() as session:
            await self.failures.count(session, user_id, account, source, client)
            recorder = Recorder(None, client, self.clock())
            await recorder.record(session, SessionEvent.SESSION_REFUSED, target=user_id)
        return InvalidCredentials()

    @repeatable
    async def _enter(
        self, known: Known, verification: Verification, client: Client
    ) -> SignedIn | EmailNotVerified | None:
        now, user_, source = self.clock(), User, self._source(known, client)
        # While the hash was computed the account may have been suspended or its password changed:
        # the same row is asked again, under lock, and lets somebody in only as it was seen.
        as_seen = and_(
            user_.id == known.id,
            user_.password_hash == known.password_hash,
            user_.device_generation == known.device_generation,
            is_active(now),
            is_open(known.id, source),
        )
        if self.account_policy.verified_only and not known.email_verified:
            return await self._unverified(known.id, as_seen, client)
        password_hash = verification.upgraded_hash or known.password_hash
        entered = (
            update(user_).where(as_seen).values(last_login_at=now, password_hash=password_hash)
        )
        async with self.db.begin() as session:
            user = await changed_user(session, entered)
            if user is None:
                return None
            await self.failures.forget(session, user.id, source)
            started = await self.start(session, user, client)
        return self.signed_in(user, started)

    async def _unverified(
        self, user_id: uuid.UUID, as_seen: ColumnElement[bool], client: Client
    ) -> EmailNotVerified | None:
        if not await self.db.rows(select(User.id).where(as_seen)):
            return None
        async with self.db.begin() as session:
            recorder = Recorder(None, client, self.clock())
            await recorder.record(session, SessionEvent.SESSION_REFUSED, target=user_id)
        return EmailNotVerified()


def _shown(user_agent: str | None) -> str | None:
    if user_agent is None:
        return None
    return "".join(c for c in user_agent if c.isprintable())[:MAX_USER_AGENT_CHARACTERS] or None
