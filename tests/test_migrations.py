"""Migrations: up, down, and the same tables as the models."""

import asyncio
import sys

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from app import migrations
from app.db import async_url


async def tables(url: str) -> set[str]:
    engine = create_async_engine(async_url(url))
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        )
        names = {row[0] for row in found}
    await engine.dispose()
    return names


async def test_the_models_are_what_the_migrations_make(migrated_url: str) -> None:
    await asyncio.to_thread(command.check, migrations.config(migrated_url))


async def test_every_migration_goes_down_and_up_again(empty_url: str) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    made = await tables(empty_url)

    await asyncio.to_thread(command.downgrade, migrations.config(empty_url), "base")
    assert await tables(empty_url) == {"alembic_version"}
    await asyncio.to_thread(migrations.upgrade, empty_url)

    assert await tables(empty_url) == made


async def test_starters_that_race_migrate_once(empty_url: str) -> None:
    command_line = ["-c", "import sys; from app import migrations; migrations.upgrade(sys.argv[1])"]
    starters = [
        await asyncio.create_subprocess_exec(sys.executable, *command_line, empty_url)
        for _ in range(4)
    ]

    assert [await starter.wait() for starter in starters] == [0, 0, 0, 0]
    assert "users" in await tables(empty_url)
