"""Who is behind a token, asked of the database now: sign-out and suspension work at once.

One statement serves all the requests that wait at the same moment. Nothing is remembered: a request
only ever joins a statement that has not been sent yet. Whoever comes alone starts one at once, and
who comes while one is under way shares the next with all who come until then.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import Context, copy_context
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app.database.database import Database, Query
from app.keys.models import SigningKey
from app.security.access_tokens import Claims
from app.sessions.models import LIFETIME, Session
from app.sessions.services.account_policy import AccountPolicy
from app.users.models import User, UserRow
from app.users.services.rows import USER_COLUMNS
from app.users.services.viewer import Viewer

MAX_IN_FLIGHT = 2
# The longer a statement is waited for, the more share the next one; but not behind one that hangs.
MAX_WAIT_SECONDS = 0.005
TOUCH_AFTER = timedelta(minutes=1)

Waiter = tuple[Claims, asyncio.Future[Viewer | None]]
# By the numbers of their sessions' ids: a `UUID` takes ten times as long to find.
Waiting = dict[int, list[Waiter]]
# The viewer of each session, and the generation before which its tokens are over.
Found = dict[int, tuple[Viewer, int]]

log = logging.getLogger(__name__)

KEY_IDS = bindparam("keys", type_=ARRAY(Text))
# Asked once for all sessions of a statement: a key that was deleted verifies nothing any more.
KEYS_THERE = select(func.count()).where(SigningKey.id == KEY_IDS.any_())
READ = Query(
    select(
        *USER_COLUMNS,
        Session.id,
        Session.last_used_at,
        Session.used_generation,
        Session.first_generation,
        KEYS_THERE.scalar_subquery(),
    )
    .join(User, User.id == Session.user_id)
    .where(
        Session.id == bindparam("ids", type_=ARRAY(UUID)).any_(),
        LIFETIME.is_active(bindparam("now", type_=Session.ends_by.type)),
    )
)
REMAINING = select(SigningKey.id)


class Viewers:
    def __init__(
        self, db: Database, account_policy: AccountPolicy, clock: Callable[[], datetime]
    ) -> None:
        self._db, self._account_policy, self._clock = db, account_policy, clock
        self._waiting: Waiting = {}
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        # Those of the first who waits: asking for the loop is a call to the system.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: Context | None = None
        self._late: asyncio.TimerHandle | None = None

    async def find(self, claims: Claims) -> Viewer | None:
        """Give the viewer, or None where the session has ended or the person may not act."""
        loop = self._loop
        if loop is None or not self._waiting:
            loop = self._expect(asyncio.get_running_loop())
        future: asyncio.Future[Viewer | None] = loop.create_future()
        self._waiting.setdefault(claims.session_id.int, []).append((claims, future))
        return await future

    def _expect(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        """Begin a batch. Whatever is sent for it counts for whoever comes first."""
        self._loop, self._context = loop, copy_context()
        if self._in_flight:
            self._late = loop.call_later(MAX_WAIT_SECONDS, self._begin_late)
        else:
            self._begin()
        return loop

    def _begin_late(self) -> None:
        if self._context is not None and self._in_flight < MAX_IN_FLIGHT:
            self._begin()

    def _begin(self) -> None:
        # It takes the batch when its turn comes, so that requests which arrived together share it.
        self._in_flight += 1
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._start(self._answer(), self._context)
        self._context = None

    async def _answer(self) -> None:
        batch, self._waiting = self._waiting, {}
        try:
            ids = [waiting[0][0].session_id for waiting in batch.values()]
            now = self._clock()
            keys = {claims.key_id for claims, _ in _each(batch.values())}
            rows = await self._db.fetch_now(READ, ids=ids, now=now, keys=list(keys))
            if rows and rows[0][-1] != len(keys):
                batch = await self._of_remaining_keys(batch)
            viewers, stale = self._read(rows, batch, now)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            for _, future in _each(batch.values()):
                if not future.done():
                    future.set_exception(error)
        else:
            _settle((waiting for key, waiting in batch.items() if key not in stale), viewers)
            if stale:
                self._start(self._touch(stale, viewers))
        finally:
            self._in_flight -= 1
            if self._context is not None:
                # Others have come meanwhile, and nobody has begun theirs.
                self._begin()

    def _read(
        self, rows: Iterable[Sequence[Any]], batch: Waiting, now: datetime
    ) -> tuple[Found, Waiting]:
        """Returns those who may act now, and which of them wait in a session with a use to note.

        That is so once a minute, and at the first use of a generation.
        """
        viewers: Found = {}
        stale: Waiting = {}
        width = len(USER_COLUMNS)
        refusal = self._account_policy.refusal
        for row in rows:
            user, (session_id, last_used_at, used, first, _) = row[:width], row[width:]
            if session_id.int not in batch:
                continue
            viewer = Viewer(UserRow._make(user), session_id)
            if refusal(viewer.user, now):
                continue
            key = session_id.int
            viewers[key] = (viewer, first)
            if now - last_used_at >= TOUCH_AFTER or _generation(batch[key]) > used:
                stale[key] = batch[key]
        return viewers, stale

    async def _of_remaining_keys(self, batch: Waiting) -> Waiting:
        """Answer those whose tokens a deleted key has signed, and return the others."""
        remaining = {row[0] for row in await self._db.rows(REMAINING)}
        for claims, future in _each(batch.values()):
            if claims.key_id not in remaining and not future.done():
                future.set_result(None)
        kept = {
            key: [waiter for waiter in waiting if waiter[0].key_id in remaining]
            for key, waiting in batch.items()
        }
        return {key: waiting for key, waiting in kept.items() if waiting}

    def _start(self, work: Coroutine[Any, Any, None], context: Context | None = None) -> None:
        task = asyncio.create_task(work, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _touch(self, batch: Waiting, viewers: Found) -> None:
        """Note a use, and then answer. The first use of a generation settles a rotation."""
        table, now = Session, self._clock()
        try:
            async with self._db.begin() as session:
                for waiting in batch.values():
                    # A row that somebody holds is left for the next request: nobody waits for it.
                    free = select(table.id).where(table.id == waiting[0][0].session_id)
                    values = {
                        "last_used_at": func.greatest(table.last_used_at, now),
                        "used_generation": func.greatest(
                            table.used_generation, _generation(waiting)
                        ),
                    }
                    unlocked = free.with_for_update(skip_locked=True).scalar_subquery()
                    await session.execute(update(table).where(table.id == unlocked).values(values))
        except Exception:
            log.exception("The last use of %d sessions could not be noted", len(batch))
        _settle(batch.values(), viewers)


def _generation(waiting: list[Waiter]) -> int:
    return max(claims.generation for claims, _ in waiting)


def _settle(waiting: Iterable[list[Waiter]], viewers: Found) -> None:
    for claims, future in _each(waiting):
        found = viewers.get(claims.session_id.int)
        if not future.done():
            future.set_result(_viewer(claims, *found) if found else None)


def _viewer(claims: Claims, viewer: Viewer, first_generation: int) -> Viewer | None:
    valid = viewer.user.id == claims.user_id and claims.generation >= first_generation
    return viewer if valid else None


def _each(waiting: Iterable[list[Waiter]]) -> Iterable[Waiter]:
    return (waiter for waiters in waiting for waiter in waiters)
