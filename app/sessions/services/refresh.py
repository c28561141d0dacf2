"""Refresh tokens and their rotation: each is valid for one refresh, which can be repeated.

A second tab, a retry or a client that lost the response sends the direct predecessor of the current
token. It gets the same successor again: within 30 s of the refresh, or later while the successor is
unused. Any older token, or the predecessor later after its successor was used, is a copy (RFC 9700,
4.14.2): the session ends.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, Query
from app.database.outages import retry_on_conflict
from app.database.rows import returning
from app.errors import CommitUnknown, Unavailable
from app.keys.services.fleet_secrets import FleetSecrets
from app.security.client import Client
from app.security.refresh_tokens import Presented, RefreshTokens
from app.sessions.events import SessionEvent
from app.sessions.models import LIFETIME, EndReason, Session, SessionRow
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.lifetimes import Lifetimes
from app.sessions.services.outcomes import SignedIn
from app.sessions.services.rows import SESSION_COLUMNS, changed_session
from app.sessions.services.session_tokens import SessionTokens
from app.sessions.services.sessions import end_sessions
from app.users.models import User, UserRow
from app.users.services.rows import USER_COLUMNS
from app.users.services.viewer import Viewer

GRACE = timedelta(seconds=30)
MISSING_SECRET = "a refresh token may be of a server with a secret that this one lacks"  # noqa: S105 - a message

COLUMNS = (*USER_COLUMNS, *SESSION_COLUMNS)
SESSION_AND_USER = (
    select(*COLUMNS)
    .join(User, User.id == Session.user_id)
    .where(Session.id == bindparam("session_id"))
)
FIND = Query(SESSION_AND_USER)
LOCK = Query(SESSION_AND_USER.with_for_update(of=Session))
PRESENTED = bindparam("presented", type_=Session.generation.type)
NOW = bindparam("now", type_=Session.rotated_at.type)
# It finds no row if the session was ended or rotated since it was read: of concurrent refreshes
# only one rotates. A token ahead of its row was issued before the database was restored from a
# backup. The user is read again: an access token must not have claims of a role that was taken away
# in between.
ROTATED = (
    update(Session)
    .where(
        Session.id == bindparam("session_id"),
        User.id == Session.user_id,
        Session.generation <= PRESENTED,
        LIFETIME.is_active(NOW),
    )
    .values(
        generation=bindparam("following", type_=Session.generation.type),
        used_generation=func.greatest(Session.used_generation, PRESENTED),
        rotated_at=NOW,
        rotated_by=bindparam("program"),
        last_used_at=NOW,
        expires_at=bindparam("expires", type_=Session.expires_at.type),
    )
)
ROTATE = Query(returning(ROTATED, COLUMNS))


@dataclass(frozen=True, slots=True)
class SessionEnded:
    reason: EndReason


class FoundSession(NamedTuple):
    """A session, with its user."""

    user: UserRow
    session: SessionRow


@dataclass(frozen=True, slots=True)
class TokenRefresh:
    db: Database
    refresh_tokens: RefreshTokens
    fleet: FleetSecrets
    session_tokens: SessionTokens
    account_policy: AccountPolicy
    clock: Clock
    lifetimes: Lifetimes

    @retry_on_conflict
    async def refresh(
        self, token: str, client: Client, *, once_in_grace: bool = False
    ) -> SignedIn | SessionEnded:
        """Refresh a session, or repeat its last refresh. A copied token ends it.

        Repeating it from another IP address or user agent is recorded: the token may be a copy, or
        the client may have changed networks.

        With `once_in_grace` a token that is less than 30 s old is returned again instead of the
        next one, to the client that got it: for tabs that share a cookie. Of three requests at
        once the second may already have the next cookie, and a second rotation would make a copy
        of the token of the third.

        Raises:
            Unavailable: the token may be of a server with a secret that this one lacks.

        """
        presented = self.refresh_tokens.read(token)
        if presented is None:
            return SessionEnded(EndReason.UNKNOWN_TOKEN)
        found = await find_session(self.db, presented.session_id)
        if found is None:
            return SessionEnded(EndReason.UNKNOWN_TOKEN)
        now = self.clock()
        if self._may_rotate(found, presented, now):
            self.session_tokens.check_can_issue()
            if once_in_grace and self._was_just_issued(found.session, presented, client, now):
                return self._signed_in(found)
            rotated = await self._rotate(presented, client, now)
            if rotated is not None:
                return self._signed_in(rotated)
        return await self._refresh_locked(presented, client)

    async def viewer_of(self, token: str) -> Viewer | None:
        """Returns the user of a refresh token, without using it; None if it could not be used."""
        presented = self.refresh_tokens.read(token)
        found = await find_session(self.db, presented.session_id) if presented else None
        if presented is None or found is None:
            return None
        session = found.session
        now = self.clock()
        is_usable = (
            (presented.generation >= session.generation or _is_repetition(session, presented, now))
            and self.refresh_tokens.matches(presented, session.token_salt)
            and self._end_reason(found, presented, now) is None
        )
        return Viewer(found.user, session.id) if is_usable else None

    async def renew(
        self, session: AsyncSession, session_id: uuid.UUID, client: Client
    ) -> SessionRow | None:
        """Building block: continue an active session with new tokens; all former ones are invalid.

        Returns None if the session is over.

        Raises:
            Unavailable: this process cannot sign access tokens.

        """
        self.session_tokens.check_can_issue()
        table = Session
        is_active = LIFETIME.is_active(self.clock())
        following = table.generation + 1
        renewed = update(table).where(table.id == session_id, is_active)
        values = {"generation": following, "first_generation": following}
        return await changed_session(session, renewed.values(**values, **self._rotation(client)))

    def _may_rotate(self, found: FoundSession, presented: Presented, now: datetime) -> bool:
        """Whether a token is the latest one of an active session, as far as is known unlocked."""
        return (
            presented.generation >= found.session.generation
            and self.refresh_tokens.matches(presented, found.session.token_salt)
            and self._end_reason(found, presented, now) is None
        )

    def _was_just_issued(
        self, session: SessionRow, presented: Presented, client: Client, now: datetime
    ) -> bool:
        """Whether the latest token is of a refresh by the same client, less than 30 s ago."""
        return (
            session.first_generation < presented.generation == session.generation
            and now - session.rotated_at <= GRACE
            and session.rotated_by == client.program
        )

    async def _rotate(
        self, presented: Presented, client: Client, now: datetime
    ) -> FoundSession | None:
        """Rotate in one statement; None if the session has changed since it was read."""
        try:
            rows = await self.db.change(ROTATE, **self._rotation_values(presented, client, now))
        except CommitUnknown:
            # The row says whether it was rotated, and if so, this is a repetition.
            return None
        return _found(rows)

    async def _refresh_locked(
        self, presented: Presented, client: Client
    ) -> SignedIn | SessionEnded:
        """Decide about everything but the rotation of an unchanged session."""
        async with self.db.begin() as session:
            # Concurrent refreshes run one after the other.
            locked = _found(await LOCK.run(session, session_id=presented.session_id))
            if locked is None:
                return SessionEnded(EndReason.UNKNOWN_TOKEN)
            if not self.refresh_tokens.matches(presented, locked.session.token_salt):
                if await self.fleet.may_be_elsewhere(session):
                    # After UNKNOWN_TOKEN, the client would sign its user out.
                    raise Unavailable(MISSING_SECRET)
                return SessionEnded(EndReason.UNKNOWN_TOKEN)
            self.session_tokens.check_can_issue()
            now = self.clock()
            end_reason = self._end_reason(locked, presented, now)
            if end_reason is not None:
                return SessionEnded(end_reason)
            current = await self._current(session, locked, presented, client, now)
            if current is None:
                await self._end_as_copied(session, locked, client)
                return SessionEnded(EndReason.TOKEN_REUSED)
        return self._signed_in(current)

    def _signed_in(self, found: FoundSession) -> SignedIn:
        return self.session_tokens.signed_in(*found)

    def _end_reason(
        self, found: FoundSession, presented: Presented, now: datetime
    ) -> EndReason | None:
        reason = found.session.reason_of_end(now)
        if reason is not None:
            return reason
        if presented.generation < found.session.first_generation:
            return EndReason.PASSWORD_CHANGED
        return self.account_policy.refusal(found.user, now)

    async def _current(
        self,
        session: AsyncSession,
        locked: FoundSession,
        presented: Presented,
        client: Client,
        now: datetime,
    ) -> FoundSession | None:
        """Returns the session after the refresh; None if the token must be a copy."""
        found = locked.session
        if presented.generation >= found.generation:
            values = self._rotation_values(presented, client, now)
            return _found(await ROTATE.run(session, **values))
        if not _is_repetition(found, presented, now):
            return None
        if found.rotated_by != client.program:
            recorder = Recorder(None, client, now)
            await recorder.record(session, SessionEvent.TOKEN_REPEATED, target=locked.user.id)
        return locked

    def _rotation_values(
        self, presented: Presented, client: Client, now: datetime
    ) -> dict[str, Any]:
        return {
            "session_id": presented.session_id,
            "presented": presented.generation,
            "following": presented.generation + 1,
            "now": now,
            "expires": now + self.lifetimes.idle,
            "program": client.program,
        }

    def _rotation(self, client: Client) -> dict[str, Any]:
        now = self.clock()
        return {
            "rotated_at": now,
            "rotated_by": client.program,
            "last_used_at": now,
            "expires_at": now + self.lifetimes.idle,
        }

    async def _end_as_copied(
        self, session: AsyncSession, locked: FoundSession, client: Client
    ) -> None:
        recorder, user_id = Recorder(None, client, self.clock()), locked.user.id
        copied, reason = Session.id == locked.session.id, EndReason.TOKEN_REUSED
        await end_sessions(session, recorder, reason, user_id, copied)
        await recorder.record(session, SessionEvent.TOKEN_REUSED, target=user_id)


def _is_repetition(session: SessionRow, presented: Presented, now: datetime) -> bool:
    """Whether a token is the direct predecessor of one that may not have arrived."""
    unused = session.used_generation < session.generation
    recent = now - session.rotated_at <= GRACE
    return presented.generation == session.generation - 1 and (recent or unused)


async def find_session(db: Database, session_id: uuid.UUID) -> FoundSession | None:
    """Returns a session, active or not, as the primary has it."""
    return _found(await db.fetch_to_change(FIND, session_id=session_id))


def _found(rows: Sequence[Sequence[Any]]) -> FoundSession | None:
    if not rows:
        return None
    row, width = rows[0], len(USER_COLUMNS)
    return FoundSession(UserRow._make(row[:width]), SessionRow._make(row[width:]))
