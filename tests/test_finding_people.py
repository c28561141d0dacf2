"""How people are found among many: by an index, whatever is asked and however far in."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app import migrations
from app.db import Database, connect
from app.models import Role
from app.services.pages import PageRequest, Position
from app.services.rows import USER_COLUMNS
from app.services.users import UserFilter, UserOrder, UserOrderField, Users, page_query
from tests.conftest import on_server

PEOPLE = 200_000
START = datetime(2026, 1, 1, tzinfo=UTC)
MAKE = f"""
INSERT INTO users (id, email, email_verified, display_name, role, created_at, updated_at,
                   last_login_at, suspended_at)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       md5(n::text) || '@example.com', n % 20 > 0, 'Name ' || n,
       CASE WHEN n % 2000 = 0 THEN 'ADMIN' ELSE 'MEMBER' END,
       timestamptz '2026-01-01 00:00:00Z' + n * interval '1 second', now(),
       CASE WHEN n % 3 > 0 THEN timestamptz '2026-02-01 00:00:00Z' + n % 1000 * interval '1 h' END,
       CASE WHEN n % 5000 = 0 THEN now() END
FROM generate_series(1, {PEOPLE}) n
"""  # noqa: S608 - a number of ours
FILTERS = {
    "everybody": UserFilter(),
    "members": UserFilter(role=Role.MEMBER),
    "administrators": UserFilter(role=Role.ADMIN),
    "active": UserFilter(is_active=True),
    "suspended": UserFilter(is_active=False),
    "verified": UserFilter(email_verified=True),
    "unverified": UserFilter(email_verified=False),
    "of an hour": UserFilter(
        created_from=START + timedelta(hours=10), created_before=START + timedelta(hours=11)
    ),
}
RARE = UserFilter(search="name 199999")
COMMON = UserFilter(search="example.com")


@pytest.fixture(scope="module")
async def crowd(server_url: str, database_url: str) -> AsyncIterator[Database]:
    """200,000 people in a database of their own."""
    name = database_url.rpartition("/")[2].partition("?")[0] + "_crowd"
    await on_server(server_url, f'CREATE DATABASE "{name}"')
    url = database_url.replace(name.removesuffix("_crowd"), name)
    await asyncio.to_thread(migrations.upgrade, url)
    database = Database(connect(url, pool_size=5), pool_size=5)
    async with database.begin() as session:
        await session.execute(text(MAKE))
        await session.execute(text("ANALYZE users"))
    yield database
    await database.close()
    await on_server(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def plan(
    db: Database, found: UserFilter, order: UserOrder, request: PageRequest
) -> list[dict[str, Any]]:
    """The nodes of the plan for a page, as the service would read it."""
    query = page_query(found, order, request.form, USER_COLUMNS)
    values = request.values | Users(db, lambda: datetime.now(UTC)).values(found)
    async with db.engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        arguments = [values[name] for name in query.names]
        rows = await driver.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {query.sql}", *arguments)
    return list(nodes(rows[0][0][0]["Plan"]))


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from nodes(below)


def read(found: list[dict[str, Any]]) -> int:
    """How many rows were looked at, those that a filter threw away among them."""
    return sum(
        node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        for node in found
        if "Scan" in node["Node Type"]
    )


def deep(order: UserOrder) -> PageRequest:
    """A page after half of all people."""
    values: dict[UserOrderField, Any] = {
        UserOrderField.CREATED_AT: START + timedelta(seconds=PEOPLE // 2),
        UserOrderField.LAST_LOGIN_AT: datetime(2026, 2, 20, tzinfo=UTC),
        UserOrderField.EMAIL: "8",
    }
    return PageRequest(after=Position(values[order.field], UUID(int=0)))


ORDERS = [UserOrder(*each) for each in product(UserOrderField, (False, True))]


@pytest.mark.parametrize("found", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize("order", ORDERS, ids=lambda o: f"{o.field.value}-{o.descending}")
async def test_a_page_reads_little_wherever_it_is(
    crowd: Database, found: UserFilter, order: UserOrder
) -> None:
    for request in (PageRequest(), deep(order)):
        steps = await plan(crowd, found, order, request)

        assert "Seq Scan" not in {step["Node Type"] for step in steps}
        # A page of 51, or all of the few there are, and what lies between them.
        assert read(steps) < PEOPLE // 10


@pytest.mark.parametrize("found", [RARE, COMMON], ids=["rare", "common"])
async def test_a_search_uses_its_index_where_the_server_has_one(
    crowd: Database, found: UserFilter
) -> None:
    indexed = await crowd.rows(text("SELECT 1 FROM pg_class WHERE relname = 'ix_users_search'"))

    steps = await plan(crowd, found, UserOrder(), PageRequest())

    used = {step.get("Index Name") for step in steps}
    assert ("ix_users_search" in used) is (bool(indexed) and found is RARE)
    assert found is RARE or read(steps) < PEOPLE // 10
