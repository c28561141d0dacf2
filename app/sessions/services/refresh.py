"""Refreshing: each refresh token is good for one step, and a step can be asked for again.

Two tabs, a retry or a lost answer present the direct predecessor of the current token. They get the
same successor once more: within 30 s of the step, or later while nothing has used that successor.
Anything older, or the predecessor after its successor was used, was copied (RFC 9700, 4.14.2).
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
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
from app.sessions.services.sign_in import SignIn, Started
from app.users.models import User, UserRow
from app.users.services.rows import USER_COLUMNS

GRACE = timedelta(seconds=30)
UNREADABLE = "a refresh token may be of a server with a secret that this one lacks"


@dataclass(frozen=True, slots=True)
class SessionEnded:
    reason: EndReason


class Held(NamedTuple):
    """A session under lock, with its owner."""

    user: UserRow
    session: SessionRow


@dataclass(frozen=True, slots=True)
class TokenRefresh:
    db: Database
    refresh_tokens: RefreshTokens
    fleet: FleetSecrets
    sign_in: SignIn
    account_policy: AccountPolicy
    clock: Callable[[], datetime]
    lifetimes: Lifetimes

    @retry_on_conflict
    async def refresh(self, token: str, client: Client) -> SignedIn | SessionEnded:
        """Take the next step of a session, or the last one again. A copied token ends it.

        The last step again for another address or program than took it is recorded: it may be a
        copy, or a telephone that changed networks.

        Raises:
            Unavailable: the token may be of a server with a secret that this one lacks.

        """
        presented = self.refresh_tokens.read(token)
        if presented is None:
            return SessionEnded(EndReason.UNKNOWN_TOKEN)
        async with self.db.begin() as session:
            held = await self._held(session, presented)
            if held is None:
                return SessionEnded(EndReason.UNKNOWN_TOKEN)
            if not self.refresh_tokens.matches(presented, held.session.token_salt):
                if await self.fleet.lacks_any(session):
                    # Told that it is unknown, the client would sign its user out.
                    raise Unavailable(UNREADABLE)
                return SessionEnded(EndReason.UNKNOWN_TOKEN)
            self.sign_in.access_tokens.check_can_issue()
            ended = self._ended(held, presented)
            if ended is not None:
                return SessionEnded(ended)
            current = await self._step(session, held, presented, client)
            if current is None:
                await self._end_as_copied(session, held, client)
                return SessionEnded(EndReason.TOKEN_REUSED)
        return self.sign_in.signed_in(held.user, Started(current))

    async def renew(
        self, session: AsyncSession, session_id: uuid.UUID, client: Client
    ) -> SessionRow | None:
        """Building block: a living session goes on with new tokens, and all former ones are over.

        None if the session is over.

        Raises:
            Unavailable: this process could not sign its tokens.

        """
        self.sign_in.access_tokens.check_can_issue()
        table = Session
        alive = LIFETIME.is_alive(self.clock())
        following = table.generation + 1
        renewed = update(table).where(table.id == session_id, alive)
        values = {"generation": following, "first_generation": following}
        return await changed_session(session, renewed.values(**values, **self._stepped(client)))

    async def _held(self, session: AsyncSession, presented: Presented) -> Held | None:
        # The lock makes a hundred at once take turns: the first one steps, the others find the step
        # taken.
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
        return Held(UserRow._make(row[:width]), SessionRow._make(row[width:]))

    def _ended(self, held: Held, presented: Presented) -> EndReason | None:
        now = self.clock()
        end = held.session.end(now)
        if end is not None:
            return end
        if presented.generation < held.session.first_generation:
            return EndReason.PASSWORD_CHANGED
        return self.account_policy.refusal(held.user, now)

    async def _step(
        self, session: AsyncSession, held: Held, presented: Presented, client: Client
    ) -> SessionRow | None:
        """Give the session after the step; None where the token must have been copied."""
        found = held.session
        # A token ahead of its row is one that we made before the database was restored from a
        # backup.
        if presented.generation >= found.generation:
            return await self._advance(session, presented, client)
        unused = found.used_generation < found.generation
        recent = self.clock() - found.rotated_at <= GRACE
        if presented.generation != found.generation - 1 or not (recent or unused):
            return None
        if found.rotated_by != client.program:
            recorder = Recorder(None, client, self.clock())
            await recorder.record(session, SessionEvent.TOKEN_REPEATED, target=held.user.id)
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
                **self._stepped(client),
            ),
        )

    def _stepped(self, client: Client) -> dict[str, Any]:
        now = self.clock()
        return {
            "rotated_at": now,
            "rotated_by": client.program,
            "last_used_at": now,
            "expires_at": now + self.lifetimes.idle,
        }

    async def _end_as_copied(self, session: AsyncSession, held: Held, client: Client) -> None:
        recorder, user_id = Recorder(None, client, self.clock()), held.user.id
        copied, reason = Session.id == held.session.id, EndReason.TOKEN_REUSED
        await end_sessions(session, recorder, reason, user_id, copied)
        await recorder.record(session, SessionEvent.TOKEN_REUSED, target=user_id)
