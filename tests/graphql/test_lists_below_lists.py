"""Every object below a page, however deep, takes as many statements for many entries as for few."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database import migrations
from app.database.database import Database
from app.engine.engine import core_schema
from app.main import create_app, default_schema
from app.modules import branches_of, modules_named
from app.testing.clients import Api, Person
from app.testing.databases import temporary_database
from app.testing.settings import settings_for
from tests.support.module_files import WriteModule, module_writer
from tests.support.page_positions import Position, positions

NOTES = "my_api.notes"
FEW, MANY = 4, 8
GRACE = Person("grace@example.com", "nanoseconds of wire", "Grace Hopper")
SUSPEND = """
mutation ($id: ID!) {
  suspendUser(input: {userId: $id, reason: "x", until: "2100-01-01T00:00:00Z"}) { __typename }
}
"""
NOTE = """
mutation { createNote(input: {title: "Milk", body: ""}) { ... on NoteSaved { note { id } } } }
"""
EVENT = '{ auditEvents(first: 1, filter: {names: ["note.created"]}) { nodes { id } } }'
ADD_FACTORS = """
INSERT INTO factors (id, user_id, kind, created_at)
SELECT gen_random_uuid(), id, 'TOTP', now() FROM users
"""
ADD_PASSKEY_USERS = """
INSERT INTO passkey_users (user_id, handle, created_at)
SELECT id, uuid_send(id), now() FROM users
"""
# Null for all users of a page but the viewer.
ONLY_OF_VIEWER = "acceptedPasskeys"
# `User.visits` asks the database for each user.
VISITS = """
    from typing import Any
    import strawberry
    from sqlalchemy import literal_column, select
    from app.database.database import Database, Query
    from app.graphql.columns import computed
    from app.graphql.schema_part import SchemaPart
    from app.users.schema import User

    ONE = Query(select(literal_column("1")))

    @strawberry.type(description="A visit.")
    class Visit:
        number: int = strawberry.field(description="Its number.")

    @strawberry.type
    class UserVisits:
        @computed(needs=(), description="The visits of the user.")
        async def visits(self: Any, info: strawberry.Info) -> list[Visit]:
            rows = await info.context.services[Database].fetch(ONE)
            return [Visit(number=number) for number, in rows]

    SCHEMA = SchemaPart(fields={User: UserVisits})
"""
VISITS_MODULE = """
    from app.module import Module
    MODULE = Module(name="visits", schema="PACKAGE.schema")
