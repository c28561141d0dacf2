"""The viewer of an access token, read from the database: sign-out and suspension work at once.

Requests are batched into one statement. Nothing is cached: a request only joins a statement that
has not been sent yet. The first request sends a statement at once; those that arrive while it is
running share the next one.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from contextvars import Context, copy_context
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app.clock import Clock
from app.database.database import Database, Query
from app.keys.models import SigningKey
from app.security.access_tokens import Claims
from app.sessions.models import LIFETIME, Session
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.factor_policy import FactorPolicy
from app.users.models import User, UserRow
from app.users.services.rows import USER_COLUMNS
from app.users.services.viewer import Viewer

MAX_IN_FLIGHT = 2
# How long a batch waits for a running statement, so that more requests share the next one. Not
# longer, since that statement may hang.
MAX_WAIT_SECONDS = 0.005
TOUCH_AFTER = timedelta(minutes=1)

Waiter = tuple[Claims, asyncio.Future[Viewer | None]]
# By the integers of the session ids: a lookup by `UUID` takes ten times as long.
Waiting = dict[int, list[Waiter]]
# The viewer of each session, and the first generation of its tokens that is valid.
Found = dict[int, tuple[Viewer, int]]

log = logging.getLogger(__name__)

KEY_IDS = bindparam("keys", type_=ARRAY(Text))
# Once for all sessions of a statement: tokens that were signed with a deleted key are invalid.
EXISTING_KEYS = select(func.count()).where(SigningKey.id == KEY_IDS.any_())
EXISTING_KEY_IDS = select(SigningKey.id)


class Viewers:
    def __init__(
        self,
        db: Database,
        account_policy: AccountPolicy,
        factor_policy: FactorPolicy,
        clock: Clock,
    ) -> None:
        self._db, self._account_policy, self._clock = db, account_policy, clock
        self._query = _query(factor_policy.lacks_factor())
        self._waiting: Waiting = {}
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        # Kept from the first request of a batch: getting the running loop is a system call.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: Context | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def find(self, claims: Claims) -> Viewer | None:
        """Returns the viewer; None if the session is over or the user may not use it."""
        loop = self._loop
        if loop is None or not self._waiting:
            loop = self._start_batch(asyncio.get_running_loop())
        future: asyncio.Future[Viewer | None] = loop.create_future()
        self._waiting.setdefault(claims.session_id.int, []).append((claims, future))
        return await future

    def _start_batch(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        """Start a batch. Its statement is counted for the first request."""
        self._loop, self._context = loop, copy_context()
        if self._in_flight:
            self._timer = loop.call_later(MAX_WAIT_SECONDS, self._send_after_wait)
        else:
            self._send()
        return loop

    def _send_after_wait(self) -> None:
        if self._context is not None and self._in_flight < MAX_IN_FLIGHT:
            self._send()

    def _send(self) -> None:
        # The task takes the batch when it runs, so that requests which arrive together share it.
        self._in_flight += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._start(self._answer(), self._context)
        self._context = None

    async def _answer(self) -> None:
        batch, self._waiting = self._waiting, {}
        try:
            ids = [waiting[0][0].session_id for waiting in batch.values()]
            now = self._clock()
            keys = {claims.key_id for claims, _ in _each(batch.values())}
            rows = await self._db.fetch_now(
                self._query,
                ids=ids,
                now=now,
                touch_before=now - TOUCH_AFTER,
                keys=list(keys),
            )
            if rows and rows[0][-1] != len(keys):
                batch = await self._drop_deleted_keys(batch)
            viewers, stale = self._read(rows, batch, now)
        except Exception as error:  # noqa: BLE001 - raised in the requests that wait
            for _, future in _each(batch.values()):
                if not future.done():
                    future.set_exception(error)
        else:
            _resolve((waiting for key, waiting in batch.items() if key not in stale), viewers)
            if stale:
                self._start(self._touch(stale, viewers))
        finally:
            self._in_flight -= 1
            if self._context is not None:
                # The batch of requests that arrived meanwhile has not been sent.
                self._send()

    def _read(
        self, rows: Iterable[Sequence[Any]], batch: Waiting, now: datetime
    ) -> tuple[Found, Waiting]:
        """Returns the viewers, and the part of the batch whose sessions need their use recorded.

        That is once a minute, and at the first use of a generation.
        """
        viewers: Found = {}
        stale: Waiting = {}
        width = len(USER_COLUMNS)
        refusal = self._account_policy.refusal
        for row in rows:
            user, (session_id, lacks_factor, is_stale, used, first, _) = row[:width], row[width:]
            if session_id.int not in batch:
                continue
            viewer = Viewer(UserRow._make(user), session_id, lacks_factor)
            if refusal(viewer.user, now):
                continue
            key = session_id.int
            viewers[key] = (viewer, first)
            if is_stale or _generation(batch[key]) > used:
                stale[key] = batch[key]
        return viewers, stale

    async def _drop_deleted_keys(self, batch: Waiting) -> Waiting:
        """Reject tokens that were signed with a deleted key, and return the rest of the batch."""
        existing = {row[0] for row in await self._db.rows(EXISTING_KEY_IDS)}
        for claims, future in _each(batch.values()):
            if claims.key_id not in existing and not future.done():
                future.set_result(None)
        kept = {
            key: [waiter for waiter in waiting if waiter[0].key_id in existing]
            for key, waiting in batch.items()
        }
        return {key: waiting for key, waiting in kept.items() if waiting}

    def _start(self, work: Coroutine[Any, Any, None], context: Context | None = None) -> None:
        task = asyncio.create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _touch(self, batch: Waiting, viewers: Found) -> None:
        """Record a use, then answer. The first use of a generation shows that it has arrived."""
        table, now = Session, self._clock()
        try:
            async with self._db.begin() as session:
                for waiting in batch.values():
                    # A locked row is skipped and left to a later request: none waits for it.
                    found = select(table.id).where(table.id == waiting[0][0].session_id)
                    values = {
                        "last_used_at": func.greatest(table.last_used_at, now),
                        "used_generation": func.greatest(
                            table.used_generation, _generation(waiting)
                        ),
                    }
                    unlocked = found.with_for_update(skip_locked=True).scalar_subquery()
                    await session.execute(update(table).where(table.id == unlocked).values(values))
        except Exception:
            log.exception("The last use of %d sessions could not be recorded", len(batch))
        _resolve(batch.values(), viewers)


def _query(lacks_factor: ColumnElement[bool]) -> Query:
    return Query(
        select(
            *USER_COLUMNS,
            Session.id,
            lacks_factor,
            # Compared by the database: to decode a time would cost more than all other columns.
            Session.last_used_at <= bindparam("touch_before", type_=Session.last_used_at.type),
            Session.used_generation,
            Session.first_generation,
            EXISTING_KEYS.scalar_subquery(),
        )
        .join(User, User.id == Session.user_id)
        .where(
            Session.id == bindparam("ids", type_=ARRAY(UUID)).any_(),
            LIFETIME.is_active(bindparam("now", type_=Session.ends_by.type)),
        )
    )


def _generation(waiting: list[Waiter]) -> int:
    return max(claims.generation for claims, _ in waiting)


def _resolve(waiting: Iterable[list[Waiter]], viewers: Found) -> None:
    for claims, future in _each(waiting):
        found = viewers.get(claims.session_id.int)
        if not future.done():
            future.set_result(_viewer(claims, *found) if found else None)


def _viewer(claims: Claims, viewer: Viewer, first_generation: int) -> Viewer | None:
    valid = viewer.user.id == claims.user_id and claims.generation >= first_generation
    return viewer if valid else None


def _each(waiting: Iterable[list[Waiter]]) -> Iterable[Waiter]:
    return (waiter for waiters in waiting for waiter in waiters)
