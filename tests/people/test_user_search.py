"""Searches among many users: every filter, order and page uses an index."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, cast
from uuid import UUID

import pytest
from sqlalchemy import BigInteger, Text, column, func, literal_column, select, table, text

from app.database import migrations
from app.database.database import Database, Query, connect
from app.database.keyset_pages import PageRequest, Position
from app.database.replica import Replica
from app.people.services.users import (
    ALL_COLUMNS,
    UserFilter,
    UserOrder,
    UserOrderField,
    Users,
    page_query,
)
from app.testing.databases import on_server
from app.users.models import Role

PEOPLE = 200_000
START = datetime(2026, 1, 1, tzinfo=UTC)
MAKE = f"""
INSERT INTO users (id, email, email_verified, display_name, role, created_at, updated_at,
                   last_login_at, suspended_at, external_id)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       md5(n::text) || '@example.com', n % 20 > 0, 'Name ' || n,
       CASE WHEN n % 1000 = 0 THEN 'ADMIN' ELSE 'MEMBER' END,
       timestamptz '2026-01-01 00:00:00Z' + n * interval '1 second', now(),
       CASE WHEN n % 3 > 0 THEN timestamptz '2026-02-01 00:00:00Z' + n % 1000 * interval '1 h' END,
       CASE WHEN n % 999 = 0 THEN now() END,
       CASE WHEN n % 2 = 0 THEN 'auth0|' || n END
