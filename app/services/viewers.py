"""Who is behind a token, asked of the database now: sign-out and suspension work at once.

One statement serves all the requests that wait at the same moment. Nothing is remembered: a request
only ever joins a statement that has not been sent yet, and a request alone starts its own at once.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app import models
from app.db import Database, Query
from app.models import SessionRow, UserRow
from app.security.access_tokens import Claims
from app.security.viewer import Viewer
from app.services.rows import SESSION_COLUMNS, USER_COLUMNS

MAX_IN_FLIGHT = 2
TOUCH_AFTER = timedelta(minutes=1)

Waiting = dict[uuid.UUID, list[tuple[Claims, asyncio.Future[Viewer | None]]]]

READ = Query(
    select(*USER_COLUMNS, *SESSION_COLUMNS)
    .join(models.User, models.User.id == models.Session.user_id)
    .where(
        models.Session.id == bindparam("ids", type_=ARRAY(UUID)).any_(),
        models.Session.ended_at.is_(None),
    )
)


class Viewers:
    def __init__(self, db: Database, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._clock = clock
        self._waiting: Waiting = {}
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def find(self, claims: Claims) -> Viewer | None:
        """Give the viewer, or None where the session has ended or the person may not act."""
        future: asyncio.Future[Viewer | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(claims.session_id, []).append((claims, future))
        if len(self._waiting) == 1:
            # After this turn of the loop, so that requests which arrived together share the
            # statement.
            asyncio.get_running_loop().call_soon(self._dispatch)
        return await future

    def _dispatch(self) -> None:
        if not self._waiting or self._in_flight >= MAX_IN_FLIGHT:
            return
        batch, self._waiting = self._waiting, {}
        self._in_flight += 1
        task = asyncio.create_task(self._answer(batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, batch: Waiting) -> None:
        try:
            rows = await self._db.fetch_now(READ, ids=list(batch))
            viewers = {viewer.session.id: viewer for viewer in map(self._viewer, rows) if viewer}
            await self._touch(batch, viewers)
            for claims, future in _each(batch):
                viewer = viewers.get(claims.session_id)
                if not future.done():
                    future.set_result(
                        viewer if viewer and viewer.user.id == claims.user_id else None
                    )
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            for _, future in _each(batch):
                if not future.done():
                    future.set_exception(error)
        finally:
            self._in_flight -= 1
            self._dispatch()

    def _viewer(self, row: Sequence[Any]) -> Viewer | None:
        now, width = self._clock(), len(USER_COLUMNS)
        user, session = UserRow._make(row[:width]), SessionRow._make(row[width:])
        return Viewer(user, session) if session.is_alive(now) and user.is_active(now) else None

    async def _touch(self, batch: Waiting, viewers: dict[uuid.UUID, Viewer]) -> None:
        """Note a use once a minute, and the first use of a generation: it settles a rotation."""
        now = self._clock()
        generations = {
            viewer.session.id: max(claims.generation for claims, _ in batch[viewer.session.id])
            for viewer in viewers.values()
        }
        stale = [
            viewer.session.id
            for viewer in viewers.values()
            if now - viewer.session.last_used_at >= TOUCH_AFTER
            or generations[viewer.session.id] > viewer.session.used_generation
        ]
        if stale:
            await self._write(sorted(stale), generations, now)

    async def _write(
        self, ids: list[uuid.UUID], generations: dict[uuid.UUID, int], now: datetime
    ) -> None:
        # In one order for everyone, so that two workers touching the same sessions cannot deadlock.
        table = models.Session
        async with self._db.begin() as session:
            for session_id in ids:
                await session.execute(
                    update(table)
                    .where(table.id == session_id)
                    .values(
                        last_used_at=func.greatest(table.last_used_at, now),
                        used_generation=func.greatest(
                            table.used_generation, generations[session_id]
                        ),
                    )
                )


def _each(batch: Waiting) -> Iterable[tuple[Claims, asyncio.Future[Viewer | None]]]:
    return (waiter for waiters in batch.values() for waiter in waiters)
