"""Sign-ins that are repeated: a page that runs twice, a retry, or a lost response.

Like a refresh, a link or the answer to a challenge returns the same session to the same client.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock
from app.database.database import Database
from app.factors.models import has_factor
from app.sessions.models import LIFETIME, Session, SessionRow
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.known_devices import Devices
from app.sessions.services.outcomes import SignedIn
from app.sessions.services.refresh import GRACE
from app.sessions.services.rows import SESSION_COLUMNS
from app.sessions.services.session_tokens import SessionTokens
from app.users.models import User, UserRow
from app.users.services.rows import USER_COLUMNS


@dataclass(frozen=True, slots=True)
class RepeatedSignIns:
    db: Database
    session_tokens: SessionTokens
    devices: Devices
    account_policy: AccountPolicy
    clock: Clock

    async def again(self, session_id: uuid.UUID, used_at: datetime) -> SignedIn | None:
        """Returns the session that a token has started, with new tokens.

        Within 30 seconds, or later if the session is unused: its tokens never arrived then. The
        caller has checked that the client is the same.
        """
        recent = self.clock() - used_at <= GRACE
        async with self.db.begin() as session:
            found = await self._active_session(session, session_id)
            if found is None or not (recent or found[1].is_unused):
                return None
            user, row = found
            device_token = await self.devices.issue(session, user.id)
        return self.session_tokens.signed_in(user, row, device_token)

    async def _active_session(
        self, session: AsyncSession, session_id: uuid.UUID
    ) -> tuple[UserRow, SessionRow] | None:
        now = self.clock()
        statement = (
            select(*USER_COLUMNS, *SESSION_COLUMNS, has_factor(User.id.expression))
            .join(User, User.id == Session.user_id)
            .where(Session.id == session_id, LIFETIME.is_active(now))
        )
        found = (await session.execute(statement)).one_or_none()
        if found is None:
            return None
        *values, user_has_factor = found
        user = UserRow._make(values[: len(USER_COLUMNS)])
        row = SessionRow._make(values[len(USER_COLUMNS) :])
        # The factor was enrolled after the session began: what began it is not enough any more.
        lacks_factor = user_has_factor and not row.has_proved_factor
        return None if lacks_factor or self.account_policy.refusal(user, now) else (user, row)
