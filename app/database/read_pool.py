"""Connections that are kept for reads: what runs on each request takes none from the pool."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from asyncpg.exceptions import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    PostgresError,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.database.connector import is_pooled
from app.database.errors import server_message
from app.database.fair_semaphore import FairSemaphore
from app.database.outages import is_lost, raise_outages
from app.database.statements import begin_statement
from app.errors import ConnectionLost, Unavailable

WAIT_SECONDS = 5
KEPT_SECONDS = 3600
# A connection that had died while it was idle says so at once. What is lost after a longer wait
# would make whoever asks wait as long again.
AT_ONCE_SECONDS = 1


class ReadConnection(NamedTuple):
    connection: AsyncConnection
    # The driver's own connection: half of what a read costs is what stands before it.
    driver: Any
    until: float


Run = Callable[[Any, str, Sequence[Any]], Awaitable[list[Sequence[Any]]]]


async def _plain(driver: Any, sql: str, arguments: Sequence[Any]) -> list[Sequence[Any]]:
    if not is_pooled(driver):
        return await driver.fetch(sql, *arguments)
    async with driver.transaction(readonly=True):
        return await driver.fetch(sql, *arguments)


async def _with_custom_plan(driver: Any, sql: str, arguments: Sequence[Any]) -> list[Sequence[Any]]:
    async with driver.transaction(readonly=True):
        await driver.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        return await driver.fetch(sql, *arguments)


class ReadPool:
    """Up to `size` connections of an engine that do not go back to its pool between reads.

    Taking one from the pool and giving it back costs as much CPU as reading a page of fifty.
    They are in AUTOCOMMIT: a lone SELECT needs no BEGIN and ROLLBACK around it.
    """

    def __init__(self, engine: AsyncEngine, size: int) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._permits = FairSemaphore(size, WAIT_SECONDS)
        self._idle: list[ReadConnection] = []
        self.statements = 0

    async def fetch(
        self, sql: str, arguments: Sequence[Any], *, custom_plan: bool = False
    ) -> list[Sequence[Any]]:
        """Run a SELECT once a connection is free; again if the connection was already dead.

        With `custom_plan` the database plans it for these values, even after so many executions
        that it would otherwise change to a generic plan.

        Raises:
            Unavailable: no connection was free in time, the statement took too long, or the server
                does not answer.

        """
        await self._permits.acquire()
        try:
            return await self._fetch_again(
                _with_custom_plan if custom_plan else _plain, sql, arguments
            )
        finally:
            self._permits.release()

    async def close(self) -> None:
        """Give the idle ones back."""
        while self._idle:
            await self._idle.pop().connection.close()

    async def drop(self) -> None:
        """Close the idle ones without a word to the server, which may not answer."""
        while self._idle:
            await _drop(self._idle.pop())

    async def _fetch_again(
        self, run: Run, sql: str, arguments: Sequence[Any]
    ) -> list[Sequence[Any]]:
        began = time.monotonic()
        try:
            return await self._fetch(run, sql, arguments)
        except ConnectionLost:
            if time.monotonic() - began > AT_ONCE_SECONDS:
                raise
            # After a restart of the database every idle connection is like this one: start anew.
            await self.drop()
            await self._engine.dispose()
            return await self._fetch(run, sql, arguments)

    async def _fetch(self, run: Run, sql: str, arguments: Sequence[Any]) -> list[Sequence[Any]]:
        kept = await self._take()
        self.statements += 1
        span = begin_statement(sql)
        try:
            rows = await run(kept.driver, sql, arguments)
        except PostgresError as error:
            if kept.driver.is_closed() or is_lost(error):
                await _drop(kept)
                raise ConnectionLost(f"the connection was lost: {server_message(error)}") from error
            self._idle.append(kept)
            with raise_outages():
                raise
        except TimeoutError as error:
            await kept.connection.invalidate()
            raise Unavailable("the database does not answer") from error
        except BaseException as error:
            # Given up in the middle of it, or the line went dead: nobody knows what comes next.
            lost = kept.driver.is_closed()
            await kept.connection.invalidate()
            if lost and isinstance(error, Exception):
                reason = server_message(error) or type(error).__name__
                raise ConnectionLost(f"the connection was lost: {reason}") from error
            raise
        finally:
            if span is not None:
                span.end()
        self._idle.append(kept)
        return rows

    async def _take(self) -> ReadConnection:
        while self._idle:
            # The last one used, so that a quiet hour lets the others grow old.
            kept = self._idle.pop()
            if kept.until > time.monotonic() and not kept.driver.is_closed():
                return kept
            await _drop(kept)
        with raise_outages():
            connection = await self._engine.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        return ReadConnection(connection, driver, time.monotonic() + KEPT_SECONDS)


async def _drop(kept: ReadConnection) -> None:
    """Close a connection on which nothing runs.

    SQLAlchemy alone would first say goodbye to the server, and wait two seconds for its answer.
    """
    kept.driver.terminate()
    await kept.connection.invalidate()
