"""Upgrades the embedded database when a command starts, without Alembic if nothing is pending."""

import asyncio

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database.after_upgrade import run_last_steps
from app.database.migration_lock import migration_engine
from app.database.migration_table import CURRENT_SCHEMA, SCHEMA_OF, TABLE
from app.database.revisions import Branches, heads
from app.imports import import_module

REVISIONS = text(f"SELECT version_num FROM {TABLE}")  # noqa: S608 - a name of ours


def upgrade_at_start(url: str, branches: Branches) -> None:
    """Upgrade a database to the newest revisions, as `app.database.migrations.upgrade`.

    Raises:
        As that function.

    """
    if not asyncio.run(_run_last_steps_if_newest(url, branches)):
        # Imported here: Alembic takes a tenth of a second to load, and 8 MB.
        import_module("app.database.migrations").upgrade(url, branches=branches)


async def _run_last_steps_if_newest(url: str, branches: Branches) -> bool:
    """Run the last steps of an upgrade if no migration is pending; returns whether it did."""
    async with migration_engine(url) as engine:
        is_newest = await _is_newest(engine, branches)
        if is_newest:
            await run_last_steps(engine)
    return is_newest


async def _is_newest(engine: AsyncEngine, branches: Branches) -> bool:
    async with engine.connect() as connection:
        return await connection.run_sync(_revisions) == heads(branches)


def _revisions(connection: Connection) -> frozenset[str]:
    """Returns the revisions of the database; none if new tables would get another schema."""
    there = connection.scalar(SCHEMA_OF, {"table": TABLE})
    if there is None or there != connection.scalar(CURRENT_SCHEMA):
        return frozenset()
    return frozenset(connection.scalars(REVISIONS))
