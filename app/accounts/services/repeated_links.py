"""Links that are used again: a page that runs twice, a retry, or a lost response.

The client that used a link gets the same result again, as with refresh tokens. A client is
identified by its IP address and user agent: for another client a used link is invalid.
"""

from dataclasses import dataclass

from sqlalchemy import select

from app.clock import Clock
from app.database.database import Database
from app.mail.models import TokenPurpose
from app.mail.services.one_time_tokens import OneTimeTokens
from app.security.client import Client
from app.sessions.services.outcomes import SignedIn
from app.sessions.services.repeated_sign_ins import RepeatedSignIns
from app.users.models import User, UserRow
from app.users.services.outcomes import UserChanged
from app.users.services.rows import USER_COLUMNS, is_active


@dataclass(frozen=True, slots=True)
class RepeatedLinks:
    db: Database
    tokens: OneTimeTokens
    sign_ins: RepeatedSignIns
    clock: Clock

    async def verified(self, token: str, client: Client) -> SignedIn | None:
        """Returns the session that a link has started, with new tokens."""
        used = await self.tokens.used(token, client, TokenPurpose.VERIFY_EMAIL)
        if used is None or used.session_id is None:
            return None
        return await self.sign_ins.again(used.session_id, used.used_at)

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
