"""Queries for users."""

import uuid
from itertools import chain, permutations, product
from typing import Any, cast

import pytest
from graphql import GraphQLObjectType
from sqlalchemy import text

from app.database.database import Database
from app.engine.engine import core_schema
from app.main import default_schema
from app.people.services.users import UserOrderField
from app.testing.clients import Api, Person

USERS = """
query Users(
  $first: Int, $after: String, $last: Int, $before: String, $filter: UserFilter, $orderBy: UserOrder
) {
  users(
    first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy
  ) {
    totalCount
    edges { cursor node { email } }
    nodes { email }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
USER = "query User($by: UserBy!) { user(by: $by) { email } }"
NODE = "query Node($id: ID!) { node(id: $id) { __typename id ... on User { email } } }"
ROOTS = {
    "me": "me { email sessions(first: 1) { nodes { isCurrent } } }",
    "users": "users(first: 1) { totalCount }",
    "user": 'user(by: {email: "grace@example.com"}) { sessions(first: 1) { nodes { isCurrent } } }',
}
ORDERS = list(product(UserOrderField.__members__, ("ASC", "DESC")))
# Four users per value, among them those who never signed in.
EQUAL = text(
    "UPDATE users SET created_at = CASE WHEN email > 'e' THEN now() ELSE created_at END,"
    " last_login_at = CASE WHEN email > 'e' THEN now() END WHERE email < 'grace'"
)
SELECTED = {
    "sessions": "{ nodes { id } }",
    "suspension": "{ reason until }",
    "factors": "{ id createdAt }",
    "acceptedPasskeys": "{ rpId userId allAcceptedCredentialIds }",
}
USER_FIELDS = cast("GraphQLObjectType", core_schema(default_schema()).type_map["User"]).fields
TWO_ROOTS = "{ me { email } a: users(first: 1) { totalCount } b: users(first: 1) { totalCount } }"


async def add(db: Database, *names: str, **columns: Any) -> None:
    """Insert users, created a second apart."""
    start = (await db.rows(text("SELECT count(*) FROM users")))[0][0]
    values = {"role": "MEMBER", "display_name": None, "email_verified": False} | columns
    async with db.begin() as session:
        for number, name in enumerate(names, start):
            await session.execute(
                text(
                    "INSERT INTO users"
                    " (id, email, role, display_name, email_verified, created_at, updated_at)"
                    " VALUES (:id, :email, :role, :display_name, :email_verified,"
                    " now() + make_interval(secs => :number), now())"
                ),
                {"id": uuid.uuid4(), "email": f"{name}@example.com", "number": number, **values},
            )


def names(users: dict[str, Any]) -> list[str]:
    return [edge["node"]["email"].partition("@")[0] for edge in users["edges"]]


async def walk(client: Api, forward: bool, **arguments: Any) -> list[list[str]]:
    """Follow the cursors to the end, and return the names on each page."""
    pages: list[list[str]] = []
    cursor: str | None = None
    while True:
        turn = {"first": 2, "after": cursor} if forward else {"last": 2, "before": cursor}
        users = (await client(USERS, **turn, **arguments))["users"]
        pages.append(names(users))
        info = users["pageInfo"]
        if not info["hasNextPage" if forward else "hasPreviousPage"]:
            return pages
        cursor = info["endCursor" if forward else "startCursor"]


async def test_a_page_has_edges_nodes_and_a_count(api: Api, grace: Person, db: Database) -> None:
    admin = await api.login(grace)
    await add(db, "b", "c")

    users = (await admin(USERS, first=2))["users"]

    assert names(users) == ["grace", "b"]
    assert [node["email"] for node in users["nodes"]] == ["grace@example.com", "b@example.com"]
    assert users["totalCount"] == 3
    assert users["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": users["edges"][0]["cursor"],
        "endCursor": users["edges"][1]["cursor"],
    }


async def test_paging_reaches_both_ends(api: Api, grace: Person, db: Database) -> None:
    admin = await api.login(grace)
    await add(db, "b", "c", "d", "e")

    assert await walk(admin, forward=True) == [["grace", "b"], ["c", "d"], ["e"]]
    assert await walk(admin, forward=False) == [["d", "e"], ["b", "c"], ["grace"]]


async def test_paging_skips_and_repeats_no_user_during_registrations(
    api: Api, grace: Person, db: Database
) -> None:
    admin = await api.login(grace)
    await add(db, "b", "c", "d")
    first = (await admin(USERS, first=2))["users"]
    last = (await admin(USERS, last=2))["users"]

    await add(db, "e", "f")

    after = (await admin(USERS, first=10, after=first["pageInfo"]["endCursor"]))["users"]
    before = (await admin(USERS, last=10, before=last["pageInfo"]["startCursor"]))["users"]
    assert (names(first), names(after)) == (["grace", "b"], ["c", "d", "e", "f"])
    assert (names(before), names(last)) == (["grace", "b"], ["c", "d"])


@pytest.mark.parametrize(("field", "direction"), ORDERS)
async def test_every_order_has_the_same_pages_in_both_directions(
    api: Api, grace: Person, db: Database, field: str, direction: str
) -> None:
    admin = await api.login(grace)
    await add(db, "b", "c", "d", "e")
    order = {"field": field, "direction": direction}

    forward = list(chain(*await walk(admin, forward=True, orderBy=order)))
    backward = list(chain(*reversed(await walk(admin, forward=False, orderBy=order))))

    assert forward == backward
    assert sorted(forward) == ["b", "c", "d", "e", "grace"]
    assert forward.index("grace") == (0 if (field, direction) in TOP else 4)


@pytest.mark.parametrize(("field", "direction"), ORDERS)
async def test_pages_are_contiguous_among_equal_and_null_values(
    api: Api, grace: Person, db: Database, field: str, direction: str
) -> None:
    admin = await api.login(grace)
    await add(db, *"bcdefgh")
    async with db.begin() as session:
        await session.execute(EQUAL)
    whole = names((await admin(USERS, orderBy={"field": field, "direction": direction}))["users"])

    for forward in (True, False):
        pages = await walk(admin, forward, orderBy={"field": field, "direction": direction})
        assert list(chain(*(pages if forward else reversed(pages)))) == whole
    turned = {"field": field, "direction": "ASC" if direction == "DESC" else "DESC"}
    assert names((await admin(USERS, orderBy=turned))["users"]) == whole[::-1]


TOP = {("CREATED_AT", "ASC"), ("LAST_LOGIN_AT", "DESC"), ("EMAIL", "DESC")}


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ({"search": "GRA"}, ["grace"]),
        ({"search": "hop"}, ["grace"]),
        ({"search": "%"}, ["per%cent"]),
        ({"search": "_"}, ["under_score"]),
        ({"role": "ADMIN"}, ["grace"]),
        ({"role": None}, ["grace", "per%cent", "under_score"]),
        ({"isActive": False}, []),
        ({"emailVerified": True}, ["per%cent", "under_score"]),
        ({"createdAt": {"before": "2020-01-01T00:00:00Z"}}, []),
        (
            {"createdAt": {"from": "2020-01-01T00:00:00+02:00"}},
            ["grace", "per%cent", "under_score"],
        ),
    ],
)
async def test_a_filter_applies_to_page_and_count(
    api: Api, grace: Person, db: Database, part: dict[str, Any], found: list[str]
) -> None:
    admin = await api.login(grace)
    await add(db, "per%cent", "under_score", email_verified=True)

    users = (await admin(USERS, filter=part))["users"]

    assert (names(users), users["totalCount"]) == (found, len(found))


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"first": -1}, "first"),
        ({"first": 101}, "first"),
        ({"last": 101}, "last"),
        ({"first": 1, "last": 1}, "first"),
        ({"after": "no cursor"}, "after"),
        ({"before": "00" * 28}, "before"),
        ({"before": "00" * 19}, "before"),
        ({"after": "ff" * 2000}, "after"),
        ({"filter": {"search": "nul\0"}}, "filter.search"),
    ],
)
async def test_an_error_names_the_invalid_argument(
    api: Api, grace: Person, arguments: dict[str, Any], argument: str
) -> None:
    admin = await api.login(grace)

    assert await admin(USERS, **arguments) == {"users": None}
    assert admin.last_code == "BAD_USER_INPUT"
    assert f"`{argument}`" in admin.errors[0]["message"]


@pytest.mark.parametrize(("field", "direction"), ORDERS)
async def test_a_cursor_of_another_order_is_refused(
    api: Api, grace: Person, field: str, direction: str
) -> None:
    admin = await api.login(grace)
    order = {"field": field, "direction": direction}
    cursor = (await admin(USERS, orderBy=order))["users"]["pageInfo"]["endCursor"]
    others = [{"field": f, "direction": d} for f, d in ORDERS if (f, d) != (field, direction)]

    for other in others:
        assert await admin(USERS, after=cursor, orderBy=other) == {"users": None}
        assert admin.last_code == "BAD_USER_INPUT"
        assert admin.errors[0]["message"] == (
            "`after` is not a cursor of this server and this order."
        )


async def test_an_empty_page_has_has_next_page(api: Api, grace: Person) -> None:
    admin = await api.login(grace)

    users = (await admin(USERS, first=0))["users"]

    assert users["edges"] == []
    assert users["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": None,
        "endCursor": None,
    }


async def test_root_fields_run_concurrently_on_a_cold_pool(
    api: Api, grace: Person, app: Any
) -> None:
    admin = await api.login(grace)
    await app.state.portico.services[Database].close()

    assert await admin(TWO_ROOTS) == {
        "me": {"email": grace.email},
        "a": {"totalCount": 1},
        "b": {"totalCount": 1},
    }


@pytest.mark.parametrize("order", list(permutations(ROOTS)), ids="-".join)
async def test_root_fields_do_not_disturb_each_other(
    api: Api, grace: Person, order: tuple[str, ...]
) -> None:
    admin = await api.login(grace)

    data = await admin("{ " + " ".join(ROOTS[name] for name in order) + " }")

    assert admin.errors == []
    assert data == {
        "me": {"email": grace.email, "sessions": {"nodes": [{"isCurrent": True}]}},
        "users": {"totalCount": 1},
        "user": {"sessions": {"nodes": [{"isCurrent": True}]}},
    }


async def test_members_can_see_only_themselves(api: Api, ada: Person, grace: Person) -> None:
    member = await api.login(ada)

    assert await member(USER, by={"id": ada.id}) == {"user": {"email": ada.email}}
    assert await member(USER, by={"email": "ADA@example.com"}) == {"user": {"email": ada.email}}
    assert await member(USER, by={"id": grace.id}) == {"user": None}
    assert await member(USER, by={"email": grace.email}) == {"user": None}
    assert await member(NODE, id=grace.id) == {"node": None}
    assert member.errors == []


async def test_administrators_can_see_all_users(api: Api, ada: Person, grace: Person) -> None:
    admin = await api.login(grace)

    assert await admin(USER, by={"id": ada.id}) == {"user": {"email": ada.email}}
    assert await admin(USER, by={"email": ada.email}) == {"user": {"email": ada.email}}
    assert await admin(NODE, id=ada.id) == {
        "node": {"__typename": "User", "id": ada.id, "email": ada.email}
    }
    assert await admin(USER, by={"email": "nobody@example.com"}) == {"user": None}


@pytest.mark.parametrize("wrong", ["", "garbage", "é", "Session_" + "0" * 32, "User_" + "0" * 31])
async def test_an_invalid_user_id_is_refused(api: Api, ada: Person, wrong: str) -> None:
    member = await api.login(ada)

    assert await member(USER, by={"id": wrong}) == {"user": None}
    assert member.last_code == "BAD_USER_INPUT"
    assert "`by.id`" in member.errors[0]["message"]


@pytest.mark.parametrize("order", list(UserOrderField.__members__))
@pytest.mark.parametrize("field", sorted(USER_FIELDS))
async def test_a_page_reads_the_columns_of_any_field(
    api: Api, grace: Person, field: str, order: str
) -> None:
    admin = await api.login(grace)
    below = SELECTED.get(field, "")
    each = f"users(orderBy: {{field: {order}}}) {{ nodes {{ {field} {below} }} }}"

    data = await admin(f"{{ {each} me {{ {field} {below} }} }}")

    assert admin.errors == []
    assert data["users"]["nodes"] == [data["me"]]
