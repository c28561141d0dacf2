"""Databases of tests: made, used once, and dropped."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import make_url, text

from app.database.database import Database, connect

# Everything but the revision. In one statement, since every test ends with it.
EMPTY = text("""
    DO $$
    DECLARE
        name text;
    BEGIN
        -- What no application may do: the audit keeps what happened.
        SET LOCAL session_replication_role = replica;
        FOR name IN
            SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
            WHERE schemaname = current_schema() AND tablename <> 'portico_migrations'
        LOOP
            EXECUTE 'DELETE FROM ' || name;
        END LOOP;
    END
    $$
""")


@asynccontextmanager
async def new_database(server_url: str) -> AsyncGenerator[str]:
    """Make a database on this server, and drop it at the end."""
    name = f"portico_test_{uuid.uuid4().hex[:12]}"
    await on_server(server_url, f'CREATE DATABASE "{name}"')
    yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    await on_server(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def on_server(url: str, statement: str) -> None:
    """Run a statement that cannot be part of a transaction."""
    engine = connect(url, pool_size=1).engine
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(statement))
    await engine.dispose()


async def empty(db: Database) -> None:
    """Delete all rows of all tables, those of modules included."""
    async with db.begin() as session:
        await session.execute(EMPTY)
