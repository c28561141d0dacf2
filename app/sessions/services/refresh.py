"""Refresh tokens and their rotation: each is valid for one refresh, which can be repeated.

A second tab, a retry or a client that lost the response sends the direct predecessor of the current
token. It gets the same successor again: within 30 s of the refresh, or later while the successor is
unused. Any older token, or the predecessor later after its successor was used, is a copy (RFC 9700,
4.14.2): the session ends.
"""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.errors import Unavailable
from app.keys.services.fleet_secrets import FleetSecrets
from app.security.client import Client
from app.security.refresh_tokens import Presented, RefreshTokens
from app.sessions.events import SessionEvent
from app.sessions.models import LIFETIME, EndReason, Session, SessionRow
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.lifetimes import Lifetimes
from app.sessions.services.outcomes import SignedIn
from app.sessions.services.rows import SESSION_COLUMNS, changed_session
from app.sessions.services.sessions import end_sessions
from app.sessions.services.sign_in import SignIn, StartedSession
from app.users.models import User, UserRow
from app.users.services.rows import USER_COLUMNS

GRACE = timedelta(seconds=30)
MISSING_SECRET = "a refresh token may be of a server with a secret that this one lacks"  # noqa: S105 - a message


@dataclass(frozen=True, slots=True)
class SessionEnded:
    reason: EndReason


class LockedSession(NamedTuple):
    """A locked session, with its user."""

    user: UserRow
    session: SessionRow


@dataclass(frozen=True, slots=True)
class TokenRefresh:
    db: Database
    refresh_tokens: RefreshTokens
    fleet: FleetSecrets
    sign_in: SignIn
    account_policy: AccountPolicy
    clock: Clock
    lifetimes: Lifetimes

    @retry_on_conflict
    async def refresh(self, token: str, client: Client) -> SignedIn | SessionEnded:
        """Refresh a session, or repeat its last refresh. A copied token ends it.

        Repeating it from another IP address or user agent is recorded: the token may be a copy, or
        the client may have changed networks.

        Raises:
            Unavailable: the token may be of a server with a secret that this one lacks.

        """
        presented = self.refresh_tokens.read(token)
        if presented is None:
            return SessionEnded(EndReason.UNKNOWN_TOKEN)
        async with self.db.begin() as session:
            locked = await self._lock(session, presented)
            if locked is None:
                return SessionEnded(EndReason.UNKNOWN_TOKEN)
            if not self.refresh_tokens.matches(presented, locked.session.token_salt):
                if await self.fleet.may_be_elsewhere(session):
                    # After UNKNOWN_TOKEN, the client would sign its user out.
                    raise Unavailable(MISSING_SECRET)
                return SessionEnded(EndReason.UNKNOWN_TOKEN)
            self.sign_in.access_tokens.check_can_issue()
            end_reason = self._end_reason(locked, presented)
            if end_reason is not None:
                return SessionEnded(end_reason)
            current = await self._rotate(session, locked, presented, client)
            if current is None:
                await self._end_as_copied(session, locked, client)
                return SessionEnded(EndReason.TOKEN_REUSED)
        return self.sign_in.signed_in(locked.user, StartedSession(current))

    async def renew(
        self, session: AsyncSession, session_id: uuid.UUID, client: Client
    ) -> SessionRow | None:
        """Building block: continue an active session with new tokens; all former ones are invalid.

        Returns None if the session is over.

        Raises:
            Unavailable: this process cannot sign access tokens.

        """
        self.sign_in.access_tokens.check_can_issue()
        table = Session
        is_active = LIFETIME.is_active(self.clock())
        following = table.generation + 1
        renewed = update(table).where(table.id == session_id, is_active)
        values = {"generation": following, "first_generation": following}
        return await changed_session(session, renewed.values(**values, **self._rotation(client)))

    async def _lock(self, session: AsyncSession, presented: Presented) -> LockedSession | None:
        # Concurrent refreshes run one after the other: the first one rotates, the others repeat it.
        statement = (
            select(*USER_COLUMNS, *SESSION_COLUMNS)
            .join(User, User.id == Session.user_id)
            .where(Session.id == presented.session_id)
            .with_for_update(of=Session)
        )
        row = (await session.execute(statement)).one_or_none()
        if row is None:
            return None
        width = len(USER_COLUMNS)
        return LockedSession(UserRow._make(row[:width]), SessionRow._make(row[width:]))

    def _end_reason(self, locked: LockedSession, presented: Presented) -> EndReason | None:
        now = self.clock()
        reason = locked.session.reason_of_end(now)
        if reason is not None:
            return reason
        if presented.generation < locked.session.first_generation:
            return EndReason.PASSWORD_CHANGED
        return self.account_policy.refusal(locked.user, now)

    async def _rotate(
        self, session: AsyncSession, locked: LockedSession, presented: Presented, client: Client
    ) -> SessionRow | None:
        """Returns the session after the refresh; None if the token must be a copy."""
        found = locked.session
        # A token ahead of its row was issued before the database was restored from a backup.
        if presented.generation >= found.generation:
            return await self._advance(session, presented, client)
        unused = found.used_generation < found.generation
        recent = self.clock() - found.rotated_at <= GRACE
        if presented.generation != found.generation - 1 or not (recent or unused):
            return None
        if found.rotated_by != client.program:
            recorder = Recorder(None, client, self.clock())
            await recorder.record(session, SessionEvent.TOKEN_REPEATED, target=locked.user.id)
        return found

    async def _advance(
        self, session: AsyncSession, presented: Presented, client: Client
    ) -> SessionRow | None:
        table = Session
        return await changed_session(
            session,
            update(table)
            .where(table.id == presented.session_id, table.generation <= presented.generation)
            .values(
                generation=presented.generation + 1,
                used_generation=func.greatest(table.used_generation, presented.generation),
                **self._rotation(client),
            ),
        )

    def _rotation(self, client: Client) -> dict[str, Any]:
        now = self.clock()
        return {
            "rotated_at": now,
            "rotated_by": client.program,
            "last_used_at": now,
            "expires_at": now + self.lifetimes.idle,
        }

    async def _end_as_copied(
        self, session: AsyncSession, locked: LockedSession, client: Client
    ) -> None:
        recorder, user_id = Recorder(None, client, self.clock()), locked.user.id
        copied, reason = Session.id == locked.session.id, EndReason.TOKEN_REUSED
        await end_sessions(session, recorder, reason, user_id, copied)
        await recorder.record(session, SessionEvent.TOKEN_REUSED, target=user_id)
