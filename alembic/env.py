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
    CREATE_SEARCH_INDEX,
    FIX_SEARCH_PATHS,
    SEARCH_INDEX,
    build_search_index,
    fix_search_paths,
)
from app.database.base import Base
from app.database.connection_pools import NoPool
from app.database.connector import WITHOUT_PREPARED_STATEMENTS, Connector
from app.database.database import session_settings
from app.database.errors import sqlstate
from app.database.grants import grant_on, renew_grants
from app.database.libpq.database_url import read_database_url
from app.database.migration_table import (
    FORMER_TABLE,
    OBJECTS_OF_REVISIONS,
    TABLE,
    adopt_former_revision,
    check_schema,
    former_revision,
    statements_to_start_at,
)
from app.database.online_ddl import LIMITS, STATEMENT_TIMEOUT
from app.database.outages import raise_outages
from app.errors import MigrationBlocked
from app.modules import read_settings

# The advisory lock of migrations: "portico" in ASCII.
MIGRATION_LOCK = 0x706F727469636F
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
# A transaction keeps the snapshot of its last statement; one like this has none.
WITHOUT_SNAPSHOT = LIMITS[0]
LOCK_RETRY_SECONDS = 0.2
# CREATE INDEX CONCURRENTLY waits for transactions, not for locks, so no timeout ends it.
BLOCKING_CHECK_SECONDS: float = context.config.attributes.get("look_seconds", 5)
BLOCKING_SESSIONS = text("""
    SELECT DISTINCT other.pid, other.usename AS role, other.application_name AS program
    FROM pg_stat_activity own, unnest(pg_blocking_pids(own.pid)) AS blocking
    JOIN pg_stat_activity other ON other.pid = blocking
    WHERE own.application_name = 'portico migrations' AND own.datname = current_database()
    ORDER BY other.pid
""")
# Seconds until the next try: a minute in all, in which a blocking transaction may end.
RETRY_PAUSES: Sequence[float] = context.config.attributes.get("pauses", (1, 2, 4, 8, 15, 30))
# Lock timeout, and deadlock.
LOCK_FAILURES = ("55P03", "40P01")
# Statement timeout: it blocked others for too long, and would again.
STATEMENT_TIMED_OUT = "57014"

log = logging.getLogger("app.migrations")


class LockNotAvailable(MigrationBlocked):
    """Another transaction holds a lock that a migration needs."""


class PrintedWithLimits(PostgresqlImpl):
    """Prints, with `--sql`, the same timeouts that are set when migrations run here."""

    __dialect__ = "postgresql"

    def emit_begin(self) -> None:
        super().emit_begin()
        for limit in LIMITS:
            self.static_output(f"{limit};\n")


def migrate(connection: Connection) -> bool:
    """Run the migrations; returns whether the database is then at the newest revision."""
    _configure(connection, TABLE)
    reads_only = context.get_context().opts.get("dont_mutate", False)
    # In a transaction that ends before Alembic begins the transactions of the migrations.
    with connection.begin():
        former = former_revision(connection)
        if not reads_only:
            check_schema(connection, FORMER_TABLE if former else TABLE)
            if former:
                adopt_former_revision(connection, former)
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


def _print_sql() -> None:
    # The driver decides whether percent signs are doubled.
    context.configure(
        url="postgresql+asyncpg://",
        version_table=TABLE,
        literal_binds=True,
        transaction_per_migration=True,
    )
    start = context.get_starting_revision_argument()
    if isinstance(start, str) and start in OBJECTS_OF_REVISIONS:
        for statement in statements_to_start_at(start):
            context.execute(statement)
    with context.begin_transaction():
        context.run_migrations()
    is_whole = not context.config.attributes.get("migrations_only")
    if is_whole and set(context.get_revision_argument() or ()) >= set(context.script.get_heads()):
        # Last, since it fails on a server without the extension.
        for statement in (
            FIX_SEARCH_PATHS,
            CREATE_EXTENSION,
            CREATE_SEARCH_INDEX.format(schema=""),
        ):
            context.execute(statement)


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Exclude the tables of PgQueuer, and the search index, which not every server has."""
    if kind == "table" and name:
        return not name.startswith("pgqueuer") and name != FORMER_TABLE
    return name != SEARCH_INDEX


def _set_limits(connection: Connection) -> None:
    """Set timeouts in transactions; statements outside of transactions block no others."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        for limit in LIMITS:
            connection.exec_driver_sql(limit)


