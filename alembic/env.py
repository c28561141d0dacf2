"""Runs migrations on the database of the settings, one runner at a time."""

import asyncio

from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import context
from app.config import Settings
from app.db import async_url
from app.models import User

# Any constant will do, as long as nobody else locks it: "portico" in ASCII.
MIGRATION_LOCK = 0x706F727469636F
# Made where the server has pg_trgm.
SEARCH = "ix_users_search"


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=User.metadata,
        compare_type=True,
        include_name=_is_ours,
    )
    with context.begin_transaction():
        # Waits for a starter that came first; released with the transaction, also when it dies.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        context.run_migrations()


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave out the tables of the library that keeps the queue, and what not every server has."""
    return not (kind == "table" and name and name.startswith("pgqueuer")) and name != SEARCH


async def main() -> None:
    url = context.config.attributes.get("url") or Settings().database_url
    if url is None:
        msg = "DATABASE_URL is not set; `portico db upgrade` also knows the embedded database"
        raise SystemExit(msg)
    address = url if isinstance(url, str) else url.get_secret_value()
    engine = create_async_engine(async_url(address), poolclass=pool.NullPool, hide_parameters=True)
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


asyncio.run(main())