FROM generate_series(1, {PEOPLE}) n
"""  # noqa: S608 - a number of ours
INDEXES = text(
    "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'users' AND indexname ~ '^ix_'"
)
# On the same connection.
PLANS_OF_SEARCHES = Query(
    select(column("custom_plans", BigInteger), column("generic_plans", BigInteger))
    .select_from(table("pg_prepared_statements"))
    .where(
        column("statement", Text).like(literal_column("'SELECT%ILIKE%'", Text)),
        func.cardinality(column("parameter_types")) > literal_column("0"),
    )
)
FILTERS = {
    "everybody": UserFilter(),
    "members": UserFilter(role=Role.MEMBER),
    "administrators": UserFilter(role=Role.ADMIN),
    "active": UserFilter(is_active=True),
    "suspended": UserFilter(is_active=False),
    "verified": UserFilter(email_verified=True),
    "unverified": UserFilter(email_verified=False),
}
AN_HOUR = UserFilter(
    created_from=START + timedelta(hours=10), created_before=START + timedelta(hours=11)
)
RARE = UserFilter(search="name 199999")
COMMON = UserFilter(search="example.com")
ORDERS = [UserOrder(*each) for each in product(UserOrderField, (False, True))]
FIRST = PageRequest()
# A page of 51, of which the last only shows that there are more, and a few filtered rows.
PAGE = 60


@pytest.fixture(scope="module")
async def crowd(server_url: str, migrated_url: str) -> AsyncIterator[Database]:
    """Returns a database with 200,000 users."""
    name = migrated_url.rpartition("/")[2].partition("?")[0] + "_crowd"
    url = migrated_url.replace(name.removesuffix("_crowd"), name)
    await on_server(server_url, f'CREATE DATABASE "{name}"')
    await asyncio.to_thread(migrations.upgrade, url)
    database = Database(connect(url, pool_size=5), pool_size=5)
    async with database.begin() as session:
        await session.execute(text("SET LOCAL statement_timeout = 0"))
        # Faster to build afterwards than to maintain during the inserts.
        indexes = (await session.execute(INDEXES)).all()
        for index, _ in indexes:
            await session.execute(text(f"DROP INDEX {index}"))
        for statement in (MAKE, *(definition for _, definition in indexes), "ANALYZE users"):
            await session.execute(text(statement))
    yield database
    await database.close()
    await on_server(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def plan(
    db: Database, found: UserFilter, order: UserOrder, request: PageRequest
) -> list[dict[str, Any]]:
    """Returns the nodes of the plan of a page, as the database plans it for the service.

    That is one for all values, but where the service has it made for these.
    """
    query, _ = page_query(found, order, request.shape, ALL_COLUMNS)
    values = request.values | Users(db, Replica(db), lambda: datetime.now(UTC)).values(found)
    mode = "force_custom_plan" if query.plan_depends_on_values else "force_generic_plan"
    arguments = ", ".join(f"'{values[name]}'" for name in query.names)
    async with db.engine.connect() as connection:
        for statement in (
            f"SET LOCAL plan_cache_mode = {mode}",
            f"PREPARE page AS {query.sql}",
        ):
            await connection.exec_driver_sql(statement)
        explained = f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE page({arguments})"
        rows = (await connection.exec_driver_sql(explained)).all()
        await connection.exec_driver_sql("DEALLOCATE page")
    return list(nodes(rows[0][0][0]["Plan"]))


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from nodes(below)


def kinds(steps: list[dict[str, Any]]) -> set[str]:
    return {step["Node Type"] for step in steps}


def read(steps: list[dict[str, Any]]) -> int:
    """Returns how many rows were scanned, including those that a filter removed."""
    return sum(
        step["Actual Rows"] + step.get("Rows Removed by Filter", 0)
        for step in steps
        if "Scan" in step["Node Type"]
    )


def deep(order: UserOrder) -> PageRequest:
    """Returns the request of a page after half of all users."""
    values: dict[UserOrderField, Any] = {
        UserOrderField.CREATED_AT: START + timedelta(seconds=PEOPLE // 2),
        UserOrderField.LAST_LOGIN_AT: datetime(2026, 2, 20, tzinfo=UTC),
        UserOrderField.EMAIL: "8",
    }
    return PageRequest(after=Position(values[order.field], UUID(int=0)))


async def test_every_filter_and_order_scans_an_index_from_the_start_of_the_page(
    crowd: Database,
) -> None:
    for (name, found), order in product(FILTERS.items(), ORDERS):
        for request in (FIRST, deep(order)):
            steps = await plan(crowd, found, order, request)

            assert kinds(steps) <= {"Limit", "Index Scan", "Index Only Scan"}, (name, order)
            assert read(steps) <= PAGE, (name, order, request)


async def test_a_range_of_creation_times_uses_an_index(crowd: Database) -> None:
    for order in ORDERS:
        for request in (FIRST, deep(order)):
            steps = await plan(crowd, AN_HOUR, order, request)

            assert "Seq Scan" not in kinds(steps)
            # In other orders two ranges are combined, and no index has both.
            in_order = order.field is UserOrderField.CREATED_AT
            assert read(steps) <= (PAGE if in_order else PEOPLE // 10)


async def test_an_external_id_uses_its_index_in_every_order(crowd: Database) -> None:
    found = UserFilter(external_id="auth0|199998")
    for order in ORDERS:
        steps = await plan(crowd, found, order, FIRST)

        assert {step.get("Index Name") for step in steps} - {None} == {"ix_users_external_id"}
        assert read(steps) == 1


@pytest.mark.parametrize("found", [RARE, COMMON], ids=["rare", "common"])
async def test_a_search_uses_its_index_if_the_server_has_one(
    crowd: Database, found: UserFilter
) -> None:
    indexed = await crowd.rows(text("SELECT 1 FROM pg_class WHERE relname = 'ix_users_search'"))

    for order in ORDERS:
        steps = await plan(crowd, found, order, FIRST)

        used = {step.get("Index Name") for step in steps}
        assert ("ix_users_search" in used) is (bool(indexed) and found is RARE)
        # Trigrams find a few rows too many, which are then filtered.
        assert read(steps) < (PEOPLE // 100 if found is COMMON or indexed else 2 * PEOPLE)


async def test_a_search_is_planned_for_its_values_after_any_number_of_others(
    crowd: Database,
) -> None:
    users, admin = Users(crowd, Replica(crowd), lambda: datetime.now(UTC)), cast("Any", None)
    for search in ["zq"] * 6 + [RARE.search]:
        await users.page(admin, UserFilter(search=search), UserOrder(), FIRST)

    plans = await crowd.fetch(PLANS_OF_SEARCHES)

    assert [tuple(row) for row in plans] == [(7, 0)]
