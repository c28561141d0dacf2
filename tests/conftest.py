"""The whole application on a real database, a client for it, and the people it meets."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import make_url, text

from app.config.settings import Settings
from app.database import migrations
from app.database.database import Database, connect
from app.database.embedded import embedded_postgres
from app.main import create_app
from tests.support.clients import Api, Person
from tests.support.clock import FakeClock
from tests.support.fleets import Fleet
from tests.support.log_search import (
    pytest_configure,
    pytest_runtest_makereport,
    pytest_runtest_setup,
)
from tests.support.outbox import Outbox
from tests.support.servers import free_port
from tests.support.settings import settings_for

__all__ = ["pytest_configure", "pytest_runtest_makereport", "pytest_runtest_setup"]

TABLES = (
    "budgets",
    "password_failures",
    "one_time_tokens",
    "sessions",
    "users",
    "audit_events",
    "audit_chains",
    "audit_checkpoints",
    "audit_verifications",
    "signing_keys",
    "secret_fingerprints",
    "pgqueuer",
    "pgqueuer_log",
)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL to make databases on: what TEST_DATABASE_URL names, or the embedded one."""
    named = os.environ.get("TEST_DATABASE_URL")
    if named:
        yield named
        return
    with embedded_postgres(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture(scope="session")
async def database_url(server_url: str) -> AsyncIterator[str]:
    """A database of this run alone, empty."""
    name = f"portico_test_{uuid.uuid4().hex[:12]}"
    url = make_url(server_url)
    await on_server(server_url, f'CREATE DATABASE "{name}"')
    yield url.set(database=name).render_as_string(hide_password=False)
    await on_server(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    """A database of this test alone."""
    name = f"portico_test_{uuid.uuid4().hex[:12]}"
    await on_server(server_url, f'CREATE DATABASE "{name}"')
    yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    await on_server(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
async def fleet_database(server_url: str) -> AsyncIterator[str]:
    """A second database of this run, migrated: servers of `fleet` alone are on it."""
    name = f"portico_test_{uuid.uuid4().hex[:12]}"
    await on_server(server_url, f'CREATE DATABASE "{name}"')
    url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
    await asyncio.to_thread(migrations.upgrade, url)
    yield url
    await on_server(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
async def fleet(fleet_database: str, clock: FakeClock) -> AsyncIterator[Fleet]:
    """Servers of other secrets than those of `app`; afterwards their database is empty."""
    yield Fleet(settings_for(fleet_database), clock, Outbox())
    clock.reset()
    database = Database(connect(fleet_database, pool_size=5), pool_size=5)
    await empty(database)
    await database.close()


@pytest.fixture(scope="session")
async def migrated_url(database_url: str) -> str:
    await asyncio.to_thread(migrations.upgrade, database_url)
    return database_url


@pytest.fixture(scope="session")
def settings(migrated_url: str) -> Settings:
    return settings_for(migrated_url)


@pytest.fixture(scope="session")
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def mailer() -> Outbox:
    """What the mailer of all tests was given; `outbox` is empty at first."""
    return Outbox()


@pytest.fixture
def outbox(mailer: Outbox) -> Outbox:
    mailer.messages.clear()
    return mailer


@pytest.fixture(scope="session")
async def app(settings: Settings, clock: FakeClock, mailer: Outbox) -> AsyncIterator[FastAPI]:
    app = create_app(settings, clock, mailer)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def other_worker(settings: Settings, clock: FakeClock) -> AsyncIterator[FastAPI]:
    """Another process of the same server, as far as memory goes."""
    other = create_app(settings, clock)
    async with other.router.lifespan_context(other):
        yield other


@pytest.fixture(scope="session")
async def db(settings: Settings) -> AsyncIterator[Database]:
    assert settings.database_url is not None
    database = Database(connect(settings.database_url.get_secret_value(), pool_size=5), pool_size=5)
    yield database
    await database.close()


@pytest.fixture
async def api(app: FastAPI, db: Database, clock: FakeClock) -> AsyncIterator[Api]:
    """A guest; signing in gives another client. Afterwards the database is as empty as before."""
    async with Api.of(app) as guest:
        yield guest
    clock.reset()
    await empty(db)
    await app.state.portico.keys.refresh()


async def empty(db: Database) -> None:
    async with db.begin() as session:
        # What no application may do: the audit keeps what happened.
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for table in TABLES:
            await session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names of ours


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """Of a command on the database of the tests."""
    assert settings.database_url is not None
    assert settings.secret_key is not None
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "SECRET_KEY": settings.secret_key.get_secret_value(),
    }


@pytest.fixture
def deliver(app: FastAPI) -> Callable[[], Awaitable[None]]:
    """Run every job that waits, and what follows from it, without waiting between tries."""
    return replace(app.state.portico.worker, delays=[timedelta(0)] * 3).drain


@pytest.fixture
async def ada(api: Api) -> Person:
    """A member."""
    return await api.register(Person("ada@example.com", "difference engine 1", "Ada Lovelace"))


@pytest.fixture
async def grace(api: Api, db: Database) -> Person:
    """An administrator."""
    person = await api.register(Person("grace@example.com", "nanoseconds of wire", "Grace Hopper"))
    async with db.begin() as session:
        await session.execute(
            text("UPDATE users SET role = 'ADMIN' WHERE email = :e"), {"e": person.email}
        )
    return person


@pytest.fixture
async def mailing_environment(empty_url: str, settings: Settings) -> dict[str, str]:
    """A server that requires verified addresses and runs no jobs itself."""
    await asyncio.to_thread(migrations.upgrade, empty_url)
    assert settings.secret_key is not None
    return {
        "DATABASE_URL": empty_url,
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "EMAIL_VERIFICATION": "required",
        "JOBS_WORKER": "false",
        "JOBS_RETAKE_SECONDS": "2",
        "SMTP_URL": f"smtp://127.0.0.1:{free_port()}",
        "FRONTEND_URL": "https://app.example.com",
    }


async def on_server(url: str, statement: str) -> None:
    engine = connect(url, pool_size=1).engine
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(statement))
    await engine.dispose()
