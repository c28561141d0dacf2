"""Cursors: opaque, bound to one order, and valid on this server only."""

from itertools import permutations, product
from typing import Any

import pytest
from pydantic import SecretStr

from app.engine.engine import core_schema
from app.graphql.field_policy import connection_fields
from app.main import create_app, default_schema
from app.people.services.users import UserOrderField
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from tests.sessions.test_access_tokens import NEW_SECRET, OLD_SECRET

USERS = """
query Users($after: String, $orderBy: UserOrder) {
  users(first: 5, after: $after, orderBy: $orderBy) { edges { cursor node { email } } }
}
"""
OTHER_PAGES = {
    "sessions": "query ($after: String) { me { page: sessions(after: $after) { %s } } }",
    "auditEvents": "query ($after: String) { page: auditEvents(after: $after) { %s } }",
}
ORDERS = [
    {"field": field, "direction": direction}
    for field, direction in product(UserOrderField.__members__, ("ASC", "DESC"))
]
PERSONAL = [order for order in ORDERS if order["field"] != "CREATED_AT"]


async def cursor_of(client: Api, person: Person, order: dict[str, str]) -> str:
    edges = (await client(USERS, orderBy=order))["users"]["edges"]
    return next(edge["cursor"] for edge in edges if edge["node"]["email"] == person.email)


def people(answer: Any) -> list[str]:
    return [edge["node"]["email"] for edge in answer["users"]["edges"]]


async def is_refused(client: Api, cursor: str, order: dict[str, str]) -> bool:
    answer = await client(USERS, after=cursor, orderBy=order)
    return (answer, client.last_code) == ({"users": None}, "BAD_USER_INPUT")


@pytest.mark.parametrize("order", PERSONAL)
async def test_a_cursor_reveals_no_personal_data(
    api: Api, ada: Person, grace: Person, order: dict[str, str]
) -> None:
    admin = await api.login(grace)

    decoded = bytes.fromhex(await cursor_of(admin, ada, order))

    assert ada.email.encode() not in decoded
    assert bytes.fromhex(ada.id.removeprefix("User_")) not in decoded


async def test_a_cursor_by_creation_contains_an_id_and_a_time(
    api: Api, ada: Person, grace: Person
) -> None:
    admin = await api.login(grace)

    decoded = bytes.fromhex(await cursor_of(admin, ada, ORDERS[0]))

    # A checksum of the order's name, the id, and days, seconds and microseconds.
    assert (len(decoded), decoded[4:20].hex()) == (4 + 16 + 12, ada.id.removeprefix("User_"))


@pytest.mark.parametrize("order", ORDERS)
async def test_each_position_has_exactly_one_cursor(
    api: Api, ada: Person, grace: Person, order: dict[str, str]
) -> None:
    admin = await api.login(grace)
    cursor = await cursor_of(admin, ada, order)

    assert await cursor_of(admin, ada, order) == cursor
    for other in (cursor.upper(), f" {cursor}", f"{cursor[:2]} {cursor[2:]}", f"{cursor}\n"):
        assert other == cursor or await is_refused(admin, other, order)


@pytest.mark.parametrize("order", PERSONAL)
async def test_a_cursor_that_was_changed_anywhere_is_refused(
    api: Api, ada: Person, grace: Person, order: dict[str, str]
) -> None:
    admin = await api.login(grace)
    cursor = bytes.fromhex(await cursor_of(admin, ada, order))

    for place in range(len(cursor)):
        changed = bytearray(cursor)
        changed[place] ^= 1
        assert await is_refused(admin, changed.hex(), order)
    for size in range(len(cursor)):
        assert await is_refused(admin, cursor[:size].hex(), order)
    assert await is_refused(admin, cursor.hex() + "00", order)
    assert not await is_refused(admin, cursor.hex(), order)


def test_the_cursors_of_every_connection_are_tested_here() -> None:
    pages = connection_fields(core_schema(default_schema()))

    assert {"users", *OTHER_PAGES} == set(pages)


async def test_a_cursor_of_one_connection_is_refused_by_another(
    api: Api, ada: Person, grace: Person
) -> None:
    admin = await api.login(grace)
    asked = {name: query % "edges { cursor }" for name, query in OTHER_PAGES.items()}
    cursors = {name: await first_cursor(admin, query) for name, query in asked.items()}

    for order in ORDERS:
        assert all([await is_refused(admin, cursor, order) for cursor in cursors.values()])
        of_user = await cursor_of(admin, ada, order)
        for query in asked.values():
            await admin(query, after=of_user)
            assert admin.last_code == "BAD_USER_INPUT"
    for name, other in permutations(OTHER_PAGES, 2):
        await admin(asked[name], after=cursors[other])
        assert admin.last_code == "BAD_USER_INPUT"


async def first_cursor(client: Api, query: str) -> str:
    data: Any = await client(query)
    page = data.get("page") or data["me"]["page"]
    return page["edges"][0]["cursor"]


@pytest.mark.parametrize("order", PERSONAL)
async def test_cursors_survive_a_change_of_the_secret_and_are_valid_on_this_server_only(
    api: Api,
    ada: Person,
    grace: Person,
    settings: Settings,
    clock: FakeClock,
    order: dict[str, str],
) -> None:
    admin = await api.login(grace)
    former = await cursor_of(admin, ada, order)
    secret = SecretStr(f"{NEW_SECRET},{OLD_SECRET}")
    changed = create_app(settings.model_copy(update={"secret_key": secret}), clock)

    async with changed.router.lifespan_context(changed), Api.of(changed) as elsewhere:
        theirs = elsewhere.with_bearer(admin.access_token or "")
        after_former = await theirs(USERS, after=former, orderBy=order)
        current = await cursor_of(theirs, ada, order)

    assert people(after_former) == people(await admin(USERS, after=former, orderBy=order))
    assert current != former
    assert await is_refused(admin, current, order)
