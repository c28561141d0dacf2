"""The plan that `portico db upgrade` prints, compared with the locks that PostgreSQL grants."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, Engine, TextClause, event, text

from alembic import command
from app.database import migrations
from app.database.database import Database, connect
from app.database.migration_limits import LOCK_TIMEOUT, STATEMENT_TIMEOUT
from app.database.migration_plan import Effect, table_effects
from tests.support.servers import portico

EXISTING = text("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384")
REVISION = text("SELECT version_num FROM portico_migrations")
HELD = """
SELECT relation::regclass::text, mode FROM pg_locks
JOIN pg_class ON pg_class.oid = relation AND relkind = 'r' AND relation >= 16384
WHERE pid = pg_backend_pid() AND granted
"""
# The lock modes that block writers, and their effects.
MODES = {
    "ShareLock": Effect.BLOCKS_WRITES,
    "ShareRowExclusiveLock": Effect.BLOCKS_WRITES,
    "AccessExclusiveLock": Effect.LOCKS,
}
Locks = set[tuple[str, Effect]]


def in_order() -> list[Script]:
    scripts = ScriptDirectory.from_config(migrations.config())
    return list(reversed(list(scripts.walk_revisions())))


@contextmanager
def locks_at_commit() -> Generator[Locks]:
    """Collects the locks that each transaction holds just before it commits."""
    held: Locks = set()

    def look(connection: Connection) -> None:
        if connection.get_isolation_level() != "AUTOCOMMIT":
            for table, mode in connection.exec_driver_sql(HELD):
                if mode in MODES:
                    held.add((table, MODES[mode]))

    event.listen(Engine, "commit", look)
    try:
        yield held
    finally:
        event.remove(Engine, "commit", look)


async def migrate(url: str, revision: str) -> None:
    await asyncio.to_thread(command.upgrade, migrations.config(url), revision)


async def test_the_plan_names_every_lock_that_postgresql_grants(empty_url: str) -> None:
    planned, granted = dict[str, Locks](), dict[str, Locks]()
    for migration in in_order():
        existing = await tables(empty_url)
        with locks_at_commit() as held:
            await migrate(empty_url, migration.revision)
        granted[migration.revision] = {each for each in held if each[0] in existing}
        planned[migration.revision] = {
            (each.table, each.effect)
            for each in table_effects(migration)
            if each.effect in {*MODES.values(), Effect.UNKNOWN}
        }

    assert planned == granted


async def fetched(url: str, statement: TextClause) -> list[str]:
    database = Database(connect(url, pool_size=1), pool_size=1)
    rows = await database.rows(statement)
    await database.close()
    return [row[0] for row in rows]


async def tables(url: str) -> set[str]:
    return set(await fetched(url, EXISTING)) - {"portico_migrations"}


async def test_a_plan_names_the_locks_and_changes_nothing(empty_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": empty_url, "SECRET_KEY": "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"}
    await migrate(empty_url, "0011")
    before = await tables(empty_url)

    planned = await asyncio.to_thread(portico, "db", "upgrade", "--plan", cwd=tmp_path, **settings)

    assert (planned.returncode, planned.stderr) == (0, "")
    title = "The id that a user has in another system, with a unique index."
    first, *_others = planned.stdout.split("0013  ")
    assert first.splitlines() == [
        f"0012  {title}",
        "      users: locked for a moment (ACCESS EXCLUSIVE)",
        "      users: index built while others read and write (SHARE UPDATE EXCLUSIVE), up to 1 s",
    ]
    assert planned.stdout.splitlines()[-1].startswith(
        f"Locks are waited for at most {LOCK_TIMEOUT} and held at most {STATEMENT_TIMEOUT}; "
    )
    assert await tables(empty_url) == before
    assert await fetched(empty_url, REVISION) == ["0011"]
