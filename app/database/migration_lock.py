"""Lets one process at a time migrate a database, and logs what it waits for."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.connection_pools import NoPool
from app.database.connector import WITHOUT_PREPARED_STATEMENTS, Connector
from app.database.database import session_settings
from app.database.libpq.database_url import read_database_url
from app.database.migration_limits import LIMITS
from app.database.outages import raise_outages

# The advisory lock of migrations: "portico" in ASCII.
MIGRATION_LOCK = 0x706F727469636F
TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
# A transaction keeps the snapshot of its last statement; one like this has none.
WITHOUT_SNAPSHOT = LIMITS[0]
LOCK_RETRY_SECONDS = 0.2
# CREATE INDEX CONCURRENTLY waits for transactions, not for locks, so no timeout ends it.
BLOCKING_CHECK_SECONDS = 5.0
BLOCKING_SESSIONS = text("""
    SELECT DISTINCT other.pid, other.usename AS role, other.application_name AS program
    FROM pg_stat_activity own, unnest(pg_blocking_pids(own.pid)) AS blocking
    JOIN pg_stat_activity other ON other.pid = blocking
    WHERE own.application_name = 'portico migrations' AND own.datname = current_database()
    ORDER BY other.pid
""")

log = logging.getLogger("app.migrations")


@asynccontextmanager
async def migration_engine(
    url: str, blocking_check_seconds: float = BLOCKING_CHECK_SECONDS
) -> AsyncGenerator[AsyncEngine]:
    """Yield an engine for migrations once no other process migrates this database.

    Logs the sessions that block them.

    Raises:
        Unavailable: the database does not answer.

    """
    engine = _engine(url)
    try:
        with raise_outages():
            async with _migration_lock(engine), _logging(engine, blocking_check_seconds):
                yield engine
    finally:
        await engine.dispose()


def _engine(url: str) -> AsyncEngine:
    connector = Connector(
        read_database_url(url, os.environ), "portico migrations", session_settings(None)
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


def _set_limits(connection: Connection) -> None:
    """Set timeouts in transactions; statements outside of transactions block no others."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        for limit in LIMITS:
            connection.exec_driver_sql(limit)


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


@asynccontextmanager
async def _logging(engine: AsyncEngine, seconds: float) -> AsyncGenerator[None]:
    logging_task = asyncio.create_task(_log_blocking_sessions(engine, seconds))
    try:
        yield
    finally:
        logging_task.cancel()
        await asyncio.gather(logging_task, return_exceptions=True)


async def _log_blocking_sessions(engine: AsyncEngine, seconds: float) -> None:
    """Log each session that blocks a migration, once."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    logged: set[int] = set()
    while True:
        await asyncio.sleep(seconds)
        async with autocommit.connect() as connection:
            found = (await connection.execute(BLOCKING_SESSIONS)).all()
        for session in found:
            if session.pid not in logged:
                log.warning(
                    "Waiting for the transaction of process %d to end (role %s, program %s).",
                    *session,
                )
        logged |= {session.pid for session in found}
