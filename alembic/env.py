"""Runs migrations on the database of the settings, one runner at a time, while others use it."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from alembic import context
from app.database.after_upgrade import (
    CREATE_EXTENSION,
    CREATE_INDEX,
    FIX_SEARCH_PATHS,
    SEARCH_INDEX,
    fix_search_paths,
    make_search_index,
)
from app.database.base import Base
from app.database.connection_pools import NoPool
from app.database.connector import UNPREPARED, Connector
from app.database.database import settings_of
from app.database.errors import sqlstate
from app.database.grants import grant_on, renew
from app.database.migration_table import (
    FORMER_TABLE,
    MADE,
    TABLE,
    check_schema,
    former_revision,
    starting_at,
    take_over,
)
from app.database.online_ddl import LIMITS, STATEMENT_TIMEOUT
from app.database.outages import outages
from app.database.url import read
from app.errors import MigrationBlocked
from app.modules import read_settings

# Any constant will do, as long as nobody else locks it: "portico" in ASCII.
MIGRATION_LOCK = 0x706F727469636F
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
# Any statement without a snapshot will do: the one before keeps its own until the next one comes.
LET_GO = LIMITS[0]
TURN_SECONDS = 0.2
# An index that is built concurrently waits for transactions and not for locks: no limit ends that.
LOOK_SECONDS: float = context.config.attributes.get("look_seconds", 5)
IN_THE_WAY = text("""
    SELECT DISTINCT other.pid, other.usename AS role, other.application_name AS program
    FROM pg_stat_activity own, unnest(pg_blocking_pids(own.pid)) AS blocking
    JOIN pg_stat_activity other ON other.pid = blocking
    WHERE own.application_name = 'portico migrations' AND own.datname = current_database()
    ORDER BY other.pid
""")
# Seconds until the next try: a minute in all, in which a transaction that is in the way may end.
PAUSES: Sequence[float] = context.config.attributes.get("pauses", (1, 2, 4, 8, 15, 30))
# Waited too long for a lock, or in a circle with others.
LOCK_FAILURES = ("55P03", "40P01")
# Kept others out for too long; so it would the next time.
TOO_SLOW = "57014"

log = logging.getLogger("app.migrations")


class LockedOut(MigrationBlocked):
    """Somebody else holds a lock that a migration needs."""


class Printed(PostgresqlImpl):
    """What `--sql` prints has the limits that hold when it is run here."""

    __dialect__ = "postgresql"

    def emit_begin(self) -> None:
        super().emit_begin()
        for limit in LIMITS:
            self.static_output(f"{limit};\n")


def migrate(connection: Connection) -> bool:
    """Run the migrations; returns whether the database is at the newest revision then."""
    _configure(connection, TABLE)
    reads_only = context.get_context().opts.get("dont_mutate", False)
    # In a transaction that is over before Alembic begins those of the migrations.
    with connection.begin():
        former = former_revision(connection)
        if not reads_only:
            check_schema(connection, FORMER_TABLE if former else TABLE)
            if former:
                take_over(connection, former)
    if former and reads_only:
        _configure(connection, FORMER_TABLE)
    with context.begin_transaction():
        context.run_migrations()
    current = set(context.get_context().get_current_heads())
    return not reads_only and current == set(context.script.get_heads())


def _configure(connection: Connection, table: str) -> None:
    context.configure(
        connection=connection,
        version_table=table,
        target_metadata=Base.metadata,
        compare_type=True,
        include_name=_is_ours,
        transaction_per_migration=True,
    )


def _print() -> None:
    # The driver decides whether percent signs are doubled.
    context.configure(
        url="postgresql+asyncpg://",
        version_table=TABLE,
        literal_binds=True,
        transaction_per_migration=True,
    )
    start = context.get_starting_revision_argument()
    if isinstance(start, str) and start in MADE:
        for statement in starting_at(start):
            context.execute(statement)
    with context.begin_transaction():
        context.run_migrations()
    is_whole = not context.config.attributes.get("migrations_only")
    if is_whole and set(context.get_revision_argument() or ()) >= set(context.script.get_heads()):
        # Last, since it is for servers that have the extension.
        for statement in (FIX_SEARCH_PATHS, CREATE_EXTENSION, CREATE_INDEX.format(schema="")):
            context.execute(statement)


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out the tables of the library that keeps the queue, and what not every server has."""
    if kind == "table" and name:
        return not name.startswith("pgqueuer") and name != FORMER_TABLE
    return name != SEARCH_INDEX


