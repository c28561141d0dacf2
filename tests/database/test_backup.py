"""Backup and restore, by the commands of docs/operators/backup.md."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.audit.services.checkpoints import Checkpoints
from app.database.database import Database, connect
from app.main import create_app
from app.testing.clients import ME, Api, Person
from app.testing.settings import SECRET, settings_for
from tests.support.postgres import Postgres, postgres
from tests.support.shell_blocks import shell, shell_blocks

ADA = Person("ada@example.com", "difference engine 1")
ROLES, BACKUP = "docs/operators/roles.md", "docs/operators/backup.md"
OWNER_OF_TABLES = text("SELECT tableowner FROM pg_tables WHERE tablename = 'users'")
REMOVE_EVENTS = text("DELETE FROM audit_events")


def url(server: Postgres, role: str, database: str) -> str:
    return f"postgresql://{role}@127.0.0.1:{server.port}/{database}"


# It runs a dozen commands, each in a new process.
@pytest.mark.timeout(180)
async def test_a_dump_is_restored_by_the_commands_of_the_manual(tmp_path: Path) -> None:
    with postgres() as server:
        served = url(server, "portico_a", "portico")
        make_roles, *_passwords = shell_blocks(ROLES, "Creating the roles")[0].splitlines()
        shell(server, tmp_path, make_roles)
        shell(
            server,
            tmp_path,
            "portico db upgrade --grant portico_server",
            DATABASE_URL=url(server, "portico_owner", "portico"),
        )
        await register_ada(served)

        (dump,) = shell_blocks(BACKUP, "Dumps")
        restore, upgrade, rename, erase_again = shell_blocks(BACKUP, "Restoring a dump")
        shell(server, tmp_path, dump)
        shell(server, tmp_path, restore)
        verified = shell(
            server,
            tmp_path,
            upgrade,
            SECRET_KEY=SECRET,
            OWNER_URL=url(server, "portico_owner", "portico_restored"),
            SERVER_URL=url(server, "portico_a", "portico_restored"),
        )
        assert verified.splitlines()[-1].endswith("valid.")
        shell(server, tmp_path, rename)
        shell(server, tmp_path, erase_again, SECRET_KEY=SECRET, DATABASE_URL=served)

        await find_ada(served)
        await can_remove_no_events(served)


async def register_ada(url: str) -> None:
    app = create_app(settings_for(url))
    async with app.router.lifespan_context(app), Api.of(app) as api:
        await api.register(ADA)
        await app.state.portico.services[Checkpoints].sign()


async def find_ada(url: str) -> None:
    app = create_app(settings_for(url))
    async with app.router.lifespan_context(app), Api.of(app) as api:
        ada = await api.login(ADA)
        assert await ada(ME) == {"me": {"email": ADA.email}}


async def can_remove_no_events(url: str) -> None:
    database = Database(connect(url, pool_size=1), pool_size=1)
    assert await database.rows(OWNER_OF_TABLES) == [("portico_owner",)]
    async with database.begin() as session:
        with pytest.raises(ProgrammingError, match="permission denied for table audit_events"):
            await session.execute(REMOVE_EVENTS)
        await session.rollback()
    await database.close()
