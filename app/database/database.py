"""Connects to the database, and runs units of work (transactions) and reads."""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Executable, Row, Select, TextClause, UpdateBase, event
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from app.database.connection_share import ConnectionShare, ReservedConnection
from app.database.connector import Connector, begin_read_committed, is_pooled
from app.database.errors import sqlstate
from app.database.libpq.database_url import read_database_url
from app.database.outages import is_lost, outage_from, raise_outages, remove_values
from app.database.statements import begin_statement, count_and_trace
from app.errors import CommitUnknown, ConnectionLost, Misconfigured

URGENT_READS = 2
POOL_WAIT_SECONDS = 5
STATEMENT_SECONDS = 10.0
# A server that does not report the timeout of a statement this much later is gone.
ANSWER_SECONDS = 2
ROLLBACK_SECONDS = 3
# The first two characters of SQLSTATEs (PostgreSQL, appendix A).
INTEGRITY_VIOLATION = "23"
# The driver's connection, in the `info` of the session of a unit of work.
DRIVER = "driver"
# Also the answers to them.
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"
NO_SESSION_STATE = (
    "This command needs a temporary table, which a pooler in transaction mode loses: for this"
    " command set DATABASE_URL to PostgreSQL itself and leave DATABASE_PREPARED_STATEMENTS unset."
)
NO_SESSION_STATE_WITH_REFUSED_SETTINGS = (
    "This command needs a temporary table, and the pooler refuses start-up parameters, as one in"
    " transaction mode does, which would lose it: for this command set DATABASE_URL to PostgreSQL"
    " itself. If the pooler is in session mode, make it ignore them instead (PgBouncer:"
    " ignore_startup_parameters = {names})."
)


class Link(NamedTuple):
    """An engine, and how it opens connections."""

    connector: Connector
    engine: AsyncEngine


def connect(
    text: str,
    *,
    pool_size: int,
    timeout_seconds: float | None = STATEMENT_SECONDS,
    prepared: bool = True,
) -> Link:
    """Returns the engine for a `DATABASE_URL`; it opens no connection until it is used.

    The timeout is that of a statement, and of a transaction that is idle between statements. With
    `prepared=False` it works with a pooler in transaction mode from the start.

    Raises:
        InvalidDatabaseUrl: the URL is invalid or not supported.
        Misconfigured: a file that it names cannot be used.

    """
    connector = Connector(
        read_database_url(text, os.environ),
        "portico",
        session_settings(timeout_seconds),
        pooled=not prepared,
        statement_seconds=timeout_seconds and timeout_seconds + ANSWER_SECONDS,
    )
    return make_engine(connector, pool_size)


def make_engine(connector: Connector, pool_size: int) -> Link:
    engine = connector.engine(
        pool_size=pool_size, max_overflow=0, pool_timeout=POOL_WAIT_SECONDS, pool_recycle=3600
    )
    event.listen(engine.sync_engine, "checkout", _discard_closed)
    count_and_trace(engine)
    return Link(connector, engine)


def session_settings(timeout_seconds: float | None) -> dict[str, str]:
    # 0 is no limit in PostgreSQL.
    milliseconds = str(round((timeout_seconds or 0) * 1000))
    return {
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
        "timezone": "UTC",
        # Compiling costs more than the short statements of requests.
        "jit": "off",
    }


def _discard_closed(connection: Any, _record: object, _proxy: object) -> None:
    # The database may have closed it while it was idle, which the driver knows without a query: the
    # pool then opens another one, and no request fails after a restart.
    if connection.driver_connection.is_closed():
        raise DisconnectionError


class Query:
    """A statement with named parameters, compiled once, for what runs often.

    Building and looking up the statement and adapting the driver's rows would double the cost of
    such a statement. The driver keeps it prepared, so the database may keep one plan for all
    values, unless `plan_depends_on_values`. Of an INSERT, `columns` have parameters of their names.
    """

    def __init__(
        self,
        statement: Select[*tuple[Any, ...]] | UpdateBase | TextClause,
        *,
        columns: Sequence[str] | None = None,
        plan_depends_on_values: bool = False,
    ) -> None:
        compiled = statement.compile(dialect=asyncpg.dialect(), column_keys=columns)
        self.sql = str(compiled)
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self.plan_depends_on_values = plan_depends_on_values

    async def run(self, session: AsyncSession, **values: Any) -> list[Sequence[Any]]:
        """Building block: run the statement in the caller's transaction, on the driver itself.

        What is pending in the session is not flushed before.
        """
        driver = session.info[DRIVER]
        span = begin_statement(self.sql)
        try:
            return await driver.fetch(self.sql, *(values[name] for name in self.names))
        finally:
            if span is not None:
                span.end()


