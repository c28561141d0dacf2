"""What every upgrade ends with, whichever revision it began at: it can be done again and again."""

from typing import Any

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.errors import server_message

# A function runs with the search_path of whoever calls it, whose temporary tables come before ours:
# with one named audit_chains, anybody who may delete events could do it in spite of the trigger.
# https://www.postgresql.org/docs/15/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY
# It is done here, since CREATE OR REPLACE takes it back, and a schema may be renamed. Functions in
# SQL are left out: they are called by these, and could not be inlined any more.
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
CREATE_INDEX = (
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
WITHOUT_INDEX = (
    "Searches for users read all of them, since there is no index: {reason} "
    "Then run `portico db upgrade` again."
)
NOT_AVAILABLE = "the server has no pg_trgm. Install it there (Debian: postgresql-contrib)."
NOT_CREATED = (
    "PostgreSQL says: {said}. Let an administrator of the database run CREATE EXTENSION pg_trgm."
)
NOT_BUILT = "PostgreSQL says: {said}. Grant what is missing."


def fix_search_paths(connection: Connection) -> None:
    """Let functions in PL/pgSQL see our tables alone, whoever calls them."""
    connection.exec_driver_sql(FIX_SEARCH_PATHS)


async def make_search_index(engine: AsyncEngine) -> str | None:
    """Build the trigram index for searches, if it is missing and the server can.

    Others can write meanwhile. Returns why there is none, and what to do: Portico works without it.
    """
    is_valid = await _read(engine, IS_VALID)
    if is_valid:
        return None
    reason = await _extension_missing(engine) or await _build(engine, exists=is_valid is not None)
    return reason and WITHOUT_INDEX.format(reason=reason)


async def _extension_missing(engine: AsyncEngine) -> str | None:
    if await _read(engine, SCHEMA_OF_EXTENSION):
        return None
    if not await _read(engine, IS_AVAILABLE):
        return NOT_AVAILABLE
    # Hosts refuse it in ways of their own, with other codes than that of a missing privilege.
    try:
        await _run_alone(engine, CREATE_EXTENSION)
    except DBAPIError as error:
        return NOT_CREATED.format(said=server_message(error))
    return None


async def _build(engine: AsyncEngine, *, exists: bool) -> str | None:
    schema = await _read(engine, SCHEMA_OF_EXTENSION)
    try:
        # An interrupted build leaves an index that is not valid.
        if exists:
            await _run_alone(engine, DROP_INDEX)
        await _run_alone(engine, CREATE_INDEX.format(schema=f"{schema}."))
    except DBAPIError as error:
        return NOT_BUILT.format(said=server_message(error))
    return None


async def _read(engine: AsyncEngine, query: TextClause) -> Any:
    """Read one value in a transaction: behind a pooler nothing else returns rows."""
    async with engine.connect() as connection:
        return await connection.scalar(query)


async def _run_alone(engine: AsyncEngine, statement: str) -> None:
    """Run a statement outside of a transaction, as CREATE INDEX CONCURRENTLY has to."""
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with alone.connect() as connection:
        await connection.exec_driver_sql(statement)
