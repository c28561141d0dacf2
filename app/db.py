"""The engine, units of work and the declarative base. Models and statements live elsewhere."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, ClassVar

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

from app.readers import Readers

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
AT_ONCE = 2
CONNECT_SECONDS = 5
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


class Query:
    """A SELECT with its parameters by name, compiled once, for what runs all the time.

    Half of what such a read costs is building and looking up the statement and adapting the
    driver's rows; the driver itself keeps it prepared. The database may then keep one plan for all
    values too, unless its plan `hangs_on_values`.
    """

    def __init__(
        self, statement: Select[*tuple[Any, ...]], *, hangs_on_values: bool = False
    ) -> None:
        compiled = statement.compile(dialect=asyncpg.dialect())
        self.sql = str(compiled)
        self.names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self.hangs_on_values = hangs_on_values


class Database:
    """Units of work for services: `begin()` to change something, `fetch()` and `rows()` to read.

    Of its connections two are for `fetch_now`, half of the others for `fetch`, the rest for all
    else: a crowd of pages keeps out neither the one read that every request needs nor the writes.
    """

    def __init__(self, engine: AsyncEngine, *, pool_size: int) -> None:
        self.engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._at_once = Readers(engine, AT_ONCE)
        self._in_turn = Readers(engine, (pool_size - AT_ONCE) // 2)

    @property
    def fetched(self) -> int:
        """How many statements `fetch` and `fetch_now` have sent."""
        return self._at_once.statements + self._in_turn.statements

    def begin(self) -> AbstractAsyncContextManager[AsyncSession]:
        """One transaction: returning commits, raising rolls back."""
        return self._sessions.begin()

    async def fetch(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """Run a compiled SELECT on the driver itself, when it is its turn."""
        arguments = [values[name] for name in query.names]
        return await self._in_turn.fetch(query.sql, arguments, plan_anew=query.hangs_on_values)

    async def fetch_now(self, query: Query, **values: Any) -> list[Sequence[Any]]:
        """As `fetch`, before all that wait their turn: at most two of these at once."""
        return await self._at_once.fetch(query.sql, [values[name] for name in query.names])

    async def rows(
        self, statement: Executable, parameters: dict[str, Any] | None = None
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        """Read with one statement on a connection that goes back at once."""
        async with self._autocommit.connect() as connection:
            return (await connection.execute(statement, parameters)).all()

    async def close(self) -> None:
        """Close what is idle. What is used again afterwards opens anew."""
        await self._at_once.close()
        await self._in_turn.close()
        await self.engine.dispose()
