"""The engine, units of work and the declarative base. Models and statements live elsewhere."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, ClassVar

from asyncpg.exceptions import QueryCanceledError  # pyright: ignore[reportMissingTypeStubs] - it has none
from sqlalchemy import DateTime, Executable, MetaData, Row, Select, Text, make_url
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase

from app.errors import Unavailable

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
CONNECT_SECONDS = 5
KEPT_FREE = 2
POOL_WAIT_SECONDS = 5
STATEMENT_MILLISECONDS = 10_000


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: DateTime(timezone=True), str: Text}


def async_url(text: str) -> URL:
    """Accept the URL as hosts hand it out: any `postgres` scheme, libpq's `sslmode`."""
    url = make_url(text)
    query = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=query)


def connect(text: str, *, pool_size: int) -> AsyncEngine:
    """Make the engine; nothing is opened until it is used."""
    return create_async_engine(
        async_url(text),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_SECONDS,
        pool_recycle=3600,
        # Statements are logged when they fail; what they carried is addresses and hashes.
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "server_settings": {
                "application_name": "portico",
                "statement_timeout": str(STATEMENT_MILLISECONDS),
                "idle_in_transaction_session_timeout": str(STATEMENT_MILLISECONDS),
                "timezone": "UTC",
                # Generic plans at once: the hot statements have one good plan, planning them costs
                # more than they do.
                "jit": "off",
            },
        },
    )


class ConnectionLost(Unavailable):
    """The connection died under a read."""


class Query:
    """A SELECT with its parameters by name, compiled once, for what runs all the time.

    Half of what such a read costs is building and looking up the statement and adapting the
    driver's rows; the driver itself keeps it prepared.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        compiled = statement.compile(dialect=asyncpg.dialect())
        self.sql = str(compiled)
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())


class Database:
    """Units of work for services: `begin()` to change something, `fetch()` and `rows()` to read."""

    def __init__(self, engine: AsyncEngine, *, pool_size: int) -> None:
        self.engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        # A lone SELECT needs no BEGIN and ROLLBACK around it: two round trips less.
        self._reads = engine.execution_options(isolation_level="AUTOCOMMIT")
        # Pages wait for each other here, not in the pool: waiting there costs more than the page,
        # and a crowd of pages would keep out the writes, and the one read that every request needs.
        self._lanes = asyncio.Semaphore(max(1, pool_size - KEPT_FREE))

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """One transaction: returning commits, raising rolls back."""
        return self._sessions.begin()

    async def fetch(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """Run a compiled SELECT on the driver itself, when it is its turn."""
        if not self._lanes.locked():
            async with self._lanes:
                return await self.fetch_now(query, **values)
        try:
            async with asyncio.timeout(POOL_WAIT_SECONDS):
                await self._lanes.acquire()
        except TimeoutError:
            raise Unavailable("no connection became free in time") from None
        try:
            return await self.fetch_now(query, **values)
        finally:
            self._lanes.release()

    async def fetch_now(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """As `fetch`, before all that wait their turn."""
        arguments = [values[name] for name in query.names]
        try:
            return await self._fetch(query.sql, arguments)
        except ConnectionLost:
            # After a restart of the database every idle connection is like this one: start anew.
            await self.engine.dispose()
            return await self._fetch(query.sql, arguments)

    async def _fetch(self, sql: str, arguments: list[Any]) -> list[Sequence[Any]]:
        async with self._reads.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                return await driver.fetch(sql, *arguments)
            except QueryCanceledError as error:
                raise Unavailable("a statement took too long") from error
            except BaseException as error:
                # The pool has not seen what happened: a connection in doubt must not go back to it.
                if not driver.is_closed():
                    raise
                await connection.invalidate()
                raise ConnectionLost from error

    async def rows(
        self, statement: Executable, parameters: dict[str, Any] | None = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Read with one statement on a connection that goes back at once."""
        async with self._reads.connect() as connection:
            return (await connection.execute(statement, parameters)).all()
