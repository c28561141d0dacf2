"""Confirming with the password what a session alone does not allow."""

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
from app.sessions.services.password_failures import PasswordFailures, is_open
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
        """Returns the hash that the password matched: a change is made only while it is still that.

        A wrong password is recorded and counted: with a stolen access token it is found out no
        faster here than by signing in.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        user = User
        rows = await self.db.rows(select(user.password_hash).where(user.id == viewer.user.id))
        seen = rows[0][0] if rows else None
        verification = await self.passwords.verify(password, seen, client.block)
        if seen is not None and verification.matches and await self._accepted(viewer, seen):
            return seen
        async with self.db.begin() as session:
            who = viewer.user.id
            await self.failures.count(session, who, viewer.user.email, SOURCE, client)
            recorder = Recorder.by(viewer, client, self.clock())
            await recorder.record(session, AccountEvent.PASSWORD_REFUSED, target=who)
        return InvalidCredentials()

    async def _accepted(self, viewer: Viewer, seen: str) -> bool:
        """Whether the right password still opens the account; then wrong ones are counted anew."""
        user, user_id = User, viewer.user.id
        as_seen = and_(user.id == user_id, user.password_hash == seen, is_open(user_id, SOURCE))
        async with self.db.begin() as session:
            if await session.scalar(select(user.id).where(as_seen)) is None:
                return False
            await self.failures.forget(session, user_id, SOURCE)
        return True
