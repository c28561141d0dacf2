"""Fixtures of this repository, in addition to app/testing/fixtures.py.

python3 -m uv run pytest                     everything
python3 -m uv run pytest -m fast             without processes and drawn examples
python3 -m uv run pytest tests/sessions      one folder: those of tests/ mirror those of app/
python3 -m uv run pytest tests/sessions/test_sign_in.py::test_wrong_credentials_get_the_same_answer
"""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from app.database.database import Database, connect
from app.main import create_app
from app.settings import Settings
from app.testing.clock import FakeClock
from app.testing.databases import empty, temporary_database
from app.testing.outbox import Outbox
from app.testing.settings import settings_for
from tests.support.fleets import Fleet
from tests.support.servers import free_port

pytest_plugins = [
    "app.testing.fixtures",
    "tests.support.log_search",
    "tests.support.own_processes",
    "tests.support.run_postgres",
]

# As on two cores; a single test starts faster without pytest-xdist.
WORKERS = 2


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return 0 if all("::" in argument for argument in config.args) else WORKERS


@pytest.fixture(scope="session")
async def migrated_url(server_url: str, template: str) -> AsyncIterator[str]:
    """A database for this test process, with the tables of this release."""
    async with temporary_database(server_url, template=template) as url:
        yield url


@pytest.fixture
async def own_url(server_url: str, template: str) -> AsyncIterator[str]:
    """A database for one test, with the tables of this release."""
    async with temporary_database(server_url, template=template) as url:
        yield url


@pytest.fixture
async def empty_url(server_url: str) -> AsyncIterator[str]:
    """A database for one test, without tables."""
    async with temporary_database(server_url) as url:
        yield url


@pytest.fixture(scope="session")
async def fleet_database(server_url: str, template: str) -> AsyncIterator[str]:
    """A second database for this process, used only by servers of `fleet`."""
    async with temporary_database(server_url, template=template) as url:
        yield url


@pytest.fixture
async def fleet(fleet_database: str, clock: FakeClock) -> AsyncIterator[Fleet]:
    """Servers with other secrets than `app`; their database is emptied afterwards."""
    yield Fleet(settings_for(fleet_database), clock, Outbox())
    clock.reset()
    database = Database(connect(fleet_database, pool_size=5), pool_size=5)
    await empty(database)
    await database.close()


@pytest.fixture
async def other_worker(settings: Settings, clock: FakeClock) -> AsyncIterator[FastAPI]:
    """Another application on the same database, which shares no memory with `app`."""
    other = create_app(settings, clock)
    async with other.router.lifespan_context(other):
        yield other


@pytest.fixture
def mailing_environment(own_url: str, settings: Settings) -> dict[str, str]:
    """A server that requires verified addresses and runs no jobs itself."""
    assert settings.secret_key is not None
    return {
        "DATABASE_URL": own_url,
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "EMAIL_VERIFICATION": "required",
        "JOBS_WORKER": "false",
        "JOBS_RETAKE_SECONDS": "2",
        "SMTP_URL": f"smtp://127.0.0.1:{free_port()}",
        "FRONTEND_URL": "https://app.example.com",
    }
