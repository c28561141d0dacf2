"""Every root field as guest, member and administrator, held to the `@access` it prints."""

from typing import Any

import pytest
from graphql import FieldDefinitionNode, ObjectTypeDefinitionNode, parse
from sqlalchemy import text

from app.application import default_schema
from app.database.database import Database
from app.graphql.schema import printed
from tests.support.clients import Api, Person

NOBODY = "User_01a2083b222b76c2921b1272dc98660f"
TYPE = "{ __typename }"
# How each root field is asked, so that whoever may ask it is answered.
ASKED: dict[str, str] = {
    "me": "{ me { id } }",
    "server": "{ server { version } }",
    "users": "{ users { totalCount } }",
    "auditEvents": "{ auditEvents { nodes { id } } }",
    "user": '{ user(by: {email: "ada@example.com"}) { id } }',
    "node": '{ node(id: "User_01a2083b222b76c2921b1272dc98660f") { id } }',
    "register": 'mutation { register(input: {email: "", password: ""}) { __typename } }',
    "logout": "mutation { logout { sessionsEnded } }",
    "logoutEverywhere": "mutation { logoutEverywhere { sessionsEnded } }",
    "revokeSession": (
        'mutation { revokeSession(input: {sessionId: "Session_01a2083b2ca47f71a4f650add84d6212"}) '
        "{ __typename } }"
    ),
    "refreshSession": 'mutation { refreshSession(input: {refreshToken: ""}) { __typename } }',
    "verifyEmail": 'mutation { verifyEmail(input: {token: ""}) { __typename } }',
    "requestEmailVerification": (
        'mutation { requestEmailVerification(input: {email: ""}) { __typename } }'
    ),
    "requestPasswordReset": 'mutation { requestPasswordReset(input: {email: ""}) { __typename } }',
    "resetPassword": (
        'mutation { resetPassword(input: {token: "", newPassword: ""}) { __typename } }'
    ),
    "changePassword": (
        'mutation { changePassword(input: {currentPassword: "", newPassword: ""}) { __typename } }'
    ),
    "requestEmailChange": (
        'mutation { requestEmailChange(input: {newEmail: "", password: ""}) { __typename } }'
    ),
    "confirmEmailChange": 'mutation { confirmEmailChange(input: {token: ""}) { __typename } }',
    "updateProfile": "mutation { updateProfile(input: {displayName: null}) { __typename } }",
    "deleteAccount": 'mutation { deleteAccount(input: {password: ""}) { __typename } }',
    "createUser": 'mutation { createUser(input: {email: ""}) { __typename } }',
    "setUserRole": f'mutation {{ setUserRole(input: {{userId: "{NOBODY}", role: ADMIN}}) {TYPE} }}',
    "suspendUser": (
        f'mutation {{ suspendUser(input: {{userId: "{NOBODY}", reason: "x"}}) {TYPE} }}'
    ),
    "reinstateUser": f'mutation {{ reinstateUser(input: {{userId: "{NOBODY}"}}) {TYPE} }}',
    "endUserSessions": f'mutation {{ endUserSessions(input: {{userId: "{NOBODY}"}}) {TYPE} }}',
    "deleteUser": f'mutation {{ deleteUser(input: {{userId: "{NOBODY}"}}) {TYPE} }}',
    "exportPersonalData": 'mutation { exportPersonalData(input: {password: ""}) { __typename } }',
    "exportUserData": f'mutation {{ exportUserData(input: {{userId: "{NOBODY}"}}) {TYPE} }}',
    "login": 'mutation { login(input: {email: "", password: ""}) { __typename } }',
}
TABLES = ("users", "sessions", "one_time_tokens")


def levels() -> dict[str, str]:
    """Read the policy out of the SDL, as a client would."""
    document = parse(printed(default_schema()))
    roots = [
        definition
        for definition in document.definitions
        if isinstance(definition, ObjectTypeDefinitionNode)
        and definition.name.value in {"Query", "Mutation"}
    ]
    return {field.name.value: level(field) for root in roots for field in root.fields or ()}


def level(field: FieldDefinitionNode) -> str:
    access: Any = next(node for node in field.directives or () if node.name.value == "access")
    return access.arguments[0].value.value


LEVELS = levels()


async def contents(db: Database) -> list[list[str]]:
    """Everything that a refusal must leave as it is; the time of last use is not of it."""
    row = "(to_jsonb(t) - 'last_used_at' - 'used_generation')::text"
    statements = [text(f"SELECT {row} FROM {table} t") for table in TABLES]  # noqa: S608 - ours
    return [sorted(row[0] for row in await db.rows(statement)) for statement in statements]


def test_every_root_field_is_asked_here() -> None:
    assert set(ASKED) == set(LEVELS)


@pytest.mark.parametrize("name", LEVELS)
async def test_a_guest_gets_what_is_for_guests(
    api: Api, ada: Person, db: Database, name: str
) -> None:
    before = await contents(db)

    await api(ASKED[name])

    expected = None if LEVELS[name] == "GUEST" else "UNAUTHENTICATED"
    assert (api.last_code, ada.email) == (expected, "ada@example.com")
    assert await contents(db) == before


@pytest.mark.parametrize("name", LEVELS)
async def test_a_member_gets_what_is_for_members(
    api: Api, ada: Person, db: Database, name: str
) -> None:
    member = await api.login(ada)
    before = await contents(db)

    await member(ASKED[name])

    assert member.last_code == ("FORBIDDEN" if LEVELS[name] == "ADMIN" else None)
    assert LEVELS[name] != "ADMIN" or await contents(db) == before


@pytest.mark.parametrize("name", LEVELS)
async def test_an_administrator_gets_everything(api: Api, grace: Person, name: str) -> None:
    admin = await api.login(grace)

    await admin(ASKED[name])

    assert admin.last_code is None
