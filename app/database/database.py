"""The engine and units of work."""

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
from app.database.outages import forget_values, is_lost, outage_of, outages
from app.database.read_pool import ReadPool
from app.database.statements import observe
from app.database.url import read
from app.errors import CommitUnknown, Misconfigured

URGENT_READS = 2
POOL_WAIT_SECONDS = 5
STATEMENT_SECONDS = 10.0
# How much later than that a server must have said that a statement took too long, to be there.
ANSWER_SECONDS = 2
GIVE_UP_SECONDS = 3
NOT_LASTING = (
    "This command keeps a temporary table, and a pooler in transaction mode loses it: for this"
    " command set DATABASE_URL to PostgreSQL itself and leave DATABASE_PREPARED_STATEMENTS unset."
)
REFUSED_SETTINGS = (
    "This command keeps a temporary table, and the pooler refuses start-up parameters, as one in"
    " transaction mode does, which would lose it: for this command set DATABASE_URL to PostgreSQL"
    " itself. If the pooler is in session mode, let it ignore them instead (PgBouncer:"
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
    """Make the engine for a `DATABASE_URL`; nothing is opened until it is used.

    The timeout is that of a statement, and of a transaction that waits for the next one. Without
    `prepared` it is set up for a pooler in transaction mode from the start.

    Raises:
        InvalidDatabaseUrl: the text is not one that can be used.
        Misconfigured: a file that it names cannot be used.

    """
    connector = Connector(
        read(text, os.environ),
        "portico",
        settings_of(timeout_seconds),
        pooled=not prepared,
        statement_seconds=timeout_seconds and timeout_seconds + ANSWER_SECONDS,
    )
    return link(connector, pool_size)


def link(connector: Connector, pool_size: int) -> Link:
    engine = connector.engine(
        pool_size=pool_size, max_overflow=0, pool_timeout=POOL_WAIT_SECONDS, pool_recycle=3600
    )
    event.listen(engine.sync_engine, "checkout", _alive)
    observe(engine)
    return Link(connector, engine)


def settings_of(timeout_seconds: float | None) -> dict[str, str]:
    # To PostgreSQL 0 is no limit.
    milliseconds = str(round((timeout_seconds or 0) * 1000))
    return {
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
        "timezone": "UTC",
        # Generic plans at once: the hot statements have one good plan, planning them costs more
        # than they do.
        "jit": "off",
    }


def _alive(connection: Any, _record: object, _proxy: object) -> None:
    # The database may have ended it while it was idle, which the driver knows without asking: the
    # pool then tries another one, and nobody notices a restart that is over.
    if connection.driver_connection.is_closed():
        raise DisconnectionError


class Query:
    """A SELECT with its parameters by name, compiled once, for what runs all the time.

    Half of what such a read costs is building and looking up the statement and adapting the
    driver's rows; the driver itself keeps it prepared. The database may then keep one plan for all
    values too, unless its plan `plan_depends_on_values`.
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

    Of its connections two are for `fetch_now`, half of the others for `fetch`, the rest for all
    else: a crowd of pages keeps out neither the one read that every request needs nor the writes.
    """

    def __init__(self, link: Link, *, pool_size: int) -> None:
        self._connector, self.engine = link
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._urgent_reads = ReadPool(self.engine, URGENT_READS)
        self._reads = ReadPool(self.engine, (pool_size - URGENT_READS) // 2)

    @property
    def connections_in_use(self) -> int:
        """How many connections are at work, or kept for reads."""
        pool: Any = self.engine.pool
        return pool.checkedout()

    @property
    def fetched_statements(self) -> int:
        """How many statements `fetch` and `fetch_now` have sent."""
        return self._urgent_reads.statements + self._reads.statements

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncSession]:
        """One transaction: returning commits, raising rolls back.

        Raises:
            Unavailable: the database could not do it; nothing was done.
            CommitUnknown: the connection died under the commit.

        """
        session = self._sessions()
        try:
            with outages():
                yield session
                await session.flush()
            await _commit(session)
        except BaseException as error:
            await _give_up(session, hanging=isinstance(error.__cause__, TimeoutError))
            raise
        await session.close()

    async def fetch(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """Run a compiled SELECT on the driver itself, when it is its turn."""
        arguments = [values[name] for name in query.names]
        return await self._reads.fetch(
            query.sql, arguments, custom_plan=query.plan_depends_on_values
        )

    async def fetch_now(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """As `fetch`, before all that wait their turn: at most two of these at once."""
        return await self._urgent_reads.fetch(query.sql, [values[name] for name in query.names])

    async def rows(
        self, statement: Executable, parameters: dict[str, Any] | None = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Read with one statement on a connection that goes back at once."""
        with outages():
            async with self._alone() as connection:
                try:
                    return (await connection.execute(statement, parameters)).all()
                except TimeoutError:
                    # Nobody answers on it: not for the next one to wait on.
                    await connection.invalidate()
                    raise

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[AsyncConnection]:
        """Give a connection for one statement, which commits it."""
        async with self.engine.connect() as connection:
            if not await _is_pooled(connection):
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection
            await connection.commit()

    @asynccontextmanager
    async def unlimited_connection(
        self, *, lasting: bool = False
    ) -> AsyncGenerator[AsyncConnection]:
        """Give a connection without limits, for commands that read or write all there is.

        `lasting` is for what must be there in its next transaction, such as a temporary table.

        Raises:
            Unavailable: there was none to be had.
            Misconfigured: it has to last, and a pooler stands between.

        """
        settings = settings_of(timeout_seconds=None)
        unlimited = link(
            replace(self._connector, settings=settings, statement_seconds=None), pool_size=1
        )
        try:
            with outages():
                connection = await unlimited.engine.connect()
            try:
                if lasting and await _is_pooled(connection):
                    raise Misconfigured(_not_lasting(unlimited.connector))
                yield connection
            finally:
                await connection.close()
        finally:
            await unlimited.engine.dispose()

    async def drop(self) -> None:
        """Close the idle connections that are kept for reads, where the server may not answer."""
        await self._urgent_reads.drop()
        await self._reads.drop()

    async def close(self) -> None:
        """Close what is idle. What is used again afterwards opens anew."""
        await self._urgent_reads.close()
        await self._reads.close()
        await self.engine.dispose()


def _not_lasting(connector: Connector) -> str:
    if not connector.refused:
        return NOT_LASTING
    options = ["options"] if connector.url.options else []
    # PgBouncer follows the time zone, and would not take its name here.
    names = [name for name in connector.settings if name != "timezone"]
    return REFUSED_SETTINGS.format(names=", ".join([*names, *options]))


async def _is_pooled(connection: AsyncConnection) -> bool:
    raw = await connection.get_raw_connection()
    return is_pooled(raw.driver_connection)


async def _commit(session: AsyncSession) -> None:
    try:
        await session.commit()
    except IntegrityError as error:
        forget_values(error)
        raise
    except Exception as error:
        forget_values(error)
        # Lost against another transaction it was rolled back. Anything else may have come after the
        # commit as well as before it.
        outage = outage_of(error)
        if outage is None or is_lost(error):
            raise CommitUnknown(f"under the commit: {error}") from error
        raise outage from error


async def _give_up(session: AsyncSession, *, hanging: bool) -> None:
    """Roll back; or close the line where nobody answers on it, which would hang whoever asks."""
    if hanging:
        await session.invalidate()
        return
    closing = asyncio.ensure_future(session.close())
    done, _ = await asyncio.wait({closing}, timeout=GIVE_UP_SECONDS)
    if not done:
        closing.cancel()
    # What went wrong before is what matters.
    await asyncio.gather(closing, return_exceptions=True)
