"""Online migrations: others use the tables meanwhile, and an interrupted one is completed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from alembic import command
from app.audit.services.integrity.verifier import AuditVerifier
from app.database import migrations
from app.database.database import Database, connect
from app.errors import MigrationBlocked
from app.main import create_app
from app.testing.settings import settings_for

INSERT_USER = text(
    "INSERT INTO users (id, email, created_at, updated_at) "
    "VALUES (gen_random_uuid(), :email, now(), now())"
)
WAITING_FOR_LOCK = text(
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'portico migrations' "
    "AND wait_event_type = 'Lock' AND datname = current_database()"
)
TABLE = text("SELECT to_regclass('one_time_tokens')::text")
INDEX = text(
    "SELECT indisvalid, pg_get_indexdef(indexrelid) FROM pg_index "
    "WHERE indexrelid = 'ix_users_email_verified_email'::regclass"
)
# A failed build leaves an invalid index of this name.
FAILED_BUILD = "CREATE UNIQUE INDEX CONCURRENTLY ix_users_email_verified_email ON users (role)"
ADDED_COLUMN = "ALTER TABLE users ADD COLUMN external_id text"
FAILED_UNIQUE_BUILD = "CREATE UNIQUE INDEX CONCURRENTLY ix_users_external_id ON users (role)"
UNIQUE_INDEX = text(
    "SELECT indisvalid, indisunique FROM pg_index "
    "WHERE indexrelid = 'ix_users_external_id'::regclass"
)
EVENTS = text(
    "INSERT INTO audit_events (id, at, name, ip_address, details) "
    "SELECT lpad(to_hex(n), 32, '0')::uuid, now(), 'session.started', '192.0.2.1', '{}' "
    "FROM generate_series(1, 2500) n"
)
# A time that cannot be hashed: the third batch of a thousand fails.
SET_INVALID_TIME = text(
    "UPDATE audit_events SET at = 'infinity' WHERE id = lpad(to_hex(2100), 32, '0')::uuid"
)
SET_VALID_TIME = text("UPDATE audit_events SET at = now() WHERE at = 'infinity'")
CHAINED = text("SELECT position FROM audit_chains WHERE chain = 'before'")


@pytest.fixture
async def others(empty_url: str) -> AsyncIterator[Database]:
    """A connection of other users to the database that is being migrated."""
    database = Database(connect(empty_url, pool_size=5), pool_size=5)
    yield database
    await database.close()


def migrating(url: str, revision: str, *pauses: float) -> asyncio.Task[None]:
    """Migrate in the background, with retries after these seconds."""
    config = migrations.config(url)
    config.attributes["pauses"] = pauses
    config.attributes["look_seconds"] = 0.2
    return asyncio.create_task(asyncio.to_thread(command.upgrade, config, revision))


async def wait_until_blocked(others: Database) -> None:
    """Wait until the migration wait_until_blocked for a lock."""
    async with asyncio.timeout(20):
        while not await others.rows(WAITING_FOR_LOCK):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def register(session: AsyncSession, email: str) -> None:
    await session.execute(text("SET LOCAL lock_timeout = '5s'"))
    await session.execute(INSERT_USER, {"email": email})


async def test_writers_do_not_queue_behind_a_waiting_migration(
    empty_url: str, others: Database
) -> None:
    await migrating(empty_url, "0003")

    async with others.begin() as long:
        await register(long, "ada@example.com")
        migration = migrating(empty_url, "0004", 0.1)
        await wait_until_blocked(others)
        async with others.begin() as short:
            await register(short, "eve@example.com")
        assert await others.rows(TABLE) == [(None,)]
    await migration

    assert await others.rows(TABLE) == [("one_time_tokens",)]


async def test_a_migration_that_never_gets_its_lock_changes_nothing(
    empty_url: str, others: Database
) -> None:
    await migrating(empty_url, "0003")

    async with others.begin() as long:
        await register(long, "ada@example.com")
        with pytest.raises(MigrationBlocked, match="a long transaction holds a lock"):
            await migrating(empty_url, "0004")

    assert await others.rows(TABLE) == [(None,)]


async def test_the_transaction_that_delays_an_index_is_logged(
    empty_url: str, others: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await migrating(empty_url, "0001")

    async with others.begin() as long:
        await long.execute(text("SELECT FROM users"))
        (pid,) = (await long.execute(text("SELECT pg_backend_pid()"))).one()
        migration = migrating(empty_url, "0002")
        async with asyncio.timeout(20):
            while "Waiting for" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    await migration

    assert f"Waiting for the transaction of process {pid} to end (role " in caplog.text


async def test_an_unfinished_index_is_built_again(empty_url: str, others: Database) -> None:
    await migrating(empty_url, "0007")
    async with others.begin() as session:
        await register(session, "ada@example.com")
        await register(session, "eve@example.com")
    autocommit = others.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with autocommit.connect() as connection:
        with pytest.raises(DBAPIError):
            await connection.execute(text(FAILED_BUILD))
    assert (await others.rows(INDEX))[0][0] is False

    await migrating(empty_url, "0008")

    valid, definition = (await others.rows(INDEX))[0]
    assert (valid, definition.endswith("USING btree (email_verified, email)")) == (True, True)


async def test_a_column_added_before_its_index_failed_is_kept(
    empty_url: str, others: Database
) -> None:
    await migrating(empty_url, "0011")
    async with others.begin() as session:
        await register(session, "ada@example.com")
        await register(session, "eve@example.com")
    autocommit = others.engine.execution_options(isolation_level="AUTOCOMMIT")
    async with autocommit.connect() as connection:
        await connection.execute(text(ADDED_COLUMN))
        with pytest.raises(DBAPIError):
            await connection.execute(text(FAILED_UNIQUE_BUILD))

    await migrating(empty_url, "head")

    assert await others.rows(UNIQUE_INDEX) == [(True, True)]


async def test_an_interrupted_chaining_of_former_events_is_continued(
    empty_url: str, others: Database
) -> None:
    await migrating(empty_url, "0005")
    async with others.begin() as session:
        await session.execute(EVENTS)
        await session.execute(SET_INVALID_TIME)

    with pytest.raises(DBAPIError):
        await migrating(empty_url, "0006")
    assert await others.rows(CHAINED) == [(2000,)]
    async with others.begin() as session:
        await session.execute(SET_VALID_TIME)
    await migrating(empty_url, "head")

    services = create_app(settings_for(empty_url)).state.portico.services
    report = await services[AuditVerifier].verify()
    assert (report.findings, report.events, report.erased_addresses) == ([], 2500, 0)
