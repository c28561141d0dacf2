"""A share of the connections of an engine, which do not go back to its pool between uses."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
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
from app.errors import CommitUnknown, Conflict, ConnectionLost, Unavailable

WAIT_SECONDS = 5
MAX_AGE_SECONDS = 3600
# A connection that died while it was idle fails at once. After a longer wait, a second try could
# take as long again.
RETRY_WITHIN_SECONDS = 1


class ReservedConnection(NamedTuple):
    """A connection of a share. It is in AUTOCOMMIT: SQLAlchemy begins no transaction on it."""

    connection: AsyncConnection
    # The driver's own connection: SQLAlchemy's layers would double the cost of a statement.
    driver: Any
    until: float
    # How often the share had been closed when the connection was opened.
    closings: int


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


async def _change_rows(driver: Any, sql: str, arguments: Sequence[Any]) -> list[Sequence[Any]]:
    if not is_pooled(driver):
        return await driver.fetch(sql, *arguments)
    return await _change_rows_read_committed(driver, sql, arguments)


async def _change_rows_read_committed(
    driver: Any, sql: str, arguments: Sequence[Any]
) -> list[Sequence[Any]]:
    async with driver.transaction(isolation="read_committed"):
        return await driver.fetch(sql, *arguments)


class ConnectionShare:
    """Up to `size` connections of an engine, for those who have waited longest.

    Taking a connection from the pool of the engine and returning it costs as much CPU as reading a
    page of fifty. A single statement needs no BEGIN and COMMIT here.
    """

    def __init__(self, engine: AsyncEngine, size: int) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._permits = FairSemaphore(size, WAIT_SECONDS)
        self._idle: list[ReservedConnection] = []
        self.statements = 0
        self._closings = 0

    @property
    def in_use(self) -> int:
        """How many connections are in use, or being opened."""
        return self._permits.taken

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

    async def change(self, sql: str, arguments: Sequence[Any]) -> list[Sequence[Any]]:
        """Run a statement that changes rows once a connection is free, and commit it.

        Raises:
            Unavailable: nothing was done.
            CommitUnknown: the connection broke, or the server does not answer.

        """
        async with self._permits:
            try:
                return await self._fetch(_change_rows, sql, arguments, lost=CommitUnknown)
            except Conflict:
                # The default isolation of the database may be a stricter one, in which statements
                # that wait for each other fail. Naming it takes a BEGIN.
                return await self._fetch(
                    _change_rows_read_committed, sql, arguments, lost=CommitUnknown
                )

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[ReservedConnection]:
        """Wait for a connection, and reserve it while the block runs.

        A block that leaves it in an unknown state terminates the driver's connection, or
        invalidates that of SQLAlchemy: then it is not used again.

        Raises:
            Unavailable: none was free in time, or none can be opened.

        """
        async with self._permits:
            reserved = await self._take()
            try:
                yield reserved
            finally:
                await self._give_back(reserved)

    async def close(self) -> None:
        """Close the idle connections; those in use are closed when they are given back."""
        self._closings += 1
        while self._idle:
            await _close(self._idle.pop())

    async def drop(self) -> None:
        """Close the idle connections without notifying the server, which may not answer."""
        while self._idle:
            await _drop(self._idle.pop())

    async def _fetch_with_retry(
        self, run: Run, sql: str, arguments: Sequence[Any]
    ) -> list[Sequence[Any]]:
        began = time.monotonic()
        try:
            return await self._fetch(run, sql, arguments, lost=ConnectionLost)
        except ConnectionLost:
            if time.monotonic() - began > RETRY_WITHIN_SECONDS:
                raise
            # After a restart of the database every idle connection is dead: open new ones.
            await self.drop()
            await self._engine.dispose()
            return await self._fetch(run, sql, arguments, lost=ConnectionLost)

    async def _fetch(
        self,
        run: Run,
        sql: str,
        arguments: Sequence[Any],
        *,
        lost: type[ConnectionLost | CommitUnknown],
    ) -> list[Sequence[Any]]:
        """Run one statement, and raise `lost` if the connection breaks before the answer."""
        reserved = await self._take()
        self.statements += 1
        span = begin_statement(sql)
        try:
            rows = await run(reserved.driver, sql, arguments)
        except PostgresError as error:
            if reserved.driver.is_closed() or is_lost(error):
                await _drop(reserved)
                raise lost(f"the connection was lost: {server_message(error)}") from error
            await self._keep(reserved)
            with raise_outages():
                raise
        except TimeoutError as error:
            await reserved.connection.invalidate()
            unanswered = CommitUnknown if lost is CommitUnknown else Unavailable
            raise unanswered("the database does not answer") from error
        except BaseException as error:
            # Cancelled, or the connection broke: its state is unknown.
            was_lost = reserved.driver.is_closed() or is_lost(error)
            await reserved.connection.invalidate()
            if was_lost and isinstance(error, Exception):
                reason = server_message(error) or type(error).__name__
                raise lost(f"the connection was lost: {reason}") from error
            raise
        finally:
            if span is not None:
                span.end()
        await self._keep(reserved)
        return rows

    async def _take(self) -> ReservedConnection:
        while self._idle:
            # The last one used, so that the others expire when there is little to do.
            reserved = self._idle.pop()
            if reserved.until > time.monotonic() and not reserved.driver.is_closed():
                return reserved
            await _drop(reserved)
        with raise_outages():
            connection = await self._engine.connect()
        driver = (await connection.get_raw_connection()).driver_connection
        until = time.monotonic() + MAX_AGE_SECONDS
        return ReservedConnection(connection, driver, until, self._closings)

    async def _give_back(self, reserved: ReservedConnection) -> None:
        if reserved.driver.is_closed() or reserved.connection.invalidated:
            await _drop(reserved)
            return
        if reserved.connection.in_transaction():
            # Of SQLAlchemy's view only: in AUTOCOMMIT nothing is sent.
            await reserved.connection.rollback()
        await self._keep(reserved)

    async def _keep(self, reserved: ReservedConnection) -> None:
        """Keep a connection for the next use, unless the share was closed meanwhile."""
        if reserved.closings == self._closings:
            self._idle.append(reserved)
        else:
            await _close(reserved)


async def _drop(reserved: ReservedConnection) -> None:
    """Close a connection that is idle.

    SQLAlchemy alone would first send a Terminate message, and wait two seconds for the server.
    """
    reserved.driver.terminate()
    await reserved.connection.invalidate()


async def _close(reserved: ReservedConnection) -> None:
    """Close a connection that is idle, and tell the server.

    Not by returning it: its pool may have been disposed of, and would keep it open.
    """
    await reserved.connection.invalidate()
