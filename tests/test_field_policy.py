"""Limits that the schema declares: every field that tests a secret or sends an email is charged."""

from typing import Any, cast

import pytest
import strawberry
from graphql import (
    FieldDefinitionNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    parse,
)
from sqlalchemy import text

from app.accounts.limits import PASSWORD
from app.database.database import Database
from app.engine.engine import core_schema
from app.engine.limits import DocumentLimits, measure
from app.graphql.access import admin_field, guest_field, member_field
from app.graphql.costs import costly_field
from app.graphql.field_policy import (
    connection_fields,
    costly_fields,
    credential_fields,
    field_costs,
)
from app.graphql.pagination import First, PageInfo
from app.graphql.schema import print_sdl
from app.main import create_app, default_schema
from app.modules import MODULES, attempts_of, budgets_of
from app.people.limits import INVITATION
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from tests.support.authenticator import enroll, verify
from tests.support.operations import smallest
from tests.support.passkeys import SoftwareAuthenticator, register
from tests.support.servers import ROOT

OWN = default_schema()
SDL = print_sdl(OWN)
SCHEMA: GraphQLSchema = build_schema(SDL)
SECRETS = ("password", "token", "code", "secret", "credential", "answer")
# Values with which mutations succeed, by the names of input fields. Other passwords,
# tokens and texts are derived from the schema.
VALUES = {"email": "new@example.com", "newEmail": "new@example.com", "role": "ADMIN"}


def attempts() -> dict[str, str | None]:
    """Returns the attempt in the directive of each mutation, as a client reads it."""
    document = parse(SDL)
    mutation: Any = next(
        each for each in document.definitions if getattr(each, "name", None) and _is_root(each)
    )
    return {field.name.value: _attempt(field) for field in mutation.fields}


def _is_root(definition: Any) -> bool:
    return definition.name.value == "Mutation"


def _attempt(field: FieldDefinitionNode) -> str | None:
    directives: Any = field.directives or ()
    printed_as = [each for each in directives if each.name.value == "rateLimited"]
    return printed_as[0].arguments[0].value.value if printed_as else None


ATTEMPTS = attempts()
CHARGED = {name for name, attempt in ATTEMPTS.items() if attempt}
NOT_CHARGED = set(ATTEMPTS) - CHARGED
DECLARED = {attempt.name: attempt for attempt in attempts_of(MODULES)}
ONCE = {name for name in CHARGED if DECLARED[str(ATTEMPTS[name])].once}


def _cost(field: FieldDefinitionNode) -> int | None:
    directives: Any = field.directives or ()
    printed = [each for each in directives if each.name.value == "cost"]
    return int(printed[0].arguments[0].value.value) if printed else None


def inputs_of(name: str) -> set[str]:
    """Returns the names of all fields of all inputs of a mutation, at any depth."""
    assert SCHEMA.mutation_type
    todo: list[Any] = [each.type for each in SCHEMA.mutation_type.fields[name].args.values()]
    names, seen = set[str](), set[str]()
    while todo:
        kind: Any = cast("Any", get_named_type)(todo.pop())
        if isinstance(kind, GraphQLInputObjectType) and kind.name not in seen:
            seen.add(kind.name)
            names |= set(kind.fields)
            todo += [field.type for field in kind.fields.values()]
    return names


def _is_secret(name: str) -> bool:
    return any(secret in name.lower() for secret in SECRETS)


async def ask(client: Api, name: str, **values: Any) -> Any:
    """Call a mutation with its required arguments, every secret that it takes, and these values."""
    secrets = {each for each in inputs_of(name) if _is_secret(each)}
    asked = smallest("mutation", name, optional={"input", *secrets} if secrets else ())
    return (await client(asked.document, **_replaced(asked.variables, VALUES | values)))[name]


