"""The services of one process, made of its settings. Nothing here knows HTTP."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from app.config import Settings
from app.db import Database, connect
from app.errors import Misconfigured
from app.graphql.context import Services
from app.security.access_tokens import AccessTokens
from app.security.keys import Secrets
from app.security.passwords import Passwords
from app.security.refresh_tokens import RefreshTokens
from app.services.accounts import Accounts
from app.services.new_passwords import NewPasswords
from app.services.readiness import unready
from app.services.rotation import Rotation
from app.services.sessions import Sessions
from app.services.sign_in import SignIn
from app.services.signing_keys import SigningKeys
from app.services.users import Users
from app.services.viewers import Viewers


class Clock(Protocol):
    def __call__(self) -> datetime: ...


def system_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Portico:
    """The parts that live as long as the process."""

    db: Database
    keys: SigningKeys
    passwords: Passwords
    services: Services

    async def start(self) -> None:
        """Refuse to serve what could not be served.

        Raises:
            Misconfigured: says in one line what to do.

        """
        reason = await unready(self.db)
        if reason:
            raise Misconfigured(reason)
        await self.keys.refresh()

    async def stop(self) -> None:
        self.passwords.close()
        await self.db.close()


def build(settings: Settings, clock: Clock = system_clock) -> Portico:
    """Make the services of these settings. Nothing is opened yet."""
    if settings.database_url is None or settings.secret_key is None:
        msg = "DATABASE_URL and SECRET_KEY must be set, unless `portico serve` brings its own."
        raise Misconfigured(msg)
    size = settings.database_pool_size
    db = Database(connect(settings.database_url.get_secret_value(), pool_size=size), pool_size=size)
    secrets = Secrets(settings.secret_key.get_secret_value())
    lifetime = timedelta(minutes=settings.access_token_expire_minutes)
    keys = SigningKeys(
        db, secrets, clock, timedelta(days=settings.signing_key_rotate_days), lifetime
    )
    passwords = Passwords(rounds=settings.bcrypt_rounds)
    access_tokens = AccessTokens(
        keys, settings.public_url, settings.access_token_audience, lifetime, clock
    )
    refresh_tokens = RefreshTokens.of(secrets)
    idle_lifetime = timedelta(days=settings.refresh_token_expire_days)
    sign_in = SignIn(
        db,
        passwords,
        access_tokens,
        refresh_tokens,
        clock,
        idle_lifetime,
        max_lifetime=timedelta(days=settings.session_max_days),
    )
    new_passwords = NewPasswords(
        passwords, settings.password_min_length, settings.password_min_guesses
    )
    services = Services(
        accounts=Accounts(db, passwords, new_passwords, sign_in, clock),
        sign_in=sign_in,
        rotation=Rotation(db, refresh_tokens, sign_in, clock, idle_lifetime),
        sessions=Sessions(db, clock, keep_ended=timedelta(days=settings.session_keep_ended_days)),
        users=Users(db, clock),
        viewers=Viewers(db, clock),
        access_tokens=access_tokens,
        clock=clock,
    )
    return Portico(db, keys, passwords, services)
