"""The whole application on a database of its own, a client for it, and the people it meets.

All of it stands on one fixture, `migrated_url`: a database with the tables of this release.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database, connect
from app.jobs.services.worker import Worker
from app.keys.services.signing_keys import SigningKeys
from app.main import create_app
from app.settings import Settings
from tests.support.clients import Api, Person
from tests.support.clock import FakeClock
from tests.support.databases import empty
from tests.support.outbox import Outbox
from tests.support.settings import settings_for


@pytest.fixture(scope="session")
def settings(migrated_url: str) -> Settings:
    return settings_for(migrated_url)


@pytest.fixture(scope="session")
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def mailer() -> Outbox:
    """What the application of all tests sends emails with; `outbox` is empty at first."""
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


@pytest.fixture(scope="session")
async def db(migrated_url: str) -> AsyncIterator[Database]:
    database = Database(connect(migrated_url, pool_size=5), pool_size=5)
    yield database
    await database.close()


@pytest.fixture
async def api(app: FastAPI, db: Database, clock: FakeClock) -> AsyncIterator[Api]:
    """A guest; signing in gives another client. Afterwards the database is as empty as before."""
    async with Api.of(app) as guest:
        yield guest
    clock.reset()
    await empty(db)
    await app.state.portico.services[SigningKeys].refresh()


@pytest.fixture
def deliver(app: FastAPI) -> Callable[[], Awaitable[None]]:
    """Run every job that waits, and what follows from it, without waiting between tries."""
    return replace(app.state.portico.services[Worker], delays=[timedelta(0)] * 3).drain


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
