"""Reads that may be slightly outdated, from a replica while it is usable."""

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
from app.database.errors import server_message
from app.database.replica_lag import ReplicaLag, WalPosition
from app.errors import ConnectionLost, NotConnected, Unavailable

CHECK_EVERY_SECONDS = 2
# No request waits for a check in the background, which may have to open a connection.
CHECK_SECONDS = 5
# If a page takes longer than PAGE_SECONDS, the replica is checked, and has to answer within
# ANSWER_SECONDS. Together they are the delay of a page if the replica hangs.
PAGE_SECONDS = 0.5
ANSWER_SECONDS = 0.5
# For connections to a server that does not answer, when the process ends.
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

NOT_CHECKED = "it was not checked yet"
NO_ANSWER = "it does not answer"
NOT_A_STANDBY = "it is not a standby (any more): its data differs from that of the primary"
BEHIND = "it is more than {seconds:g} s behind the primary"
NOT_MEASURED = (
    "it is not known how far it is behind ({why});"
    " DATABASE_READ_MAX_LAG_SECONDS=off turns this check off"
)
NOTHING_REPLAYED = "it has replayed nothing yet"

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


class ReplicaUnusable(Exception):
    """The replica must not be read now; the message says why."""


class PrimaryDoesNotAnswer(Exception):
    """The primary does not answer, so the lag of the replica is unknown."""


@dataclass(slots=True)
class Replica:
    """Reads pages for administrators from the replica, or from the primary while it is unusable.

    `watch` checks the replica in the background; until the first check it is not used.
    """

    primary: Database
    replica: Database | None = None
    # None: unlimited.
    max_lag_seconds: float | None = None
    lag: ReplicaLag = field(default_factory=ReplicaLag)
    # Why it is not used; None while it is.
    _reason: str | None = NOT_CHECKED
    _check: asyncio.Task[None] | None = None
    # The event loop keeps weak references only: without these, tasks could be garbage-collected.
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])

    @property
    def is_in_use(self) -> bool:
        return self._reason is None

    @property
    def lag_seconds(self) -> float | None:
        """The age of the state of the primary that the replica is known to have."""
        return self.lag.seconds(time.monotonic())

    async def fetch(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """Run a SELECT on the replica if it is usable, and otherwise on the primary.

        Raises:
            Unavailable: neither answers.

        """
        if self.replica is None or self._reason is not None:
            return await self.primary.fetch(query, **values)
        reading = self._begin(self.replica.fetch(query, **values))
        try:
            if await self._wait_for(reading, self.replica):
                return reading.result()
        except (NotConnected, ConnectionLost) as outage:
            self._stop_using(_reason_of(outage))
        except (Unavailable, PostgresError) as error:
            # A timeout, or a grant or a table that is not replicated yet. Any other error
            # the primary raises too.
            log.warning(
                "The replica could not answer, so the primary does: %s", server_message(error)
            )
        finally:
            reading.cancel()
        return await self.primary.fetch(query, **values)

    async def watch(self, on_check: Callable[[], object]) -> None:
        """Check the replica every two seconds, until cancelled; `on_check` is called after each."""
        if self.replica is None:
            return
        while True:
            await self._check_replica(self.replica)
            on_check()
            await asyncio.sleep(CHECK_EVERY_SECONDS)

    async def close(self) -> None:
        if self.replica is None:
            return
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        await self.replica.drop()
        await self.replica.close()

    async def _wait_for(self, reading: asyncio.Task[Any], replica: Database) -> bool:
        """Wait while the replica answers checks; a page may take longer than a second."""
        while not reading.done() and self._reason is None:
            await asyncio.wait({reading}, timeout=PAGE_SECONDS)
            if not reading.done():
                await self._check_once(replica)
        return reading.done()

    async def _check_once(self, replica: Database) -> None:
        """Stop using the replica if it does not answer; all waiting reads share one check."""
        if self._check is None or self._check.done():
            self._check = self._begin(self._check_answers(replica))
        await asyncio.wait({self._check})

    async def _check_answers(self, replica: Database) -> None:
        try:
            await self._within(ANSWER_SECONDS, replica.fetch_now(IS_STANDBY))
        except Exception as problem:  # noqa: BLE001 - while it is rebuilt it refuses in many ways
            self._stop_using(_reason_of(problem))

    async def _check_replica(self, replica: Database) -> None:
        try:
            await self._within(CHECK_SECONDS, self._check_usable(replica))
        except PrimaryDoesNotAnswer:
            log.debug("The primary does not say how far the replica is behind.")
        except Exception as problem:  # noqa: BLE001 - as above
            self._stop_using(_reason_of(problem))
        else:
            self._use()

    async def _check_usable(self, replica: Database) -> None:
        """Check that the replica may be read.

        Raises:
            ReplicaUnusable: it may not.
            PrimaryDoesNotAnswer: the primary does not answer.
            Unavailable: the replica does not answer.
            PostgresError: the replica refuses.

        """
        if not (await replica.fetch_now(IS_STANDBY))[0][0]:
            raise ReplicaUnusable(NOT_A_STANDBY)
        if self.max_lag_seconds is None:
            return
        await self._measure_lag(replica)
        lag = self.lag_seconds
        if lag is None:
            raise ReplicaUnusable(NOT_MEASURED.format(why=NOTHING_REPLAYED))
        if lag > self.max_lag_seconds:
            raise ReplicaUnusable(BEHIND.format(seconds=self.max_lag_seconds))

    async def _measure_lag(self, replica: Database) -> None:
        try:
            written = await self._primary_position()
            ((replayed, age),) = await replica.fetch_now(REPLAYED)
        except PostgresError as error:
            raise ReplicaUnusable(NOT_MEASURED.format(why=server_message(error))) from error
        if replayed is not None:
            self.lag.compare(written, replayed, age)

    async def _primary_position(self) -> WalPosition:
        moment = time.monotonic()
        try:
            rows = await self._within(ANSWER_SECONDS, self.primary.fetch_now(WRITTEN))
        except (ReplicaUnusable, Unavailable) as silence:
            raise PrimaryDoesNotAnswer from silence
        return WalPosition(moment, rows[0][0])

    def _stop_using(self, reason: str) -> None:
        if reason == self._reason or self.replica is None:
            return
        log.warning("The replica is not used, the primary answers: %s", reason)
        self._reason = reason
        # Connections to a machine that is gone fail only when they are used.
        self._begin(self.replica.drop())

    def _use(self) -> None:
        if self._reason is not None:
            log.info("The replica is in use.")
        self._reason = None

    async def _within(self, seconds: float, answer: Awaitable[Answer]) -> Answer:
        """Wait for an answer, but not for its cancellation after the timeout, which may take long.

        Raises:
            ReplicaUnusable: there was no answer in time.

        """
        asking = self._begin(answer)
        try:
            await asyncio.wait({asking}, timeout=seconds)
            if not asking.done():
                raise ReplicaUnusable(NO_ANSWER)
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
            # Retrieve the exception, or asyncio logs it as never retrieved.
            task.exception()


def _reason_of(problem: Exception) -> str:
    if isinstance(problem, ReplicaUnusable):
        return str(problem)
    return server_message(problem) or type(problem).__name__
