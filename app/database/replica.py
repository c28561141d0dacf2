"""Reads that may be a moment old, from a replica for as long as it is fit to answer them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from asyncpg.exceptions import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    PostgresError,
)
from sqlalchemy import literal_column, select

from app.database.database import Database, Query
from app.database.errors import said
from app.database.replica_lag import ReplicaLag, Written
from app.errors import ConnectionLost, NotConnected, Unavailable

LOOK_EVERY_SECONDS = 2
# Nobody waits for a look in the background, which may have to open a connection first.
LOOK_SECONDS = 5
# A page that takes longer than the first makes somebody look whether the replica is there, which
# has to answer within the second. Together they are what a replica that hangs costs a page.
PAGE_SECONDS = 0.5
ANSWER_SECONDS = 0.5
# For connections on which nobody answers, when the process ends.
CLOSE_SECONDS = 3

IS_STANDBY = Query(select(literal_column("pg_is_in_recovery()")))
WRITTEN = Query(select(literal_column("pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")))
REPLAYED = Query(
    select(
        literal_column("pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint"),
        literal_column(
            "extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8"
        ),
    )
)

UNKNOWN = "it was not asked yet"
SILENT = "it does not answer"
NO_STANDBY = "it is not a standby (any more): what it has is not what the primary has"
BEHIND = "it is more than {seconds:g} s behind the primary"
NOT_MEASURED = (
    "it is not known how far it is behind ({why});"
    " with DATABASE_READ_MAX_LAG_SECONDS=off it is read all the same"
)
NOTHING_REPLAYED = "it has replayed nothing yet"

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


class Unfit(Exception):
    """The replica must not be read now; the message says why."""


class Undecided(Exception):
    """Whether the replica may be read cannot be said: it is the primary that does not answer."""


@dataclass(slots=True)
class Replica:
    """Pages for administrators. While the replica is not fit to answer them, the primary does.

    Whether it is fit is found out in the background by `watch`; until that has looked, it is not.
    """

    primary: Database
    replica: Database | None = None
    # None: however far it is behind.
    max_lag_seconds: float | None = None
    lag: ReplicaLag = field(default_factory=ReplicaLag)
    # Why it is left out; none while it is in use.
    _reason: str | None = UNKNOWN
    _check: asyncio.Task[None] | None = None
    # What nobody waits for has to be referred to, or it is collected.
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])

    @property
    def is_in_use(self) -> bool:
        return self._reason is None

    @property
    def lag_seconds(self) -> float | None:
        """How long ago the replica is known to have had all that the primary had."""
        return self.lag.seconds(time.monotonic())

    async def fetch(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """Run a SELECT on the replica if it is fit, and otherwise on the primary.

        Raises:
            Unavailable: neither could do it.

        """
        if self.replica is None or self._reason is not None:
            return await self.primary.fetch(query, **values)
        reading = self._begin(self.replica.fetch(query, **values))
        try:
            if await self._answered(reading, self.replica):
                return reading.result()
        except (NotConnected, ConnectionLost) as outage:
            self._leave_out(_reason_of(outage))
        except (Unavailable, PostgresError) as error:
            # A page that is too much for it, a grant or a table that has not reached it yet. If it
            # is more than that, the primary says the same.
            log.warning("The replica could not answer, the primary does: %s", said(error))
        finally:
            reading.cancel()
        return await self.primary.fetch(query, **values)

    async def watch(self, looked: Callable[[], object]) -> None:
        """Look at the replica every two seconds, until cancelled, and say so each time."""
        if self.replica is None:
            return
        while True:
            await self._look(self.replica)
            looked()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def close(self) -> None:
        if self.replica is None:
            return
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        await self.replica.drop()
        await self.replica.close()

    async def _answered(self, reading: asyncio.Task[Any], replica: Database) -> bool:
        """Wait for as long as the replica is there; a page may take longer than a second."""
        while not reading.done() and self._reason is None:
            await asyncio.wait({reading}, timeout=PAGE_SECONDS)
            if not reading.done():
                await self._check_once(replica)
        return reading.done()

    async def _check_once(self, replica: Database) -> None:
        """Leave the replica out if it does not answer; all who wonder wait for one answer."""
        if self._check is None or self._check.done():
            self._check = self._begin(self._check_that_it_answers(replica))
        await asyncio.wait({self._check})

    async def _check_that_it_answers(self, replica: Database) -> None:
        try:
            await self._within(ANSWER_SECONDS, replica.fetch_now(IS_STANDBY))
        except Exception as problem:  # noqa: BLE001 - while it is made anew it refuses in many ways
            self._leave_out(_reason_of(problem))

    async def _look(self, replica: Database) -> None:
        try:
            await self._within(LOOK_SECONDS, self._judge(replica))
        except Undecided:
            log.debug("The primary does not say how far the replica is behind.")
        except Exception as problem:  # noqa: BLE001 - as above
            self._leave_out(_reason_of(problem))
        else:
            self._take_in()

    async def _judge(self, replica: Database) -> None:
        """Return if the replica may be read.

        Raises:
            Unfit: it may not.
            Undecided: the primary does not answer.
            Unavailable: the replica does not answer.
            PostgresError: the replica refuses.

        """
        if not (await replica.fetch_now(IS_STANDBY))[0][0]:
            raise Unfit(NO_STANDBY)
        if self.max_lag_seconds is None:
            return
        await self._measure(replica)
        lag = self.lag_seconds
        if lag is None:
            raise Unfit(NOT_MEASURED.format(why=NOTHING_REPLAYED))
        if lag > self.max_lag_seconds:
            raise Unfit(BEHIND.format(seconds=self.max_lag_seconds))

    async def _measure(self, replica: Database) -> None:
        try:
            written = await self._written()
            ((replayed, age),) = await replica.fetch_now(REPLAYED)
        except PostgresError as error:
            raise Unfit(NOT_MEASURED.format(why=said(error))) from error
        if replayed is not None:
            self.lag.compare(written, replayed, age)

    async def _written(self) -> Written:
        moment = time.monotonic()
        try:
            rows = await self._within(ANSWER_SECONDS, self.primary.fetch_now(WRITTEN))
        except (Unfit, Unavailable) as silence:
            raise Undecided from silence
        return Written(moment, rows[0][0])

    def _leave_out(self, reason: str) -> None:
        if reason == self._reason or self.replica is None:
            return
        log.warning("The replica is left out, the primary answers: %s", reason)
        self._reason = reason
        # Of connections to a machine that has gone nobody hears until they are used.
        self._begin(self.replica.drop())

    def _take_in(self) -> None:
        if self._reason is not None:
            log.info("The replica is in use.")
        self._reason = None

    async def _within(self, seconds: float, answer: Awaitable[Answer]) -> Answer:
        """Wait so long, and not for the end of what is then given up, which may take its time.

        Raises:
            Unfit: there was no answer.

        """
        asking = self._begin(answer)
        try:
            await asyncio.wait({asking}, timeout=seconds)
            if not asking.done():
                raise Unfit(SILENT)
            return asking.result()
        finally:
            asking.cancel()

    def _begin(self, work: Awaitable[Answer]) -> asyncio.Task[Answer]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whoever has given it up does not ask how it ended.
            task.exception()


def _reason_of(problem: Exception) -> str:
    return str(problem) if isinstance(problem, Unfit) else said(problem) or type(problem).__name__