def _engine() -> AsyncEngine:
    url = context.config.attributes.get("url") or read_settings().database_url
    if url is None:
        msg = "DATABASE_URL is not set; `portico db upgrade` also knows the embedded database"
        raise SystemExit(msg)
    address = url if isinstance(url, str) else url.get_secret_value()
    connector = Connector(
        read_database_url(address, os.environ), "portico migrations", session_settings(None)
    )
    engine = connector.engine(
        NoPool,
        # Others keep a snapshot, so CREATE INDEX CONCURRENTLY would wait for our own transaction.
        isolation_level="READ COMMITTED",
        # Each statement runs once, and a pooler could lose prepared statements.
        connect_args={**WITHOUT_PREPARED_STATEMENTS},
    )
    event.listen(engine.sync_engine, "begin", _set_limits)
    return engine


@asynccontextmanager
async def _migration_lock(engine: AsyncEngine) -> AsyncGenerator[None]:
    """Hold the advisory lock of migrations, so that one process runs them at a time.

    It is released even if this process dies. It is held by a separate transaction, since migrations
    commit in between, and a pooler keeps locks of transactions only. CREATE INDEX CONCURRENTLY
    waits for every transaction with a snapshot, so a process that waits for the lock begins a new
    transaction for each try.
    """
    async with engine.connect() as connection:
        while not await connection.scalar(TRY_LOCK, {"lock": MIGRATION_LOCK}):
            await connection.rollback()
            await asyncio.sleep(LOCK_RETRY_SECONDS)
        await connection.exec_driver_sql(WITHOUT_SNAPSHOT)
        yield


async def _run(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        is_newest = await connection.run_sync(migrate)
        await connection.commit()
    return is_newest


async def _after_upgrade(engine: AsyncEngine) -> None:
    """Run the last steps of every upgrade; notes and warnings go into the attributes."""
    async with engine.begin() as connection:
        await connection.run_sync(fix_search_paths)
    context.config.attributes["note"] = await build_search_index(engine)
    context.config.attributes["warnings"] = await _grant_privileges(engine)


async def _grant_privileges(engine: AsyncEngine) -> list[str]:
    """Grant roles the privileges for serving; returns excess ones that remain."""
    attributes = context.config.attributes
    roles = attributes.get("grant_to", ())
    async with engine.begin() as connection:
        renewed = await renew_grants(connection, leave_out=roles)
        granted = (
            await grant_on(connection, roles, retention=attributes["retention"]) if roles else []
        )
    return [str(excess) for excess in (*renewed, *granted)]


async def _run_with_retries(engine: AsyncEngine) -> bool:
    """Run the migrations, and retry if a lock was not available; completed ones are not repeated.

    Returns whether the database is then at the newest revision.

    Raises:
        MigrationBlocked: a lock is still not available, or a change took too long.

    """
    for pause in RETRY_PAUSES:
        try:
            return await _run_within_limits(engine)
        except LockNotAvailable:
            log.warning("A migration could not get a lock in time. Trying again in %s s.", pause)
            await asyncio.sleep(pause)
    return await _run_within_limits(engine)


async def _run_within_limits(engine: AsyncEngine) -> bool:
    try:
        return await _run(engine)
    except DBAPIError as error:
        if sqlstate(error) == STATEMENT_TIMED_OUT:
            raise MigrationBlocked(
                f"The database could not be migrated: a change took more than "
                f"{STATEMENT_TIMEOUT}, while others wait. It was rolled back. Run this again "
                "when there is less load."
            ) from error
        if sqlstate(error) in LOCK_FAILURES:
            raise LockNotAvailable(
                "The database could not be migrated: a long transaction holds a lock that is "
                "needed. Run this again when it has ended."
            ) from error
        raise


async def _log_blocking_sessions(engine: AsyncEngine) -> None:
    """Log each session that blocks a migration, once."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    logged: set[int] = set()
    while True:
        await asyncio.sleep(BLOCKING_CHECK_SECONDS)
        async with autocommit.connect() as connection:
            found = (await connection.execute(BLOCKING_SESSIONS)).all()
        for session in found:
            if session.pid not in logged:
                log.warning(
                    "Waiting for the transaction of process %d to end (role %s, program %s).",
                    *session,
                )
        logged |= {session.pid for session in found}


@asynccontextmanager
async def _logging_blocking_sessions(engine: AsyncEngine) -> AsyncGenerator[None]:
    logging_task = asyncio.create_task(_log_blocking_sessions(engine))
    try:
        yield
    finally:
        logging_task.cancel()
        await asyncio.gather(logging_task, return_exceptions=True)


async def main() -> None:
    engine = _engine()
    try:
        with raise_outages():
            async with _migration_lock(engine), _logging_blocking_sessions(engine):
                if await _run_with_retries(engine):
                    await _after_upgrade(engine)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    _print_sql()
else:
    asyncio.run(main())
