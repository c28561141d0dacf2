"""Databases on a PostgreSQL server: made, copied, emptied and dropped."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import make_url, text

from app.database.database import Database, connect
from app.database.migration_table import TABLE as MIGRATIONS

# Every table that there is, whoever made it: those of modules outside this repository too. Triggers
# stay silent meanwhile, since the audit keeps what happened and no application may delete it.
EMPTY = """
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
# What is counted of tries and of use, refused or not, has tables without a write-ahead log. Others
# are written by servers in their own time. A table that is new is compared.
COMPARED = """
    AND relpersistence = 'p' AND relname NOT IN
    ('signing_keys', 'secret_fingerprints', 'audit_checkpoints', 'audit_verifications')
"""
UNCHANGED = "to_jsonb(t) - 'last_used_at' - 'used_generation'"


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
    """Give the URL of a new database, a copy of `template`; it is dropped afterwards."""
    name = f"portico_test_{uuid.uuid4().hex[:12]}"
    await on_server(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        await on_server(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def empty(database: Database) -> None:
    """Delete all rows of all tables."""
    async with database.begin() as session:
        await session.execute(text(EMPTY.format(migrations=MIGRATIONS)))


async def everything(database: Database) -> dict[str, list[str]]:
    """Returns all rows of all tables, as text."""
    return await _rows(database, TABLES, "t")


async def contents(database: Database) -> dict[str, list[str]]:
    """Returns all rows that a refusal must leave as they are, without when they were last used."""
    return await _rows(database, TABLES + COMPARED, UNCHANGED)


async def _rows(database: Database, tables: str, row: str) -> dict[str, list[str]]:
    names = [each[0] for each in await database.rows(text(tables))]
    return {name: await _rows_of(database, name, row) for name in names}


async def _rows_of(database: Database, table: str, row: str) -> list[str]:
    found = await database.rows(text(f"SELECT ({row})::text FROM {table} t"))  # noqa: S608 - of the catalog
    return sorted(each[0] for each in found)
