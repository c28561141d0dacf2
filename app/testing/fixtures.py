"""Fixtures: the application on a database of its own, a client, and two users.

A project uses them with `pytest_plugins = ["app.testing.fixtures"]` in its `conftest.py`, and
overrides the fixture `modules`. They are asynchronous and share the event loop of the session:
`asyncio_mode = "auto"`, and both default loop scopes `session`.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database import migrations
from app.database.database import Database, connect
from app.database.embedded import embedded_postgres
from app.jobs.services.worker import Worker
from app.keys.services.signing_keys import SigningKeys
from app.main import create_app
from app.modules import branches_of, modules_named
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import empty, temporary_database
from app.testing.outbox import Outbox
from app.testing.settings import settings_for


@pytest.fixture(scope="session")
def modules() -> tuple[str, ...]:
    """The modules of the project, as in the setting MODULES."""
    return ()


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The PostgreSQL on which databases are created: TEST_DATABASE_URL, or the embedded one."""
    url = os.environ.get("TEST_DATABASE_URL")
    if url:
        yield url
        return
    with embedded_postgres(tmp_path_factory.mktemp("data")) as url:
        yield url


@pytest.fixture(scope="session")
async def migrated_url(server_url: str, modules: tuple[str, ...]) -> AsyncGenerator[str]:
    """A database for this process, with all tables of this release and of the modules."""
    async with temporary_database(server_url) as url:
        branches = branches_of(modules_named(modules))
        await asyncio.to_thread(migrations.upgrade, url, branches=branches)
        yield url


@pytest.fixture(scope="session")
def settings(migrated_url: str, modules: tuple[str, ...]) -> Settings:
    return settings_for(migrated_url, modules=modules)


@pytest.fixture(scope="session")
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def mailer() -> Outbox:
    """The mailer of the application in all tests; `outbox` is the same, emptied for each test."""
    return Outbox()


@pytest.fixture
def outbox(mailer: Outbox) -> Outbox:
    mailer.messages.clear()
    return mailer


@pytest.fixture(scope="session")
async def app(settings: Settings, clock: FakeClock, mailer: Outbox) -> AsyncGenerator[FastAPI]:
    app = create_app(settings, clock, mailer)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="session")
async def db(migrated_url: str) -> AsyncGenerator[Database]:
    database = Database(connect(migrated_url, pool_size=5), pool_size=5)
    yield database
    await database.close()


@pytest.fixture
async def api(app: FastAPI, db: Database, clock: FakeClock) -> AsyncGenerator[Api]:
    """A guest; signing in returns another client. The database is emptied afterwards."""
    async with Api.of(app) as guest:
        yield guest
    clock.reset()
    await empty(db)
    await app.state.portico.services[SigningKeys].refresh()


@pytest.fixture
def deliver(app: FastAPI) -> Callable[[], Awaitable[None]]:
    """Runs all waiting jobs, and those that they enqueue, without delays between tries."""
    return replace(app.state.portico.services[Worker], delays=[timedelta(0)] * 3).drain


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """The environment of a command on the database of the tests."""
    assert settings.database_url is not None
    assert settings.secret_key is not None
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "MODULES": ",".join(settings.modules),
    }


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