def _limit(connection: Connection) -> None:
    """Outside of transactions there is no limit: what stands there keeps nobody waiting."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        for limit in LIMITS:
            connection.exec_driver_sql(limit)


def _engine() -> AsyncEngine:
    url = context.config.attributes.get("url") or read_settings().database_url
    if url is None:
        msg = "DATABASE_URL is not set; `portico db upgrade` also knows the embedded database"
        raise SystemExit(msg)
    address = url if isinstance(url, str) else url.get_secret_value()
    connector = Connector(read(address, os.environ), "portico migrations", settings_of(None))
    engine = connector.engine(
        NoPool,
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


async def _run(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        is_newest = await connection.run_sync(migrate)
        await connection.commit()
    return is_newest


async def _complete(engine: AsyncEngine) -> None:
    """Do what every upgrade ends with, and hand on what is missing."""
    async with engine.begin() as connection:
        await connection.run_sync(fix_search_paths)
    context.config.attributes["note"] = await make_search_index(engine)
    context.config.attributes["warnings"] = await _let_serve(engine)


async def _let_serve(engine: AsyncEngine) -> list[str]:
    """Give roles what serving takes; returns what they can do beyond it."""
    asked = context.config.attributes
    roles = asked.get("grant_to", ())
    async with engine.begin() as connection:
        renewed = await renew(connection, leave_out=roles)
        given = await grant_on(connection, roles, retention=asked["retention"]) if roles else []
    return [str(excess) for excess in (*renewed, *given)]


async def _run_patiently(engine: AsyncEngine) -> bool:
    """Try again where somebody was in the way: what was done so far is not done again.

    Returns whether the database is at the newest revision then.

    Raises:
        MigrationBlocked: somebody still is.

    """
    for pause in PAUSES:
        try:
            return await _run_within_limits(engine)
        except LockedOut:
            log.warning("A migration could not get a lock in time. Again in %s s.", pause)
            await asyncio.sleep(pause)
    return await _run_within_limits(engine)


async def _run_within_limits(engine: AsyncEngine) -> bool:
    try:
        return await _run(engine)
    except DBAPIError as error:
        if sqlstate(error) == TOO_SLOW:
            raise MigrationBlocked(
                f"The database could not be migrated: a change took more than "
                f"{STATEMENT_TIMEOUT}, in which others wait. It was undone. Run this again "
                "when less is going on."
            ) from error
        if sqlstate(error) in LOCK_FAILURES:
            raise LockedOut(
                "The database could not be migrated: a long transaction holds a lock that is "
                "needed. Run this again when it is over."
            ) from error
        raise


async def _name_whoever_is_in_the_way(engine: AsyncEngine) -> None:
    """Say once of each session that a migration waits for its transaction to end."""
    asking = engine.execution_options(isolation_level="AUTOCOMMIT")
    named: set[int] = set()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        async with asking.connect() as connection:
            found = (await connection.execute(IN_THE_WAY)).all()
        for session in found:
            if session.pid not in named:
                log.warning(
                    "Waiting for the transaction of process %d to end (role %s, program %s).",
                    *session,
                )
        named |= {session.pid for session in found}


@asynccontextmanager
async def _naming_whoever_is_in_the_way(engine: AsyncEngine) -> AsyncGenerator[None]:
    naming = asyncio.create_task(_name_whoever_is_in_the_way(engine))
    try:
        yield
    finally:
        naming.cancel()
        await asyncio.gather(naming, return_exceptions=True)


async def main() -> None:
    engine = _engine()
    try:
        with outages():
            async with _turn(engine), _naming_whoever_is_in_the_way(engine):
                if await _run_patiently(engine):
                    await _complete(engine)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    _print()
else:
    asyncio.run(main())
