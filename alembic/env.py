"""Runs migrations on the database of the settings, one runner at a time, while others use it."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import Connection, event, pool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from alembic import context
from app.config import Settings
from app.connector import UNPREPARED, Connector
from app.database_url import read
from app.db import settings_of
from app.errors import Hindered
from app.models import User
from app.online import LIMITS, STATEMENT_TIMEOUT
from app.outages import sqlstate

# Any constant will do, as long as nobody else locks it: "portico" in ASCII.
MIGRATION_LOCK = 0x706F727469636F
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
# Any statement without a snapshot will do: the one before keeps its own until the next one comes.
LET_GO = LIMITS[0]
TURN_SECONDS = 0.2
# Seconds until the next try: a minute in all, in which a transaction that is in the way may end.
PAUSES: Sequence[float] = context.config.attributes.get("pauses", (1, 2, 4, 8, 15, 30))
# Waited too long for a lock, or in a circle with others.
LOCKED_OUT = ("55P03", "40P01")
# Kept others out for too long; so it would the next time.
TOO_SLOW = "57014"
# Made where the server has pg_trgm.
SEARCH = "ix_users_search"

log = logging.getLogger("app.migrations")


class Printed(PostgresqlImpl):
    """What `--sql` prints has the limits that hold when it is run here."""

    __dialect__ = "postgresql"

    def emit_begin(self) -> None:
        super().emit_begin()
        for limit in LIMITS:
            self.static_output(f"{limit};\n")


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=User.metadata,
        compare_type=True,
        include_name=_is_ours,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _print() -> None:
    # The driver decides whether percent signs are doubled.
    context.configure(
        url="postgresql+asyncpg://", literal_binds=True, transaction_per_migration=True
    )
    with context.begin_transaction():
        context.run_migrations()


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out the tables of the library that keeps the queue, and what not every server has."""
    return not (kind == "table" and name and name.startswith("pgqueuer")) and name != SEARCH


def _limit(connection: Connection) -> None:
    """Outside of transactions there is no limit: what stands there keeps nobody waiting."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        for limit in LIMITS:
            connection.exec_driver_sql(limit)


def _engine() -> AsyncEngine:
    url = context.config.attributes.get("url") or Settings().database_url
    if url is None:
        msg = "DATABASE_URL is not set; `portico db upgrade` also knows the embedded database"
        raise SystemExit(msg)
    address = url if isinstance(url, str) else url.get_secret_value()
    connector = Connector(read(address, os.environ), "portico migrations", settings_of(None))
    engine = connector.engine(
        poolclass=pool.NullPool,
        # Any other would keep a snapshot, for which CREATE INDEX CONCURRENTLY waits: for ourselves.
        isolation_level="READ COMMITTED",
        # Each runs once: there is nothing to keep, which a pooler could lose.
        connect_args={**UNPREPARED},
    )
    event.listen(engine.sync_engine, "begin", _limit)
    return engine


@asynccontextmanager
async def _turn(engine: AsyncEngine) -> AsyncGenerator[None]:
    """Wait for a runner that came first, and keep others waiting; over also when this one dies.

    In a transaction of its own, since migrations commit in between, and a pooler keeps the lock of
    a transaction only. CREATE INDEX CONCURRENTLY waits for every transaction that it finds with a
    snapshot until it is over, so whoever does not get the lock ends theirs and begins another one.
    """
    async with engine.connect() as connection:
        while not await connection.scalar(TRY_LOCK, {"lock": MIGRATION_LOCK}):
            await connection.rollback()
            await asyncio.sleep(TURN_SECONDS)
        await connection.exec_driver_sql(LET_GO)
        yield


async def _run(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
        await connection.commit()


async def _run_patiently(engine: AsyncEngine) -> None:
    """Try again where somebody was in the way: what was done so far is not done again.

    Raises:
        Hindered: somebody still is.

    """
    for pause in (*PAUSES, None):
        try:
            return await _run(engine)
        except DBAPIError as error:
            if sqlstate(error) == TOO_SLOW:
                raise Hindered(
                    f"The database could not be migrated: a change took more than "
                    f"{STATEMENT_TIMEOUT}, in which others wait. It was undone. Run this again "
                    "when less is going on."
                ) from error
            if sqlstate(error) not in LOCKED_OUT:
                raise
            if pause is None:
                raise Hindered(
                    "The database could not be migrated: a long transaction holds a lock that is "
                    "needed. Run this again when it is over."
                ) from error
            log.warning("A migration could not get a lock in time. Again in %s s.", pause)
            await asyncio.sleep(pause)
    return None


async def main() -> None:
    engine = _engine()
    try:
        async with _turn(engine):
            await _run_patiently(engine)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    _print()
else:
    asyncio.run(main())
