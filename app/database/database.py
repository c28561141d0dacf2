"""Connects to the database, and runs units of work (transactions) and reads."""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Executable, Row, Select, event
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.exc import DisconnectionError, IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
)

from app.database.connector import Connector, is_pooled
from app.database.fair_semaphore import FairSemaphore
from app.database.libpq.database_url import read_database_url
from app.database.outages import is_lost, outage_from, raise_outages, remove_values
from app.database.read_pool import ReadPool
from app.database.statements import count_and_trace
from app.errors import CommitUnknown, Misconfigured

URGENT_READS = 2
POOL_WAIT_SECONDS = 5
STATEMENT_SECONDS = 10.0
# A server that does not report the timeout of a statement this much later is gone.
ANSWER_SECONDS = 2
ROLLBACK_SECONDS = 3
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
    """A SELECT with named parameters, compiled once, for reads that run often.

    Building and looking up the statement and adapting the driver's rows would double the cost of
    such a read. The driver keeps it prepared, so the database may keep one plan for all values,
    unless `plan_depends_on_values`.
    """

    def __init__(
        self, statement: Select[*tuple[Any, ...]], *, plan_depends_on_values: bool = False
    ) -> None:
        compiled = statement.compile(dialect=asyncpg.dialect())
        self.sql = str(compiled)
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self.plan_depends_on_values = plan_depends_on_values


class Database:
    """Units of work for services: `begin()` to change something, `fetch()` and `rows()` to read.

    Two of its connections are for `fetch_now`, half of the others for `fetch`, the rest for all
    else: many pages at once block neither the one read that every request needs nor the writes.
    Each of these gives its connections to those who have waited longest. SQLAlchemy's pool gives a
    returned connection to whoever asks next, so that under load a waiting request may get none.
    """

    def __init__(self, link: Link, *, pool_size: int) -> None:
        self._connector, self.engine = link
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._urgent_reads = ReadPool(self.engine, URGENT_READS)
        reads = (pool_size - URGENT_READS) // 2
        self._reads = ReadPool(self.engine, reads)
        self._permits = FairSemaphore(pool_size - URGENT_READS - reads, POOL_WAIT_SECONDS)

    @property
    def connections_in_use(self) -> int:
        """How many connections are in use, or reserved for reads."""
        pool: Any = self.engine.pool
        return pool.checkedout()

    @property
    def fetched_statements(self) -> int:
        """How many statements `fetch` and `fetch_now` have sent."""
        return self._urgent_reads.statements + self._reads.statements

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncSession]:
        """Run one transaction: returning commits, raising rolls back.

        Raises:
            Unavailable: the database could not do it; nothing was done.
            CommitUnknown: the connection broke during the commit.

        """
        async with self._permits:
            session = self._sessions()
            try:
                with raise_outages():
                    yield session
                    await session.flush()
                await _commit(session)
            except BaseException as error:
                await _roll_back(session, hanging=isinstance(error.__cause__, TimeoutError))
                raise
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

    async def rows(
        self, statement: Executable, parameters: dict[str, Any] | None = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Read with one statement, on a connection that is returned to the pool at once."""
        with raise_outages():
            async with self._autocommit_connection() as connection:
                try:
                    return (await connection.execute(statement, parameters)).all()
                except TimeoutError:
                    # The server does not answer: do not reuse the connection.
                    await connection.invalidate()
                    raise

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[AsyncConnection]:
        """A connection in a transaction that is rolled back, for other uses than units of work."""
        async with self._permits, self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def _autocommit_connection(self) -> AsyncGenerator[AsyncConnection]:
        """A connection for one statement, which is committed."""
        async with self.connection() as connection:
            if not await _is_pooled(connection):
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection
            await connection.commit()

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
        """Close the idle connections for reads, without waiting for the server."""
        await self._urgent_reads.drop()
        await self._reads.drop()

    async def close(self) -> None:
        """Close idle connections. Later use opens new ones."""
        await self._urgent_reads.close()
        await self._reads.close()
        await self.engine.dispose()


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


async def _commit(session: AsyncSession) -> None:
    try:
        await session.commit()
    except IntegrityError as error:
        remove_values(error)
        raise
    except Exception as error:
        remove_values(error)
        # A conflict rolled it back. Any other error may have come before or after the commit.
        outage = outage_from(error)
        if outage is None or is_lost(error):
            raise CommitUnknown(f"during the commit: {error}") from error
        raise outage from error


async def _roll_back(session: AsyncSession, *, hanging: bool) -> None:
    """Roll back; or close the connection if the server does not answer, which would hang."""
    if hanging:
        await session.invalidate()
        return
    closing = asyncio.ensure_future(session.close())
    done, _ = await asyncio.wait({closing}, timeout=ROLLBACK_SECONDS)
    if not done:
        closing.cancel()
    # The earlier error is the one to report.
    await asyncio.gather(closing, return_exceptions=True)
