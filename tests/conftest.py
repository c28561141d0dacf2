"""The fixtures of `app.testing`, and more of what only tests of Portico itself need."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from app.config.settings import Settings
from app.database import migrations
from app.database.database import Database, connect
from app.main import create_app
from app.testing.clock import FakeClock
from app.testing.databases import empty, new_database
from app.testing.outbox import Outbox
from app.testing.settings import settings_for
from tests.support.fleets import Fleet
from tests.support.log_search import (
    pytest_configure,
    pytest_runtest_makereport,
    pytest_runtest_setup,
)
from tests.support.servers import free_port

__all__ = ["pytest_configure", "pytest_runtest_makereport", "pytest_runtest_setup"]

pytest_plugins = ["app.testing.fixtures"]


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    """A database of this test alone."""
    async with new_database(server_url) as url:
        yield url


@pytest.fixture(scope="session")
async def fleet_database(server_url: str) -> AsyncIterator[str]:
    """A second database of this run, migrated: servers of `fleet` alone are on it."""
    async with new_database(server_url) as url:
        await asyncio.to_thread(migrations.upgrade, url)
        yield url


@pytest.fixture
async def fleet(fleet_database: str, clock: FakeClock) -> AsyncIterator[Fleet]:
    """Servers of other secrets than those of `app`; afterwards their database is empty."""
    yield Fleet(settings_for(fleet_database), clock, Outbox())
    clock.reset()
    database = Database(connect(fleet_database, pool_size=5), pool_size=5)
    await empty(database)
    await database.close()


@pytest.fixture
async def other_worker(settings: Settings, clock: FakeClock) -> AsyncIterator[FastAPI]:
    """Another process of the same server, as far as memory goes."""
    other = create_app(settings, clock)
    async with other.router.lifespan_context(other):
        yield other


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
