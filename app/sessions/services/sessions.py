"""The sessions of a user: listing and ending them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import ColumnElement, bindparam, delete, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, Query
from app.database.keyset_pages import Keyset, Page, PageRequest, PageShape, pages_of
from app.database.outages import retry_on_conflict
from app.outcomes import NotFound
from app.security.client import Client
from app.sessions.events import SessionEvent
from app.sessions.models import LIFETIME, EndReason, Session, SessionRow
from app.sessions.services.freshness import FRESH_WITHIN, Freshness
from app.sessions.services.lifetimes import Lifetimes
from app.sessions.services.rows import SESSION_COLUMNS
from app.users.services.viewer import Operator, Viewer

PURGE_BATCH = 1000
NEWEST_FIRST = Keyset(Session.created_at.expression, Session.id.expression, descending=True)


@dataclass(frozen=True, slots=True)
class SignedOut:
    session_ids: tuple[uuid.UUID, ...]
    # Whether a refresh token that was sent is of no session.
    has_unknown_token: bool = False


@dataclass(frozen=True, slots=True)
class Sessions:
    db: Database
    clock: Clock
    lifetimes: Lifetimes
    freshness: Freshness

    async def pages(
        self, user_ids: Sequence[uuid.UUID], viewer: Viewer | Operator, request: PageRequest
    ) -> Mapping[uuid.UUID, Page[SessionRow]]:
        """Returns the active sessions of each of these users, newest first, in one statement.

        Without those of other users, unless the viewer is an administrator.
        """
        owners = [user_id for user_id in user_ids if _may_see(viewer, user_id)]
        if not owners:
            return {}
        rows = await self.db.fetch(
            _pages_query(request.shape), owners=owners, now=self.clock(), **request.values
        )
        return pages_of(owners, rows, SessionRow._make, request)

    async def by_id(self, viewer: Viewer, session_id: uuid.UUID) -> SessionRow | None:
        """Returns an active session of the viewer; for an administrator, of any user."""
        statement = select(*SESSION_COLUMNS).where(
            Session.id == session_id, self._is_active(), _visible_to(viewer)
        )
        rows = await self.db.rows(statement)
        return SessionRow._make(rows[0]) if rows else None

    async def logout_everywhere(
        self, viewer: Viewer, client: Client, *, keep_current: bool
    ) -> SignedOut:
        """End all sessions of the viewer; with `keep_current`, all but the current one."""
        which = Session.user_id == viewer.user.id
        if keep_current:
            which &= Session.id != viewer.session_id
        owner = viewer.user.id
        return await self.end(owner, client, EndReason.LOGGED_OUT, owner, which)

    async def revoke(
        self, viewer: Viewer, session_id: uuid.UUID, client: Client
    ) -> SignedOut | NotFound:
        """End one session by its id.

        Raises:
            StepUpRequired: it is of another user, and the proof of the administrator is too old.

        """
        found = await self.by_id(viewer, session_id)
        if found is None:
            return NotFound()
        if found.user_id != viewer.user.id:
            await self.freshness.check(viewer, FRESH_WITHIN)
        only = Session.id == session_id
        actor, owner = viewer.user.id, found.user_id
        ended = await self.end(actor, client, EndReason.REVOKED, owner, only)
        return ended if ended.session_ids else NotFound()

    async def purge(self) -> int:
        """Delete sessions that have been over for `keep_ended`, in batches. Returns how many."""
        total = 0
        while True:
            over = (
                select(Session.id)
                .where(LIFETIME.over_at < self.clock() - self.lifetimes.keep_ended)
                .limit(PURGE_BATCH)
                .with_for_update(skip_locked=True)
            )
            async with self.db.begin() as session:
                deleted = delete(Session).where(Session.id.in_(over))
                batch = len((await session.execute(deleted.returning(Session.id))).all())
            total += batch
            if batch < PURGE_BATCH:
                return total

    @retry_on_conflict
    async def end(
        self,
        actor: uuid.UUID | None,
        client: Client,
        reason: EndReason,
        owner: uuid.UUID,
        which: ColumnElement[bool],
    ) -> SignedOut:
        """End those sessions of a user that are active."""
        recorder = Recorder(actor, client, self.clock())
        async with self.db.begin() as session:
            ended = await end_sessions(session, recorder, reason, owner, which & self._is_active())
        return SignedOut(ended)

    def _is_active(self) -> ColumnElement[bool]:
        return LIFETIME.is_active(self.clock())


async def end_sessions(
    session: AsyncSession,
    recorder: Recorder,
    reason: EndReason,
    owner: uuid.UUID,
    which: ColumnElement[bool],
) -> tuple[uuid.UUID, ...]:
    """Building block: end sessions of one user and record the event. Returns their ids."""
    table = Session
    ended = (
        update(table)
        .where(which, table.ended_at.is_(None))
        .values(ended_at=recorder.at, end_reason=reason.value)
        .returning(table.id)
    )
    ids = tuple((await session.scalars(ended)).all())
    await record_ended(session, recorder, reason, owner, len(ids))
    return ids


async def record_ended(
    session: AsyncSession, recorder: Recorder, reason: EndReason, owner: uuid.UUID, count: int
) -> None:
    """Building block: record that so many sessions of one user ended."""
    if count:
        await recorder.record(
            session,
            SessionEvent.SESSION_ENDED,
            target=owner,
            reason=reason.value,
            sessions=str(count),
        )


def _may_see(viewer: Viewer | Operator, user_id: uuid.UUID) -> bool:
    return isinstance(viewer, Operator) or viewer.is_admin or viewer.user.id == user_id


def _visible_to(viewer: Viewer) -> ColumnElement[bool]:
    return true() if viewer.is_admin else Session.user_id == viewer.user.id


@lru_cache(maxsize=16)
def _pages_query(shape: PageShape) -> Query:
    is_active = LIFETIME.is_active(bindparam("now", type_=Session.expires_at.type))
    active = select(*SESSION_COLUMNS).where(is_active)
    return Query(NEWEST_FIRST.select_each(active, shape, Session.user_id.expression))
