"""Runs migrations on the database of the settings, one runner at a time, while others use it."""

import asyncio
import logging
from collections.abc import Sequence

from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from alembic import context
from app.database.after_upgrade import (
    CREATE_EXTENSION,
    CREATE_SEARCH_INDEX,
    FIX_SEARCH_PATHS,
    SEARCH_INDEX,
    run_last_steps,
)
from app.database.base import Base
from app.database.errors import sqlstate
from app.database.migration_limits import LIMITS, STATEMENT_TIMEOUT
from app.database.migration_lock import BLOCKING_CHECK_SECONDS, migration_engine
from app.database.migration_table import (
    FORMER_TABLE,
    OBJECTS_OF_REVISIONS,
    TABLE,
    adopt_former_revision,
    check_schema,
    former_revision,
    statements_to_start_at,
)
from app.errors import MigrationBlocked
from app.modules import read_settings

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


def _url() -> str:
    url = context.config.attributes.get("url") or read_settings().database_url
    if url is None:
        msg = "DATABASE_URL is not set; `portico db upgrade` also knows the embedded database"
        raise SystemExit(msg)
    return url if isinstance(url, str) else url.get_secret_value()


async def _run(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        is_newest = await connection.run_sync(migrate)
        await connection.commit()
    return is_newest


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


async def main() -> None:
    attributes = context.config.attributes
    seconds = attributes.get("look_seconds", BLOCKING_CHECK_SECONDS)
    async with migration_engine(_url(), seconds) as engine:
        if await _run_with_retries(engine):
            attributes["last_steps"] = await run_last_steps(
                engine, attributes.get("grant_to", ()), retention=attributes.get("retention", False)
            )


if context.is_offline_mode():
    _print_sql()
else:
    asyncio.run(main())
