"""Migrations: up, down, the same tables as the models, and servers of other releases."""

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from alembic import command
from app.database import migrations, revisions
from app.database.database import connect
from app.database.readiness import NOT_MIGRATED
from app.errors import Misconfigured
from app.main import create_app
from app.testing.clients import ME, Api, Person
from app.testing.databases import on_server
from app.testing.settings import settings_for
from tests.support.alembic import alembic
from tests.support.servers import portico

ADA = Person("ada@example.com", "difference engine 1")
NEXT_RELEASE = "UPDATE portico_migrations SET version_num = '9999'"


async def tables(url: str) -> set[str]:
    engine = connect(url, pool_size=1).engine
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        )
        names = {row[0] for row in found}
    await engine.dispose()
    return names


async def test_the_migrations_create_the_tables_of_the_models(migrated_url: str) -> None:
    await asyncio.to_thread(alembic, migrated_url, "check")


async def test_every_migration_is_downgraded_and_upgraded_again(empty_url: str) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    made = await tables(empty_url)

    await asyncio.to_thread(command.downgrade, migrations.config(empty_url), "base")
    assert await tables(empty_url) == {"portico_migrations"}
    await asyncio.to_thread(migrations.upgrade, empty_url)

    assert await tables(empty_url) == made


async def test_concurrent_upgrades_migrate_once(empty_url: str) -> None:
    code = "import sys; from app.database import migrations; migrations.upgrade(sys.argv[1])"
    upgrades = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, empty_url)
        for _ in range(4)
    ]

    assert [await upgrade.wait() for upgrade in upgrades] == [0, 0, 0, 0]
    assert "users" in await tables(empty_url)


async def test_a_release_serves_on_a_database_migrated_by_the_next_one(
    empty_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    await on_server(empty_url, NEXT_RELEASE)
    app = create_app(settings_for(empty_url))

    async with app.router.lifespan_context(app), Api.of(app) as api:
        await api.register(ADA)
        ada = await api.login(ADA)
        assert await ada(ME) == {"me": {"email": ADA.email}}
        ready = await api.http.get("/health/ready")

    assert ready.status_code == 200
    assert "at revision 9999, of a newer release" in caplog.text


async def test_an_upgrade_does_not_change_a_database_migrated_by_the_next_release(
    empty_url: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": empty_url, "SECRET_KEY": "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"}
    await asyncio.to_thread(migrations.upgrade, empty_url)
    await on_server(empty_url, NEXT_RELEASE)

    upgraded = await asyncio.to_thread(portico, "db", "upgrade", cwd=tmp_path, **settings)

    assert (upgraded.returncode, upgraded.stderr) == (0, "")
    assert upgraded.stdout == (
        "A newer release has migrated the database already: nothing to do.\n"
    )


async def test_a_release_does_not_start_before_its_migrations(empty_url: str) -> None:
    before = f"{revisions.head()}-1"
    await asyncio.to_thread(command.upgrade, migrations.config(empty_url), before)
    portico = create_app(settings_for(empty_url)).state.portico

    with pytest.raises(Misconfigured, match=NOT_MIGRATED):
        await portico.start()

    assert await portico.unready() == NOT_MIGRATED
    await portico.stop()
