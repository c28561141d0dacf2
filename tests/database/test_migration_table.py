"""The table of migrations: not confused with that of other programs, and taken over once."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from alembic import command
from app.database import migrations, revisions
from app.database.database import connect
from app.testing.databases import on_server
from tests.support.alembic import alembic
from tests.support.postgres import BINARIES
from tests.support.servers import portico

SECRET = "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"
FORMER, OURS = "SELECT * FROM alembic_version", "SELECT version_num FROM portico_migrations"
EMAILS = "SELECT email FROM users"
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
ADA = (
    "INSERT INTO users (id, email, created_at, updated_at)"
    " VALUES (gen_random_uuid(), 'ada@example.com', now(), now())"
)
FORMER_NAMES = (
    "ALTER TABLE portico_migrations RENAME TO alembic_version",
    "ALTER TABLE alembic_version RENAME CONSTRAINT portico_migrations_pkc TO alembic_version_pkc",
)
FUNCTIONS = (
    "SELECT proname, proconfig FROM pg_proc JOIN pg_language l ON l.oid = prolang"
    " WHERE pronamespace = current_schema()::regnamespace AND lanname = 'plpgsql'"
    " AND proname NOT LIKE 'fn_pgqueuer%'"
)


async def found(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = connect(url, pool_size=1).engine
    async with engine.connect() as connection:
        rows = [tuple(row) for row in await connection.execute(text(query))]
    await engine.dispose()
    return rows


async def upgrade(url: str, revision: str = "head") -> None:
    await asyncio.to_thread(command.upgrade, migrations.config(url), revision)


async def made_by_a_previous_release(url: str, revision: str) -> None:
    """Create the tables as those releases did, with one user."""
    await upgrade(url, revision)
    await on_server(url, ADA)
    for statement in FORMER_NAMES:
        await on_server(url, statement)


async def used_by_another_application(url: str, revision: str) -> None:
    await on_server(url, "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    await on_server(url, f"INSERT INTO alembic_version VALUES ('{revision}')")  # noqa: S608


@pytest.mark.parametrize("revision", ["0005", "0011", "ae1027a6acf1"])
async def test_the_migration_table_of_another_application_is_ignored(
    empty_url: str, revision: str
) -> None:
    await used_by_another_application(empty_url, revision)

    upgraded = await asyncio.to_thread(migrations.upgrade, empty_url)

    assert upgraded.newest
    assert await found(empty_url, OURS) == [(revisions.head(),)]
    assert await found(empty_url, FORMER) == [(revision,)]
    assert await found(empty_url, EMAILS) == []


async def test_a_table_with_only_the_name_of_alembics_is_ignored(empty_url: str) -> None:
    await on_server(empty_url, "CREATE TABLE alembic_version (note text)")

    await asyncio.to_thread(migrations.upgrade, empty_url)

    assert await found(empty_url, OURS) == [(revisions.head(),)]


@pytest.mark.parametrize("revision", ["0001", "0005", "0006", "0009", "0011"])
async def test_the_migration_table_of_a_previous_release_is_taken_over(
    empty_url: str, revision: str
) -> None:
    await made_by_a_previous_release(empty_url, revision)

    for _ in range(2):
        upgraded = await asyncio.to_thread(migrations.upgrade, empty_url)

        assert upgraded.newest
        assert await found(empty_url, OURS) == [(revisions.head(),)]
        # Servers of the previous release still read it.
        assert await found(empty_url, FORMER) == [(revision,)]
        assert await found(empty_url, EMAILS) == [("ada@example.com",)]


async def test_a_revision_without_its_tables_is_ignored(empty_url: str) -> None:
    await made_by_a_previous_release(empty_url, "0003")
    await on_server(empty_url, "UPDATE alembic_version SET version_num = '0007'")
    before = await found(empty_url, TABLES)

    with pytest.raises(DBAPIError, match='relation "users" already exists'):
        await asyncio.to_thread(migrations.upgrade, empty_url)

    assert set(await found(empty_url, TABLES)) - {("portico_migrations",)} == set(before)
    assert await found(empty_url, EMAILS) == [("ada@example.com",)]


async def test_concurrent_upgrades_take_the_table_over_once(empty_url: str, tmp_path: Path) -> None:
    await made_by_a_previous_release(empty_url, "0004")
    settings = {"DATABASE_URL": empty_url, "SECRET_KEY": SECRET}

    upgrades = await asyncio.gather(
        *(asyncio.to_thread(portico, "db", "upgrade", cwd=tmp_path, **settings) for _ in range(2))
    )

    newest = f"The database is at revision {revisions.head()}, the newest."
    assert [(done.returncode, done.stderr) for done in upgrades] == [(0, "")] * 2
    assert [newest in done.stdout.splitlines() for done in upgrades] == [True] * 2
    assert await found(empty_url, OURS) == [(revisions.head(),)]


async def test_the_alembic_command_takes_the_table_over_too(
    empty_url: str,
) -> None:
    await made_by_a_previous_release(empty_url, "0005")
    before = await found(empty_url, TABLES)

    assert (await asyncio.to_thread(alembic, empty_url, "current")).strip() == "0005"
    assert await found(empty_url, TABLES) == before
    await asyncio.to_thread(alembic, empty_url, "upgrade", "head")
    current = await asyncio.to_thread(alembic, empty_url, "current")

    assert current.strip() == f"{revisions.head()} (head)"
    assert await found(empty_url, OURS) == [(revisions.head(),)]


@pytest.mark.parametrize("wanted", ["head", "0005:head"])
async def test_printed_sql_does_the_same_as_an_upgrade(
    empty_url: str, tmp_path: Path, wanted: str
) -> None:
    start = wanted.partition(":")[0]
    if start != "head":
        await made_by_a_previous_release(empty_url, start)
    script = tmp_path / "upgrade.sql"
    script.write_text(await asyncio.to_thread(alembic, empty_url, "upgrade", wanted, "--sql"))

    url = make_url(empty_url).set(drivername="postgresql").render_as_string(hide_password=False)
    # The last statement is for servers with pg_trgm, and fails on others.
    psql = [BINARIES / "psql", "-q", "-d", url, "-f", script]
    await asyncio.to_thread(subprocess.run, psql, capture_output=True, check=True)

    assert await found(empty_url, OURS) == [(revisions.head(),)]
    await asyncio.to_thread(alembic, empty_url, "check")
    assert {tuple(config) for _, config in await found(empty_url, FUNCTIONS)} == {
        ("search_path=public, pg_temp",)
    }


async def test_functions_use_the_tables_of_portico_for_every_caller(empty_url: str) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)

    functions = await found(empty_url, FUNCTIONS)

    assert len(functions) >= 5
    assert [name for name, config in functions if config != ["search_path=public, pg_temp"]] == []


async def test_functions_work_after_their_schema_is_renamed(empty_url: str) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    await on_server(empty_url, "ALTER SCHEMA public RENAME TO people")
    await on_server(empty_url, "CREATE SCHEMA public")
    name = make_url(empty_url).database
    await on_server(empty_url, f'ALTER DATABASE "{name}" SET search_path = people')

    await asyncio.to_thread(migrations.upgrade, empty_url)

    functions = await found(empty_url, FUNCTIONS)
    assert {tuple(config) for _, config in functions} == {("search_path=people, pg_temp",)}
