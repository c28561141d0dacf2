"""A list below a list: the sessions of all users of a page are read with one statement."""

from collections.abc import AsyncIterator
from itertools import product
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock

PEOPLE = text(
    "INSERT INTO users (id, email, role, email_verified, created_at, updated_at)"
    " SELECT gen_random_uuid(), format('p%s@example.com', n), 'MEMBER', false, :now, :now"
    " FROM generate_series(1, :people) n"
)
# User n has n % 4 active sessions, some of which started at the same time, and one that is over.
SESSIONS = text(
    "INSERT INTO sessions (id, user_id, token_salt, rotated_at, created_at, last_used_at,"
    " expires_at, ends_by, ended_at)"
    " SELECT gen_random_uuid(), u.id, '', :now, t, :now, :later, :later,"
    " CASE WHEN n = 4 THEN :now END"
    " FROM users u, generate_series(1, 4) n,"
    " LATERAL (SELECT CAST(:now AS timestamptz) - make_interval(mins => n / 2) AS t) AS began"
    " WHERE u.email LIKE 'p%' AND"
    " (n <= CAST(substring(u.email FROM '[0-9]+') AS integer) % 4 OR n = 4)"
)
PAGE = """
  edges { cursor node { id isCurrent createdAt } } nodes { id } pageInfo {
    hasNextPage hasPreviousPage startCursor endCursor
  }
"""
ARGUMENTS = "$first: Int, $after: String, $last: Int, $before: String"
GIVEN = "first: $first, after: $after, last: $last, before: $before"
EVERYBODY = f"""
query Everybody($people: Int!, {ARGUMENTS}) {{
  users(first: $people) {{ nodes {{ id sessions({GIVEN}) {{ {PAGE} }} }} }}
}}
"""
ONE = f"""
query One($id: ID!, {ARGUMENTS}) {{
  user(by: {{id: $id}}) {{ id sessions({GIVEN}) {{ {PAGE} }} }}
}}
"""
TWO_WAYS = """
query TwoWays($people: Int!) {
  users(first: $people) {
    nodes { all: sessions { nodes { id } } newest: sessions(first: 1) { nodes { id } } }
  }
}
"""


@pytest.fixture(params=["repeated", "none"])
async def server(
    request: pytest.FixtureRequest, settings: Settings, clock: FakeClock
) -> AsyncIterator[FastAPI]:
    """A server whose limit on the cost of a document allows large pages of large pages."""
    changes = {"execution_plans": request.param, "limit_cost": 1_000_000}
    server = create_app(settings.model_copy(update=changes), clock)
    async with server.router.lifespan_context(server):
        yield server


@pytest.fixture
async def admin(
    server: FastAPI, api: Api, grace: Person, db: Database, clock: FakeClock
) -> AsyncIterator[Api]:
    """An administrator among thirty others, of whom some have sessions."""
    now = clock()
    clock.pass_(hours=1)
    async with db.begin() as session:
        await session.execute(PEOPLE, {"now": now, "people": 30})
        await session.execute(SESSIONS, {"now": now, "later": clock()})
    clock.reset()
    signed_in = await api.login(grace)
    async with Api.of(server) as client:
        client.access_token = signed_in.access_token
        yield client


def statements(server: FastAPI) -> int:
    return server.state.portico.services[Database].fetched_statements


async def count(server: FastAPI, admin: Api, query: str, **variables: Any) -> int:
    # Not counting the first request, whose document is new.
    await admin(query, **variables)
    before = statements(server)
    await admin(query, **variables)
    assert admin.errors == []
    return statements(server) - before


async def test_thirty_one_users_take_as_many_statements_as_one(server: FastAPI, admin: Api) -> None:
    # The viewer, the page of users, and the sessions of all of them.
    assert await count(server, admin, EVERYBODY, people=1) == 3
    assert await count(server, admin, EVERYBODY, people=31) == 3
    assert await count(server, admin, TWO_WAYS, people=31) == 4


async def test_each_page_equals_the_one_requested_alone(admin: Api) -> None:
    everybody = (await admin(EVERYBODY, people=31))["users"]["nodes"]
    cursors = {edge["cursor"] for user in everybody for edge in user["sessions"]["edges"]}
    ends: list[dict[str, Any]] = [{}, {"first": 0}, {"first": 1}, {"last": 2}, {"first": 100}]
    bounds: list[dict[str, Any]] = [{}, *({"after": each} for each in sorted(cursors)[::9])]
    bounds += [{"before": each} for each in sorted(cursors)[::9]]

    assert {len(user["sessions"]["nodes"]) for user in everybody} == {0, 1, 2, 3}
    for end, bound in product(ends, bounds):
        together = (await admin(EVERYBODY, people=31, **end, **bound))["users"]["nodes"]
        sample = together[::10]
        alone = [(await admin(ONE, id=user["id"], **end, **bound))["user"] for user in sample]
        assert sample == alone


async def test_members_see_their_own_sessions(api: Api, ada: Person) -> None:
    member = await api.login(ada)

    mine = await member("{ me { sessions { nodes { isCurrent } } } }")

    assert mine == {"me": {"sessions": {"nodes": [{"isCurrent": True}, {"isCurrent": False}]}}}
