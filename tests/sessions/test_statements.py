"""What a refresh and a sign-in send to the database, as its server sees it: they are frequent."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database import migrations
from app.database.database import Database, connect
from app.main import create_app
from app.testing.clients import Api, Person
from app.testing.settings import settings_for
from tests.sessions.test_refreshing import refresh
from tests.support.postgres import Postgres, postgres

EVE = Person("eve@example.com", "an apple a day 42")
# As many as make every prepared statement of the next request known to its connection.
WARM_UP = 3
STATEMENT = re.compile(r"LOG:  (?:statement|execute \S+): ((?:.|\n\t)+)")


class ServerLog:
    """The statements that the server has logged, each as its verb and its first table."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._skipped = 0

    def skip(self) -> None:
        """Forget all that was logged until now."""
        self._skipped = len(self._text())

    def statements(self) -> list[str]:
        return [_short(match[1]) for match in STATEMENT.finditer(self._text(), self._skipped)]

    def _text(self) -> str:
        return self._file.read_text(encoding="utf-8")


def _short(statement: str) -> str:
    verb = statement.split(maxsplit=1)[0].rstrip(";")
    if verb in {"BEGIN", "COMMIT"}:
        return verb
    found = re.search(r"(?:\b(?:FROM|INTO|UPDATE) |^SELECT (?=\w+\())(\w+)", statement)
    assert found is not None, statement
    return f"{verb} {found[1]}"


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    with postgres() as server:
        migrations.upgrade(server.url)
        yield server


@pytest.fixture(scope="module")
async def own_api(own: Postgres) -> AsyncIterator[Api]:
    database = Database(connect(own.url, pool_size=5), pool_size=5)
    async with database.begin() as session:
        await session.execute(text("ALTER DATABASE postgres SET log_statement = 'all'"))
    await database.close()
    app = create_app(settings_for(own.url))
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        await guest.register(EVE)
        yield guest


@pytest.fixture
def log(own: Postgres) -> ServerLog:
    return ServerLog(own.directory / "log")


async def test_a_refresh_is_two_statements_each_of_its_own(own_api: Api, log: ServerLog) -> None:
    laptop = await own_api.login(EVE)
    token = laptop.refresh_token
    for _ in range(WARM_UP):
        token = (await refresh(own_api, token))["tokens"]["refreshToken"]
    log.skip()

    await refresh(own_api, token)

    assert log.statements() == ["SELECT sessions", "UPDATE sessions"]


async def test_a_sign_in_is_one_transaction_and_four_statements(
    own_api: Api, log: ServerLog
) -> None:
    for _ in range(WARM_UP):
        await own_api.login(EVE)
    log.skip()

    await own_api.login(EVE)

    assert log.statements() == [
        "SELECT users",
        "SELECT charge_budgets",
        "SELECT users",
        "BEGIN",
        "UPDATE users",
        "DELETE password_failures",
        "SELECT factors",
        "UPDATE users",
        "INSERT sessions",
        "UPDATE sessions",
        "INSERT audit_events",
        "COMMIT",
        "UPDATE budgets",
    ]
