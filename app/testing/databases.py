"""Creates, copies, empties and drops databases on a PostgreSQL server."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import make_url, text

from app.database.database import Database, connect
from app.database.migration_table import TABLE as MIGRATIONS

# All tables, including those of modules outside this repository. Triggers are disabled, since those
# of the audit forbid deletion.
EMPTY_TABLES = """
DO $$
DECLARE
    name text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN
        SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
        AND tablename <> '{migrations}'
    LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
END $$
"""

TABLES = """
    SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema')
"""
# Refusals may change unlogged tables, which count tries and uses. Servers write the named tables at
# any time. New tables are compared.
COMPARED_TABLES = """
    AND relpersistence = 'p' AND relname NOT IN
    ('signing_keys', 'secret_fingerprints', 'audit_checkpoints', 'audit_verifications')
"""
# Columns that servers write at any time: when a token was used, and up to where chains are signed.
COMPARED_COLUMNS = "to_jsonb(t) - '{last_used_at,used_generation,signed_position}'::text[]"


async def on_server(url: str, statement: str) -> None:
    """Run a statement outside a transaction, as CREATE DATABASE needs it."""
    engine = connect(url, pool_size=1).engine
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(statement))
    await engine.dispose()


@asynccontextmanager
async def temporary_database(
    server_url: str, *, template: str = "template1"
) -> AsyncGenerator[str]:
    """Create a copy of the database `template`, yield its URL, and drop it afterwards."""
    name = f"portico_test_{uuid.uuid4().hex[:12]}"
    await on_server(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        await on_server(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def empty(database: Database) -> None:
    """Delete all rows of all tables."""
    async with database.begin() as session:
        await session.execute(text(EMPTY_TABLES.format(migrations=MIGRATIONS)))


async def everything(database: Database) -> dict[str, list[str]]:
    """Returns all rows of all tables, as text."""
    return await _rows(database, TABLES, "t")


async def contents(database: Database) -> dict[str, list[str]]:
    """Returns all rows that a refusal must not change, without what servers write at any time."""
    return await _rows(database, TABLES + COMPARED_TABLES, COMPARED_COLUMNS)


async def _rows(database: Database, tables: str, row: str) -> dict[str, list[str]]:
    names = [each[0] for each in await database.rows(text(tables))]
    return {name: await _rows_of(database, name, row) for name in names}


async def _rows_of(database: Database, table: str, row: str) -> list[str]:
    found = await database.rows(text(f"SELECT ({row})::text FROM {table} t"))  # noqa: S608 - from the catalog
    return sorted(each[0] for each in found)
