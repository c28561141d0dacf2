"""Connections that are reserved for reads, without the cost of the connection pool."""

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
MAX_AGE_SECONDS = 3600
# A connection that died while it was idle fails at once. After a longer wait, a second try could
# take as long again.
RETRY_WITHIN_SECONDS = 1


class ReadConnection(NamedTuple):
    connection: AsyncConnection
    # The driver's own connection: SQLAlchemy's layers would double the cost of a read.
    driver: Any
    until: float


Run = Callable[[Any, str, Sequence[Any]], Awaitable[list[Sequence[Any]]]]


async def _fetch_rows(driver: Any, sql: str, arguments: Sequence[Any]) -> list[Sequence[Any]]:
    if not is_pooled(driver):
        return await driver.fetch(sql, *arguments)
    async with driver.transaction(readonly=True):
        return await driver.fetch(sql, *arguments)


async def _fetch_rows_with_custom_plan(
    driver: Any, sql: str, arguments: Sequence[Any]
) -> list[Sequence[Any]]:
    async with driver.transaction(readonly=True):
        await driver.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        return await driver.fetch(sql, *arguments)


class ReadPool:
    """Up to `size` connections of an engine that do not go back to its pool between reads.

    Taking one from the pool and returning it costs as much CPU as reading a page of fifty. They are
    in AUTOCOMMIT: a single SELECT needs no BEGIN and ROLLBACK.
    """

    def __init__(self, engine: AsyncEngine, size: int) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._permits = FairSemaphore(size, WAIT_SECONDS)
        self._idle: list[ReadConnection] = []
        self.statements = 0

    async def fetch(
        self, sql: str, arguments: Sequence[Any], *, custom_plan: bool = False
    ) -> list[Sequence[Any]]:
        """Run a SELECT once a connection is free; retry it if the connection was already dead.

        With `custom_plan` the database plans it for these values, even after as many executions as
        make it change to a generic plan otherwise.

        Raises:
            Unavailable: no connection was free in time, the statement took too long, or the server
                does not answer.

        """
        async with self._permits:
            return await self._fetch_with_retry(
                _fetch_rows_with_custom_plan if custom_plan else _fetch_rows, sql, arguments
            )

    async def close(self) -> None:
        """Return the idle connections to the pool."""
        while self._idle:
            await self._idle.pop().connection.close()

    async def drop(self) -> None:
        """Close the idle connections without notifying the server, which may not answer."""
        while self._idle:
            await _drop(self._idle.pop())

    async def _fetch_with_retry(
        self, run: Run, sql: str, arguments: Sequence[Any]
    ) -> list[Sequence[Any]]:
        began = time.monotonic()
        try:
            return await self._fetch(run, sql, arguments)
        except ConnectionLost:
            if time.monotonic() - began > RETRY_WITHIN_SECONDS:
                raise
            # After a restart of the database every idle connection is dead: open new ones.
            await self.drop()
            await self._engine.dispose()
            return await self._fetch(run, sql, arguments)

    async def _fetch(self, run: Run, sql: str, arguments: Sequence[Any]) -> list[Sequence[Any]]:
        read_connection = await self._take()
        self.statements += 1
        span = begin_statement(sql)
        try:
            rows = await run(read_connection.driver, sql, arguments)
        except PostgresError as error:
            if read_connection.driver.is_closed() or is_lost(error):
                await _drop(read_connection)
                raise ConnectionLost(f"the connection was lost: {server_message(error)}") from error
            self._idle.append(read_connection)
            with raise_outages():
                raise
        except TimeoutError as error:
            await read_connection.connection.invalidate()
            raise Unavailable("the database does not answer") from error
        except BaseException as error:
            # Cancelled, or the connection broke: its state is unknown.
            lost = read_connection.driver.is_closed()
            await read_connection.connection.invalidate()
            if lost and isinstance(error, Exception):
                reason = server_message(error) or type(error).__name__
                raise ConnectionLost(f"the connection was lost: {reason}") from error
            raise
        finally:
            if span is not None:
                span.end()
        self._idle.append(read_connection)
        return rows

    async def _take(self) -> ReadConnection:
        while self._idle:
            # The last one used, so that the others expire when there is little to do.
            read_connection = self._idle.pop()
            if read_connection.until > time.monotonic() and not read_connection.driver.is_closed():
                return read_connection
            await _drop(read_connection)
        with raise_outages():
            connection = await self._engine.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        return ReadConnection(connection, driver, time.monotonic() + MAX_AGE_SECONDS)


async def _drop(read_connection: ReadConnection) -> None:
    """Close a connection that is idle.

    SQLAlchemy alone would first send a Terminate message, and wait two seconds for the server.
    """
    read_connection.driver.terminate()
    await read_connection.connection.invalidate()
