"""The last steps of every upgrade, which can be repeated: search paths, search index, grants."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.errors import server_message
from app.database.grants import grant_on, renew_grants

# A function runs with the search_path of its caller, whose temporary tables come before ours: with
# one named audit_chains, a role that may delete events could bypass the trigger.
# https://www.postgresql.org/docs/15/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY
# Set after every upgrade, since CREATE OR REPLACE resets it and a schema may be renamed. Functions
# in SQL are left out: only these call them, and PostgreSQL does not inline functions with settings.
FUNCTIONS = (
    "append_audit_event()",
    "keep_audit_event()",
    "check_audit_trim()",
    "check_audit_checkpoint()",
    "check_sealed_with()",
    "keep_revoked_secret()",
    "spend(bytea[], integer[], interval[], timestamptz)",
    "charge_budgets(bytea[], text[], uuid[], integer[], interval[], text[], timestamptz)",
)
FIX_SEARCH_PATHS = f"""
DO $$
DECLARE
    signature text;
    function regprocedure;
    path text := format('%I, pg_temp', current_schema());
BEGIN
    FOREACH signature IN ARRAY ARRAY[{", ".join(f"'{each}'" for each in FUNCTIONS)}] LOOP
        function := to_regprocedure(format('%I.%s', current_schema(), signature));
        CONTINUE WHEN function IS NULL OR EXISTS (
            SELECT FROM pg_proc WHERE oid = function AND 'search_path=' || path = ANY (proconfig)
        );
        EXECUTE format('ALTER FUNCTION %s SET search_path = %s', function, path);
    END LOOP;
END
$$
"""

SEARCH_INDEX = "ix_users_search"
QUALIFIED_INDEX = f"to_regclass(format('%I.{SEARCH_INDEX}', current_schema()))"
CREATE_EXTENSION = "CREATE EXTENSION IF NOT EXISTS pg_trgm"
# The operator class is named with its schema, which need not be on the search_path.
CREATE_SEARCH_INDEX = (
    f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {SEARCH_INDEX} ON users USING gin"
    " ((email || E'\\n' || coalesce(display_name, '')) {schema}gin_trgm_ops)"
)
IS_VALID = text(f"SELECT indisvalid FROM pg_index WHERE indexrelid = {QUALIFIED_INDEX}")  # noqa: S608 - a name of ours
DROP_INDEX = f"DROP INDEX CONCURRENTLY IF EXISTS {SEARCH_INDEX}"
IS_AVAILABLE = text("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')")
SCHEMA_OF_EXTENSION = text(
    "SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace"
    " WHERE extname = 'pg_trgm'"
)
NO_SEARCH_INDEX = (
    "Searches for users read the whole table, because the index is missing: {reason} "
    "Then run `portico db upgrade` again."
)
NOT_AVAILABLE = "the server has no pg_trgm. Install it there (Debian: postgresql-contrib)."
NOT_CREATED = (
    "PostgreSQL says: {message}. Let an administrator of the database run CREATE EXTENSION pg_trgm."
)
NOT_BUILT = "PostgreSQL says: {message}. Grant the missing privilege."


@dataclass(frozen=True, slots=True)
class LastSteps:
    """What the last steps have to report."""

    # Why there is no search index and what to do, or None.
    note: str | None
    # Excess privileges of roles that serve.
    warnings: tuple[str, ...]


async def run_last_steps(
    engine: AsyncEngine, grant_to: Sequence[str] = (), *, retention: bool = False
) -> LastSteps:
    """Run the last steps on a database with all migrations, under the lock of migrations.

    Raises:
        Misconfigured: one of the roles in `grant_to` cannot be granted anything.
        DBAPIError: the database refuses.

    """
    async with engine.begin() as connection:
        await connection.run_sync(_fix_search_paths)
    note = await _build_search_index(engine)
    return LastSteps(note, await _grant_privileges(engine, grant_to, retention=retention))


def _fix_search_paths(connection: Connection) -> None:
    """Make functions in PL/pgSQL use our tables alone, whatever the search_path of the caller."""
    connection.exec_driver_sql(FIX_SEARCH_PATHS)


async def _grant_privileges(
    engine: AsyncEngine, roles: Sequence[str], *, retention: bool
) -> tuple[str, ...]:
    """Grant roles the privileges for serving; returns excess ones that remain."""
    async with engine.begin() as connection:
        renewed = await renew_grants(connection, leave_out=roles)
        granted = await grant_on(connection, roles, retention=retention) if roles else []
    return tuple(str(excess) for excess in (*renewed, *granted))


async def _build_search_index(engine: AsyncEngine) -> str | None:
    """Build the trigram index for searches, if it is missing and the server has pg_trgm.

    Others can write meanwhile. Returns why there is no index and what to do, or None. Portico works
    without the index.
    """
    is_valid = await _read(engine, IS_VALID)
    if is_valid:
        return None
    reason = await _extension_missing(engine) or await _build(engine, exists=is_valid is not None)
    return reason and NO_SEARCH_INDEX.format(reason=reason)


async def _extension_missing(engine: AsyncEngine) -> str | None:
    if await _read(engine, SCHEMA_OF_EXTENSION):
        return None
    if not await _read(engine, IS_AVAILABLE):
        return NOT_AVAILABLE
    # Hosting providers refuse it with SQLSTATEs of their own, not only that of a missing privilege.
    try:
        await _run_outside_transaction(engine, CREATE_EXTENSION)
    except DBAPIError as error:
        return NOT_CREATED.format(message=server_message(error))
    return None


async def _build(engine: AsyncEngine, *, exists: bool) -> str | None:
    schema = await _read(engine, SCHEMA_OF_EXTENSION)
    try:
        # An interrupted build leaves an invalid index.
        if exists:
            await _run_outside_transaction(engine, DROP_INDEX)
        await _run_outside_transaction(engine, CREATE_SEARCH_INDEX.format(schema=f"{schema}."))
    except DBAPIError as error:
        return NOT_BUILT.format(message=server_message(error))
    return None


async def _read(engine: AsyncEngine, query: TextClause) -> Any:
    """Read one value in a transaction: behind a pooler, only transactions return rows."""
    async with engine.connect() as connection:
        return await connection.scalar(query)


async def _run_outside_transaction(engine: AsyncEngine, statement: str) -> None:
    """Run a statement outside of a transaction, as CREATE INDEX CONCURRENTLY requires."""
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with alone.connect() as connection:
        await connection.exec_driver_sql(statement)
