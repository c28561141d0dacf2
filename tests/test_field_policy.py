"""Limits that the schema declares: every field that tests a secret or sends an email is charged."""

from typing import Any, cast

import pytest
import strawberry
from graphql import (
    FieldDefinitionNode,
    GraphQLInputObjectType,
    GraphQLSchema,
    build_schema,
    get_named_type,
    parse,
)
from sqlalchemy import text

from app.database.database import Database
from app.engine.engine import core_schema
from app.graphql.access import admin_field, member_field
from app.graphql.field_policy import connection_fields, credential_fields
from app.graphql.pagination import First
from app.graphql.schema import print_sdl
from app.main import create_app, default_schema
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from app.throttle.services.budgets import Budget
from app.throttle.services.throttle import Tried

OWN = default_schema()
SDL = print_sdl(OWN)
SCHEMA: GraphQLSchema = build_schema(SDL)
SECRETS = ("password", "token", "code", "secret", "credential", "answer")
POT = '"pot_' + "x" * 43 + '"'
# How each field that is charged is asked so that it counts.
COUNTED = {
    "register": 'register(input: {email: "new@example.com", password: "an apple a day 42"})',
    "login": 'login(input: {email: "ada@example.com", password: "wrong"})',
    "refreshSession": 'refreshSession(input: {refreshToken: "prt_unknown"})',
    "verifyEmail": f"verifyEmail(input: {{token: {POT}}})",
    "requestEmailVerification": 'requestEmailVerification(input: {email: "ada@example.com"})',
    "requestPasswordReset": 'requestPasswordReset(input: {email: "ada@example.com"})',
    "resetPassword": f'resetPassword(input: {{token: {POT}, newPassword: "x"}})',
    "changePassword": 'changePassword(input: {currentPassword: "wrong", newPassword: "x"})',
    "requestEmailChange": (
        'requestEmailChange(input: {newEmail: "new@example.com", password: "wrong"})'
    ),
    "confirmEmailChange": f"confirmEmailChange(input: {{token: {POT}}})",
    "updateProfile": 'updateProfile(input: {displayName: "Grace"})',
    "deleteAccount": 'deleteAccount(input: {password: "wrong"})',
    "createUser": 'createUser(input: {email: "new@example.com"})',
    "deleteUser": 'deleteUser(input: {userId: "$user"})',
    "exportPersonalData": 'exportPersonalData(input: {password: "wrong"})',
    "exportUserData": 'exportUserData(input: {userId: "$user"})',
}
# How every other mutation is asked so that it does what it is for.
OTHERS = {
    "logout": "logout { sessionsEnded }",
    "logoutEverywhere": "logoutEverywhere { sessionsEnded }",
    "revokeSession": 'revokeSession(input: {sessionId: "$session"}) { __typename }',
    "setUserRole": 'setUserRole(input: {userId: "$user", role: ADMIN}) { __typename }',
    "suspendUser": 'suspendUser(input: {userId: "$user", reason: "x"}) { __typename }',
    "reinstateUser": 'reinstateUser(input: {userId: "$user"}) { __typename }',
    "endUserSessions": 'endUserSessions(input: {userId: "$user"}) { __typename }',
}


def attempts() -> dict[str, str | None]:
    """What each mutation prints that it tries, read as a client would."""
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
ONCE = {name for name, attempt in ATTEMPTS.items() if attempt and Tried[attempt].once}


def inputs_of(name: str) -> set[str]:
    """The names of all fields of all inputs of a mutation, however deep."""
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


def test_every_mutation_is_asked_here() -> None:
    assert (set(COUNTED), set(OTHERS)) == (CHARGED, set(ATTEMPTS) - CHARGED)


def test_every_field_that_takes_a_secret_is_charged() -> None:
    takes = {
        name
        for name in ATTEMPTS
        if any(secret in field.lower() for field in inputs_of(name) for secret in SECRETS)
    }

    assert takes - CHARGED == set()
    assert takes - ONCE == set()


@pytest.mark.parametrize("name", OTHERS)
async def test_a_field_that_is_not_charged_sends_no_email(
    api: Api, ada: Person, grace: Person, db: Database, name: str
) -> None:
    admin, victim = await api.login(grace), await api.login(ada)
    ask = OTHERS[name].replace("$user", ada.id).replace("$session", str(victim.session_id))

    await admin(f"mutation {{ {ask} }}")

    assert admin.errors == []
    assert await db.rows(text("SELECT entrypoint FROM pgqueuer")) == []


@pytest.mark.parametrize("name", COUNTED)
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
    one_each = {f"throttle_{budget.name.lower()}": 1 for budget in Budget}
    changes = {"throttle_scale": 1.0, **one_each}
    app = create_app(settings.model_copy(update=changes), clock, outbox)
    admin = await api.login(grace)
    async with db.begin() as session:
        await session.execute(text("DELETE FROM budgets"))
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        client = Api(guest.http, admin.access_token)
        asked = COUNTED[name].replace("$user", ada.id)
        mutation = f"mutation {{ done: {asked} {{ __typename }} }}"
        first, second = await client(mutation), await client(mutation)

    assert ada.email == "ada@example.com"
    assert first["done"]["__typename"] not in {"RateLimited", None}
    limited = second["done"] and second["done"]["__typename"]
    assert limited == "RateLimited" or client.last_code == "RATE_LIMITED"


@pytest.mark.parametrize("name", COUNTED)
async def test_an_operation_tests_one_secret_however_it_is_written(
    api: Api, grace: Person, name: str
) -> None:
    admin = await api.login(grace)
    asked = COUNTED[name]

    await admin(f"mutation {{ a: {asked} {{ __typename }} b: {asked} {{ __typename }} }}")

    refused = [each["extensions"].get("limit") for each in admin.errors]
    assert (refused == ["credentials"]) == (name in ONCE)


def test_every_field_that_takes_the_size_of_a_page_costs_one() -> None:
    paged = {
        field.name.value
        for definition in parse(SDL).definitions
        for field in getattr(definition, "fields", ()) or ()
        if {"first", "last"} & {each.name.value for each in getattr(field, "arguments", ()) or ()}
    }

    assert set(connection_fields(core_schema(OWN))) == paged
    assert paged == {"users", "sessions", "auditEvents"}


def test_a_new_connection_and_a_new_secret_need_nothing_but_their_declaration() -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        def notes(self, first: First = None) -> list[str]:
            return ["note"] * (first or 1)

        @member_field(description="Tests a secret.", tries=Tried.PASSWORD)
        async def unlock(self) -> bool:
            return True

        @admin_field(description="Sends an email.", tries=Tried.INVITATION)
        async def invite(self) -> bool:
            return True

    core = core_schema(strawberry.Schema(Query))

    assert (connection_fields(core), credential_fields(core)) == ({"notes": 50}, {"unlock"})


def test_each_budget_has_a_setting() -> None:
    named = {name.removeprefix("throttle_") for name in Settings.model_fields}

    assert {budget.name.lower() for budget in Budget} <= named
