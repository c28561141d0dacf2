"""Confirmation by password, for operations that need more than a session."""

from dataclasses import dataclass

from sqlalchemy import and_, select

from app.accounts.events import AccountEvent
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.outcomes import InvalidCredentials
from app.security.client import Client
from app.security.passwords import Passwords
from app.sessions.models import PasswordSource
from app.sessions.services.password_failures import PasswordFailures, is_not_locked
from app.users.models import User
from app.users.services.viewer import Viewer

SOURCE = PasswordSource.SESSION


@dataclass(frozen=True, slots=True)
class PasswordConfirmation:
    db: Database
    passwords: Passwords
    failures: PasswordFailures
    clock: Clock

    async def check(
        self, viewer: Viewer, password: str, client: Client
    ) -> str | InvalidCredentials:
        """Returns the hash that the password matched. Make the change only if it is still the same.

        A wrong password is recorded and counted: a stolen access token allows no more guesses here
        than `login` does.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        user = User
        rows = await self.db.rows(select(user.password_hash).where(user.id == viewer.user.id))
        current_hash = rows[0][0] if rows else None
        verification = await self.passwords.verify(password, current_hash, client.block)
        if (
            current_hash is not None
            and verification.matches
            and await self._accept(viewer, current_hash)
        ):
            return current_hash
        async with self.db.begin() as session:
            who = viewer.user.id
            await self.failures.count(session, who, viewer.user.email, SOURCE, client)
            recorder = Recorder.by(viewer, client, self.clock())
            await recorder.record(session, AccountEvent.PASSWORD_REFUSED, target=who)
        return InvalidCredentials()

    async def _accept(self, viewer: Viewer, current_hash: str) -> bool:
        """Whether the password is not locked; if so, the count of wrong passwords is reset."""
        user, user_id = User, viewer.user.id
        unchanged = and_(
            user.id == user_id,
            user.password_hash == current_hash,
            is_not_locked(user_id, SOURCE.value),
        )
        async with self.db.begin() as session:
            if await session.scalar(select(user.id).where(unchanged)) is None:
                return False
            await self.failures.reset(session, user_id, SOURCE)
        return True