class UnitOfWork(AsyncSession):
    """A session in a transaction of the driver. SQLAlchemy only sends statements in it."""

    def __init__(self, reserved: ReservedConnection) -> None:
        self._driver = reserved.driver
        info = {DRIVER: reserved.driver}
        super().__init__(reserved.connection, expire_on_commit=False, info=info)

    async def start(self) -> None:
        """Begin the transaction."""
        await self._driver.execute(begin_read_committed(self._driver))

    async def rollback(self) -> None:
        """Undo what was done until now. What follows is another transaction."""
        await super().rollback()
        await self._driver.execute(ROLLBACK)
        await self.start()

    async def commit(self) -> None:
        raise TypeError("a unit of work is committed by returning from `Database.begin`")


class Database:
    """Units of work for services: `begin()` to change something, `fetch()` and `rows()` to read.

    Two of its connections are for `fetch_now`, half of the others for `fetch`, the rest for all
    else: many pages at once block neither the one read that every request needs nor the writes.
    Each of these serves requests in the order in which they arrive. SQLAlchemy's pool prefers new
    requests to waiting ones, which starve under load.
    """

    def __init__(self, link: Link, *, pool_size: int) -> None:
        self._connector, self.engine = link
        reads = (pool_size - URGENT_READS) // 2
        self._urgent_reads = ConnectionShare(self.engine, URGENT_READS)
        self._reads = ConnectionShare(self.engine, reads)
        # At least one, for commands that have a single connection.
        self._others = ConnectionShare(self.engine, max(1, pool_size - URGENT_READS - reads))
        self._shares = (self._urgent_reads, self._reads, self._others)

    @property
    def connections_in_use(self) -> int:
        """How many connections are in use: idle ones are open, but not counted."""
        return sum(share.in_use for share in self._shares)

    @property
    def fetched_statements(self) -> int:
        """How many statements `fetch` and `fetch_now` have sent."""
        return self._urgent_reads.statements + self._reads.statements

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncSession]:
        """Run one transaction: returning commits, raising rolls back.

        The transaction is that of the driver: SQLAlchemy's way to begin and commit takes as long as
        a whole small transaction.

        If a statement has failed, returning is a RuntimeError, even if the block caught the error:
        the database undoes such a transaction.

        Raises:
            Unavailable: the database could not do it; nothing was done.
            CommitUnknown: the connection broke during the commit.

        """
        async with self._others.connection() as reserved:
            session = UnitOfWork(reserved)
            try:
                with raise_outages():
                    await session.start()
                    yield session
                    if session.in_transaction():
                        await session.flush()
                await _commit(reserved.driver)
            except BaseException as error:
                hanging = isinstance(error.__cause__, TimeoutError)
                await _roll_back(reserved.driver, hanging=hanging)
                raise
            finally:
                if session.in_transaction():
                    await session.close()

    async def fetch(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """Run a compiled SELECT on the driver itself, once a connection is free."""
        arguments = [values[name] for name in query.names]
        return await self._reads.fetch(
            query.sql, arguments, custom_plan=query.plan_depends_on_values
        )

    async def fetch_now(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """As `fetch`, but on the two connections for the read that every request needs."""
        return await self._urgent_reads.fetch(query.sql, [values[name] for name in query.names])

    async def change(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """Run one compiled statement that changes rows, as a transaction of its own.

        Raises:
            Unavailable: the database could not do it; nothing was done.
            CommitUnknown: the connection broke before the answer.

        """
        return await self._others.change(query.sql, [values[name] for name in query.names])

    async def fetch_to_change(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """As `fetch`, but on the connections for changes, which no page of a list occupies."""
        return await self._others.fetch(query.sql, [values[name] for name in query.names])

    async def rows(
        self, statement: Executable, parameters: dict[str, Any] | None = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Read with one statement."""
        async with self._others.connection() as reserved:
            with raise_outages():
                try:
                    return await _rows(reserved, statement, parameters)
                except TimeoutError:
                    # The server does not answer: do not reuse the connection.
                    reserved.driver.terminate()
                    raise

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection]:
        """A connection in AUTOCOMMIT, for other uses than units of work."""
        async with self._others.connection() as reserved:
            yield reserved.connection

    @asynccontextmanager
    async def unlimited_connection(
        self, *, keeps_session_state: bool = False
    ) -> AsyncGenerator[AsyncConnection]:
        """A connection without timeouts, for commands that read or write whole tables.

        `keeps_session_state`: later transactions need what earlier ones made, such as a temporary
        table.

        Raises:
            Unavailable: no connection could be made.
            Misconfigured: it needs session state, and connects through a pooler.

        """
        settings = session_settings(timeout_seconds=None)
        unlimited = make_engine(
            replace(self._connector, settings=settings, statement_seconds=None), pool_size=1
        )
        try:
            with raise_outages():
                connection = await unlimited.engine.connect()
            try:
                if keeps_session_state and await _is_pooled(connection):
                    raise Misconfigured(_no_session_state(unlimited.connector))
                yield connection
            finally:
                await connection.close()
        finally:
            await unlimited.engine.dispose()

    async def drop(self) -> None:
        """Close the idle connections, without waiting for the server."""
        for share in self._shares:
            await share.drop()

    async def close(self) -> None:
        """Close idle connections. Later use opens new ones."""
        for share in self._shares:
            await share.close()
        await self.engine.dispose()


def session_on(connection: AsyncConnection, driver: Any) -> AsyncSession:
    """Returns a session for a connection and the driver's own connection below it.

    The transaction must have begun on that one before a `Query` runs in the session.
    """
    return AsyncSession(connection, expire_on_commit=False, info={DRIVER: driver})


def _no_session_state(connector: Connector) -> str:
    if not connector.pooler_detected:
        return NO_SESSION_STATE
    options = ["options"] if connector.url.options else []
    # PgBouncer tracks the time zone itself, and would reject its name here.
    names = [name for name in connector.settings if name != "timezone"]
    return NO_SESSION_STATE_WITH_REFUSED_SETTINGS.format(names=", ".join([*names, *options]))


async def _is_pooled(connection: AsyncConnection) -> bool:
    raw = await connection.get_raw_connection()
    return is_pooled(raw.driver_connection)


async def _rows(
    reserved: ReservedConnection, statement: Executable, parameters: dict[str, Any] | None
) -> Sequence[Row[*tuple[Any, ...]]]:
    if not is_pooled(reserved.driver):
        return (await reserved.connection.execute(statement, parameters)).all()
    async with reserved.driver.transaction():
        return (await reserved.connection.execute(statement, parameters)).all()


async def _commit(driver: Any) -> None:
    if driver.is_closed():
        raise ConnectionLost("the connection was lost before the commit")
    try:
        done = await driver.execute(COMMIT)
    except Exception as error:
        remove_values(error)
        if sqlstate(error).startswith(INTEGRITY_VIOLATION):
            # Of a deferred constraint: it was rolled back.
            raise
        # A conflict rolled it back. Any other error may have come before or after the commit.
        outage = outage_from(error)
        if outage is None or is_lost(error):
            raise CommitUnknown(f"during the commit: {error}") from error
        raise outage from error
    if done != COMMIT:
        # PostgreSQL answers ROLLBACK, and no error, after a failed statement.
        raise RuntimeError("a statement of this unit of work has failed: nothing was committed")


async def _roll_back(driver: Any, *, hanging: bool) -> None:
    """Roll back; or close the connection if that is not possible, or the server does not answer."""
    if hanging or driver.is_closed():
        driver.terminate()
        return
    rolling_back = asyncio.ensure_future(driver.execute(ROLLBACK))
    try:
        await asyncio.wait({rolling_back}, timeout=ROLLBACK_SECONDS)
    finally:
        if not _succeeded(rolling_back):
            rolling_back.cancel()
            driver.terminate()


def _succeeded(task: asyncio.Future[Any]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