def _replaced(value: Any, values: dict[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    return {key: values.get(key, _replaced(each, values)) for key, each in fields.items()}


def test_the_attempts_of_modules_are_those_that_fields_declare() -> None:
    enum = SCHEMA.get_type("Attempt")

    assert isinstance(enum, GraphQLEnumType)
    printed_values = {name: each.description for name, each in enum.values.items()}
    assert printed_values == {name: each.description for name, each in DECLARED.items()}
    assert set(printed_values) == set(ATTEMPTS.values()) - {None}


def test_every_field_that_takes_a_secret_is_charged() -> None:
    takes = {name for name in ATTEMPTS if any(map(_is_secret, inputs_of(name)))}

    assert takes - CHARGED == set()
    assert takes - ONCE == set()


@pytest.mark.parametrize("name", sorted(NOT_CHARGED))
async def test_a_field_that_is_not_charged_sends_no_email(
    api: Api, ada: Person, grace: Person, db: Database, name: str
) -> None:
    # Who has not proved their address cannot enroll a factor.
    await verify(db, grace)
    admin, victim = await api.login(grace), await api.login(ada)

    await ask(admin, name, userId=ada.id, sessionId=str(victim.session_id))

    assert admin.errors == []
    assert await db.rows(text("SELECT entrypoint FROM pgqueuer")) == []


@pytest.mark.parametrize("name", sorted(CHARGED))
async def test_a_field_that_is_charged_is_limited(
    settings: Settings,
    clock: FakeClock,
    outbox: Outbox,
    api: Api,
    ada: Person,
    grace: Person,
    db: Database,
    name: str,
) -> None:
    one_each = {budget.setting: 1 for budget in budgets_of(MODULES)}
    changes = {"throttle_scale": 1.0, **one_each}
    app = create_app(settings.model_copy(update=changes), clock, outbox)
    admin, factor_id, passkey_id = await api.login(grace), "", ""
    if ATTEMPTS[name] == "FACTOR_CHANGE":
        enrolled = await enroll(api, db, grace, clock)
        admin, factor_id = enrolled.session, enrolled.factor_id
    if name == "renamePasskey":
        await verify(db, grace)
        passkey_id = (await register(admin, SoftwareAuthenticator()))["factor"]["id"]
    async with db.begin() as session:
        await session.execute(text("DELETE FROM budgets"))
    values = {"userId": ada.id, "factorId": factor_id, "passkeyId": passkey_id}
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        client = Api(guest.http, admin.access_token)
        # Three: the first `logout` ends the session, so it is not charged.
        first, _, third = [await ask(client, name, **values) for _ in range(3)]

    assert first["__typename"] not in {"RateLimited", "NotFound", None}
    limited = third and third["__typename"]
    assert limited == "RateLimited" or client.last_code == "RATE_LIMITED"


@pytest.mark.parametrize("name", sorted(CHARGED))
async def test_an_operation_tests_at_most_one_secret(api: Api, grace: Person, name: str) -> None:
    admin = await api.login(grace)
    asked = smallest("mutation", name, aliases=("a", "b"))

    await admin(asked.document, **asked.variables)

    refused = [each["extensions"].get("limit") for each in admin.errors]
    assert (refused == ["credentials"]) == (name in ONCE)


def test_every_field_with_a_page_size_costs_that_size() -> None:
    paged = {
        field.name.value
        for definition in parse(SDL).definitions
        for field in getattr(definition, "fields", ()) or ()
        if {"first", "last"} & {each.name.value for each in getattr(field, "arguments", ()) or ()}
    }

    assert set(connection_fields(core_schema(OWN))) == paged
    assert paged == {"users", "sessions", "auditEvents"}


def test_a_page_without_a_size_argument_costs_the_default_size() -> None:
    @strawberry.type
    class NoteConnection:
        nodes: list[str]
        page_info: PageInfo

    @strawberry.type
    class Query:
        @strawberry.field
        def notes(self) -> NoteConnection | None:
            return None

    core = core_schema(strawberry.Schema(Query))
    measured = measure(parse("{ notes { nodes } }"), DocumentLimits(), field_costs(core))

    assert measured.operations[None]["cost"] == 1 + 50


def test_fields_that_count_a_whole_list_cost_as_much_as_they_say() -> None:
    costly = {
        f"{definition.name.value}.{field.name.value}": (_cost(field), field.description.value)
        for definition in cast("Any", parse(SDL)).definitions
        for field in getattr(definition, "fields", ()) or ()
        if field.name.value.endswith("Count") or _cost(field) is not None
    }

    assert {name: cost for name, (cost, _) in costly.items()} == {
        "UserConnection.totalCount": costly_fields(core_schema(OWN))["totalCount"]
    }
    assert all(text.endswith(f"Costs {cost:,}.") for cost, text in costly.values())


async def test_an_operation_counts_all_users_at_most_four_times(api: Api, grace: Person) -> None:
    admin = await api.login(grace)

    def counts(number: int) -> str:
        return f"{{ {' '.join(f'a{n}: users {{ totalCount }}' for n in range(number))} }}"

    assert await admin(counts(4)) == {f"a{n}": {"totalCount": 1} for n in range(4)}
    assert await admin(counts(5)) is None
    assert admin.errors[0]["message"] == "The operation costs 10,005; 10,000 are allowed."


def test_the_highest_cost_of_a_name_counts() -> None:
    @strawberry.type
    class Cheap:
        count: int = costly_field(cost=5, description="Some.")

    @strawberry.type
    class Query:
        cheap: Cheap
        count: int = costly_field(cost=7, description="All.")

    assert costly_fields(core_schema(strawberry.Schema(Query))) == {"count": 7}


def test_a_new_connection_or_secret_needs_only_its_declaration() -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        def notes(self, first: First = None) -> list[str]:
            return ["note"] * (first or 1)

        @member_field(description="Tests a secret.", limited_as=PASSWORD)
        async def unlock(self) -> bool:
            return True

        @admin_field(description="Sends an email.", limited_as=INVITATION)
        async def invite(self) -> bool:
            return True

    core = core_schema(strawberry.Schema(Query))

    assert (connection_fields(core), credential_fields(core)) == ({"notes": 50}, {"unlock"})


def test_a_field_for_guests_cannot_be_charged_to_a_user() -> None:
    with pytest.raises(ValueError, match="PASSWORD is counted per user"):
        guest_field(description="Tests a secret.", limited_as=PASSWORD)


def test_each_budget_is_documented_for_clients() -> None:
    page = (ROOT / "docs" / "clients" / "limits.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if "`THROTTLE_" in line]
    documented = {row[3].strip(): int(row[2].split()[0]) for row in rows}

    expected = {f"`{each.setting.upper()}`": each.maximum for each in budgets_of(MODULES)}
    assert documented == expected
