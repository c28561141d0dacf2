"""Signing in with a password."""

import uuid
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, select, update

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, Query
from app.database.outages import retry_on_conflict
from app.database.rows import returning
from app.outcomes import InvalidCredentials
from app.security.client import Client
from app.security.passwords import Passwords, Verification
from app.sessions.events import SessionEvent
from app.sessions.models import AuthenticationMethod, PasswordFailure, PasswordSource, Session
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.gate import Gate
from app.sessions.services.known_devices import Devices
from app.sessions.services.outcomes import ChallengeRequired, SignedIn
from app.sessions.services.password_failures import PasswordFailures, is_not_locked
from app.users.models import User, UserRow
from app.users.services.inputs import account_key, normalised_address
from app.users.services.rows import UNCONFIRMED, USER_COLUMNS, is_active


@dataclass(frozen=True, slots=True)
class EmailNotVerified:
    """The password was right, but the address has not been verified by its link."""


class Credentials(NamedTuple):
    """What a sign-in needs to know of an account before it verifies the password."""

    id: uuid.UUID
    password_hash: str | None
    email_verified: bool
    device_generation: int
    # An unconfirmed registration.
    unconfirmed: bool


CREDENTIALS_QUERY = Query(
    select(
        User.id,
        User.password_hash,
        User.email_verified,
        User.device_generation,
        UNCONFIRMED,
    ).where(User.email == bindparam("email", type_=User.email.type))
)
USER_ID = bindparam("user_id", type_=User.id.type)
NOW = bindparam("now", type_=Session.created_at.type)
# The account is as it was read before its password was verified, and may sign in.
UNCHANGED = and_(
    User.id == USER_ID,
    User.password_hash == bindparam("verified_hash"),
    User.device_generation == bindparam("seen_generation"),
    is_active(NOW),
    is_not_locked(USER_ID, bindparam("source", type_=PasswordFailure.source.type)),
)
FIND_UNCHANGED = Query(select(User.id).where(UNCHANGED))
STORE_HASH = update(User).where(UNCHANGED).values(password_hash=bindparam("new_hash"))
PASSWORD_PROVED = Query(returning(STORE_HASH, USER_COLUMNS))


@dataclass(frozen=True, slots=True)
class SignIn:
    db: Database
    passwords: Passwords
    gate: Gate
    clock: Clock
    account_policy: AccountPolicy
    failures: PasswordFailures
    devices: Devices

    async def login(
        self, email: str, password: str, client: Client
    ) -> SignedIn | ChallengeRequired | InvalidCredentials | EmailNotVerified:
        """Sign in, or get a challenge if the account has a second factor.

        Takes the same time if no account has this address (OWASP ASVS 6.3.8). A wrong password is
        recorded and counted.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        address = normalised_address(email)
        credentials = await self._credentials(address) if address else None
        outcome = await self._attempt(credentials, password, client)
        if outcome is None and address is not None:
            # A concurrent sign-in may have stored an upgraded hash of the same password. Read for
            # an unknown address too, or the timing of this read would reveal which it is.
            current = await self._credentials(address)
            if current != credentials:
                outcome = await self._attempt(current, password, client)
        return outcome or await self._refuse(credentials, account_key(email), client)

    async def _attempt(
        self, credentials: Credentials | None, password: str, client: Client
    ) -> SignedIn | ChallengeRequired | EmailNotVerified | None:
        # No connection is held: this takes a third of a second, and connections are few.
        password_hash = credentials.password_hash if credentials else None
        verification = await self.passwords.verify(password, password_hash, client.block)
        if credentials is None or not verification.matches:
            return None
        if credentials.unconfirmed and self.account_policy.verified_only:
            # Another answer would reveal that the address had no account before: registering does
            # not, and signing in with the password just registered must not either.
            return None
        return await self._finish(credentials, verification, client)

    def _source(self, credentials: Credentials | None, client: Client) -> PasswordSource:
        is_known = credentials and self.devices.known(
            client, credentials.id, credentials.device_generation
        )
        return PasswordSource.KNOWN_DEVICE if is_known else PasswordSource.UNKNOWN_DEVICE

    async def _credentials(self, address: str) -> Credentials | None:
        # On the driver: the time that SQLAlchemy takes for a row would reveal that there is one.
        rows = await self.db.fetch(CREDENTIALS_QUERY, email=address)
        return Credentials._make(rows[0]) if rows else None

    @retry_on_conflict
    async def _refuse(
        self, credentials: Credentials | None, account: str, client: Client
    ) -> InvalidCredentials:
        # Written for an unknown address too, so that the timing does not reveal which it is.
        user_id = credentials.id if credentials else None
        source = self._source(credentials, client)
        async with self.db.begin() as session:
            await self.failures.count(session, user_id, account, source, client)
            recorder = Recorder(None, client, self.clock())
            await recorder.record(session, SessionEvent.SESSION_REFUSED, target=user_id)
        return InvalidCredentials()

    @retry_on_conflict
    async def _finish(
        self, credentials: Credentials, verification: Verification, client: Client
    ) -> SignedIn | ChallengeRequired | EmailNotVerified | None:
        source = self._source(credentials, client)
        seen: dict[str, Any] = {
            "user_id": credentials.id,
            "verified_hash": credentials.password_hash,
            "seen_generation": credentials.device_generation,
            "source": source.value,
            "now": self.clock(),
        }
        if self.account_policy.verified_only and not credentials.email_verified:
            return await self._refuse_unverified(seen, client)
        new_hash = verification.upgraded_hash or credentials.password_hash
        async with self.db.begin() as session:
            # While the hash was computed, the account may have been suspended or its password
            # changed: the update checks the row again, under lock.
            rows = await PASSWORD_PROVED.run(session, **seen, new_hash=new_hash)
            if not rows:
                return None
            user = UserRow._make(rows[0])
            await self.failures.reset(session, user.id, source)
            proved = (AuthenticationMethod.PASSWORD,)
            entered = await self.gate.start_or_challenge(session, user, proved, client)
        return self.gate.outcome_of(entered)

    async def _refuse_unverified(
        self, seen: dict[str, Any], client: Client
    ) -> EmailNotVerified | None:
        if not await self.db.fetch_to_change(FIND_UNCHANGED, **seen):
            return None
        async with self.db.begin() as session:
            recorder = Recorder(None, client, self.clock())
            await recorder.record(session, SessionEvent.SESSION_REFUSED, target=seen["user_id"])
        return EmailNotVerified()