"""


@dataclass
class Counting:
    """An application that keeps how many statements its last request took, as in the access log."""

    app: FastAPI
    statements: int = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        state = scope.setdefault("state", {})
        await self.app(scope, receive, send)
        self.statements = state["line"].tally.statements


class Data(NamedTuple):
    """The access token of an administrator, and the ids of objects that belong to them."""

    access_token: str
    ids: dict[str, str]


class Comparison(NamedTuple):
    """The statements for few and for many entries, and whether there were more objects then."""

    statements: tuple[int, int]
    has_more_objects: bool

    @property
    def grows(self) -> bool:
        few, many = self.statements
        return few != many


@dataclass
class Scene:
    """A server, an administrator, and the ids of objects that belong to them."""

    server: Counting
    admin: Api
    ids: Mapping[str, str]
    modules: tuple[str, ...]

    async def count(self, document: str, size: int) -> tuple[int, Any]:
        """Returns how many statements a query took, and its data."""
        data = await self.admin(document, size=size)
        assert self.admin.errors == [], document
        return self.server.statements, data

    def positions(self) -> list[Position]:
        schema = core_schema(default_schema(modules_named(self.modules)))
        return [*positions(schema)]

    async def compare(self, position: Position) -> Comparison:
        """Ask for a position on a page of a few entries, and on one of twice as many."""
        document = position.document(self.ids)
        few, some = await self.count(document, FEW)
        many, more = await self.count(document, MANY)
        has_more = 0 < len(position.objects(some)) < len(position.objects(more))
        return Comparison((few, many), has_more)


@pytest.fixture(scope="module")
async def url(server_url: str) -> AsyncIterator[str]:
    async with temporary_database(server_url) as url:
        branches = branches_of(modules_named((NOTES,)))
        await asyncio.to_thread(migrations.upgrade, url, branches=branches)
        yield url


@pytest.fixture(scope="module")
async def data(url: str) -> Data:
    """The administrator has more sessions and notes than the largest page, and an event.

    Newer events are about the members, who have notes; every other one is suspended.
    """
    async with serving(url, (NOTES,), plans="all") as server, Api.of(server.app) as guest:
        grace = await guest.register(GRACE)
        database = server.app.state.portico.services[Database]
        async with database.begin() as session:
            await session.execute(text("UPDATE users SET role = 'ADMIN'"))
        devices = [await guest.login(GRACE) for _ in range(MANY)]
        people = [Person(f"p{n}@example.com", "difference engine 1") for n in range(MANY)]
        members = [(await guest.register(each), await guest.login(each)) for each in people]
        for device in devices:
            await device(NOTE)
        event = (await devices[0](EVENT))["auditEvents"]["nodes"][0]["id"]
        for number, (person, member) in enumerate(members):
            await member(NOTE)
            if number % 2:
                await devices[0](SUSPEND, id=person.id)
        # Last: from now on, signing in is not possible without a code.
        async with database.begin() as session:
            await session.execute(text(ADD_FACTORS))
            await session.execute(text(ADD_PASSKEY_USERS))
    assert devices[0].access_token
    return Data(devices[0].access_token, {"User": grace.id, "AuditEvent": event})


@asynccontextmanager
async def serving(url: str, modules: tuple[str, ...], *, plans: str) -> AsyncGenerator[Counting]:
    settings = settings_for(url, modules=modules, execution_plans=plans, limit_cost=1_000_000)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield Counting(app)


@asynccontextmanager
async def scene(
    url: str, data: Data, modules: tuple[str, ...], *, plans: str
) -> AsyncGenerator[Scene]:
    async with serving(url, modules, plans=plans) as server:
        transport = httpx.ASGITransport(server)
        async with httpx.AsyncClient(transport=transport, base_url="http://portico") as http:
            admin = Api(http, data.access_token)
            # The first request of a session writes when it was used.
            await admin("{ me { id } }")
            yield Scene(server, admin, data.ids, modules)


@pytest.fixture
def write(tmp_path: Path) -> Iterator[WriteModule]:
    with module_writer(tmp_path) as writer:
        yield writer


@pytest.mark.parametrize("plans", ["all", "none"])
async def test_more_entries_of_a_page_take_no_more_statements_for_any_object_below_them(
    url: str, data: Data, plans: str
) -> None:
    async with scene(url, data, (NOTES,), plans=plans) as notes:
        compared = {str(each): await notes.compare(each) for each in notes.positions()}

    growing = {name: each.statements for name, each in compared.items() if each.grows}
    without_more = [
        name
        for name, each in compared.items()
        if not each.has_more_objects and not name.endswith(f".{ONLY_OF_VIEWER}")
    ]
    assert growing == {}
    # If a new field is here, it needs objects in `data`.
    assert without_more == []


async def test_a_field_that_asks_the_database_for_each_user_is_found(
    url: str, data: Data, write: WriteModule
) -> None:
    name = write(module=VISITS_MODULE, schema=VISITS)

    async with scene(url, data, (name,), plans="all") as visits:
        added = [each for each in visits.positions() if each.steps[-1].name == "visits"]
        compared = {str(each): await visits.compare(each) for each in added}

    assert compared["users.nodes.visits"] == Comparison((2 + FEW, 2 + MANY), has_more_objects=True)
    assert all(each.grows for each in compared.values())
