"""Links that are used again: a page that runs twice, a retry, or a lost response.

The client that used a link gets the same result again, as with refresh tokens. A client is
identified by its IP address and user agent: for another client a used link is invalid.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock
from app.database.database import Database
from app.mail.models import TokenPurpose
from app.mail.services.one_time_tokens import OneTimeTokens
from app.security.client import Client
from app.sessions.models import LIFETIME, Session, SessionRow
from app.sessions.services.outcomes import SignedIn
from app.sessions.services.refresh import GRACE
from app.sessions.services.rows import SESSION_COLUMNS
from app.sessions.services.sign_in import SignIn, StartedSession
from app.users.models import User, UserRow
from app.users.services.outcomes import UserChanged
from app.users.services.rows import USER_COLUMNS, is_active


@dataclass(frozen=True, slots=True)
class RepeatedLinks:
    db: Database
    tokens: OneTimeTokens
    sign_in: SignIn
    clock: Clock

    async def verified(self, token: str, client: Client) -> SignedIn | None:
        """Returns the session that a link has started, with new tokens.

        Within 30 seconds, or later if the session is unused: its tokens never arrived then.
        """
        used = await self.tokens.used(token, client, TokenPurpose.VERIFY_EMAIL)
        if used is None or used.session_id is None:
            return None
        recent = self.clock() - used.used_at <= GRACE
        async with self.db.begin() as session:
            found = await self._active_session(session, used.session_id)
            if found is None or not (recent or found[1].is_unused):
                return None
            user, row = found
            device_token = await self.sign_in.devices.issue(session, user.id)
        return self.sign_in.signed_in(user, StartedSession(row, device_token))

    async def confirmed(self, token: str, client: Client) -> UserChanged | None:
        """Returns the user whose address a link has changed, if it is still that address."""
        purposes = (TokenPurpose.CHANGE_EMAIL, TokenPurpose.UNDO_EMAIL_CHANGE)
        used = await self.tokens.used(token, client, *purposes)
        if used is None:
            return None
        user = User
        is_current = (user.id == used.user_id, user.email == used.email, is_active(self.clock()))
        rows = await self.db.rows(select(*USER_COLUMNS).where(*is_current))
        return UserChanged(UserRow._make(rows[0])) if rows else None

    async def _active_session(
        self, session: AsyncSession, session_id: UUID
    ) -> tuple[UserRow, SessionRow] | None:
        now = self.clock()
        active = LIFETIME.is_active(now)
        statement = (
            select(*USER_COLUMNS, *SESSION_COLUMNS)
            .join(User, User.id == Session.user_id)
            .where(Session.id == session_id, active)
        )
        found = (await session.execute(statement)).one_or_none()
        if found is None:
            return None
        user = UserRow._make(found[: len(USER_COLUMNS)])
        if self.sign_in.account_policy.refusal(user, now):
            return None
        return user, SessionRow._make(found[len(USER_COLUMNS) :])
