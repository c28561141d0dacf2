"""The gate: no mutation gives tokens to an account with a second factor without that factor."""

import ast
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import graphql
import pytest
from fastapi import FastAPI
from graphql import GraphQLSchema, build_schema
from sqlalchemy import text

from app.database.database import Database
from app.graphql.schema import print_sdl
from app.mail.models import TokenPurpose
from app.mail.services.one_time_tokens import OneTimeTokens
from app.main import default_schema
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from tests.support.authenticator import ANSWER, LOGIN, Enrolled, enroll
from tests.support.passkeys import (
    BEGIN_REGISTRATION,
    SoftwareAuthenticator,
    begin_sign_in,
    finish_sign_in,
)

ROOT = Path(__file__).parents[1]
SDL = print_sdl(default_schema())
# A session, and what a session is used with.
WAYS_IN = ("SignedIn", "Tokens")
NEW_PASSWORD = "punched cards in brass"
TEACH = (
    "{name} can answer SignedIn: let it end in Gate.enter, and add to WAYS in tests/test_gate.py "
    "what proves by it who a user is, without the second factor"
)
TOKENS = "tokens { accessToken refreshToken }"
REGISTER = """
mutation ($email: String!, $password: String!) {
  result: register(input: {email: $email, password: $password}) { __typename }
}
"""
VERIFY = f"""
mutation ($token: String!) {{
  result: verifyEmail(input: {{token: $token}}) {{
    __typename ... on SignedIn {{ session {{ id methods }} {TOKENS} }}
  }}
}}
"""
REFRESH = f"""
mutation ($token: String!) {{
  result: refreshSession(input: {{refreshToken: $token}}) {{
    __typename ... on SignedIn {{ session {{ id methods }} {TOKENS} }}
  }}
}}
"""
CHANGE = f"""
mutation ($current: String!, $new: String!) {{
  result: changePassword(input: {{currentPassword: $current, newPassword: $new}}) {{
    __typename ... on PasswordChanged {{ {TOKENS} }}
  }}
}}
"""
RESET = """
mutation ($token: String!, $new: String!) {
  result: resetPassword(input: {token: $token, newPassword: $new}) {
    __typename ... on UserChanged { user { email factors { id } } }
  }
}
"""
SESSIONS = text("SELECT id::text FROM sessions WHERE ended_at IS NULL ORDER BY id")
FACTORS = text("SELECT id FROM factors")


class Scene(NamedTuple):
    """A person with a second factor, and whoever has all of their other secrets."""

    api: Api
    app: FastAPI
    enrolled: Enrolled

    async def link(self, purpose: TokenPurpose) -> str:
        """Returns the token of a link that was sent to the person."""
        services = self.app.state.portico.services
        async with services[Database].begin() as session:
            found = await session.execute(text("SELECT id, email FROM users"))
            user_id, email = found.one()
            issued = await services[OneTimeTokens].issue(session, purpose, user_id, email)
        return issued.token


async def by_password(scene: Scene) -> list[Any]:
    data = await scene.api(LOGIN, input=scene.enrolled.person.credentials)
    return [data["login"]]


async def by_registering(scene: Scene) -> list[Any]:
    person = scene.enrolled.person
    data = await scene.api(REGISTER, email=person.email, password=person.password)
    return [data["result"]]


async def by_link(scene: Scene) -> list[Any]:
    """Opened twice, as pages do it."""
    token = await scene.link(TokenPurpose.VERIFY_EMAIL)
    return [(await scene.api(VERIFY, token=token))["result"] for _ in range(2)]


async def by_what_is_no_second_factor(scene: Scene) -> list[Any]:
    """With the password, the code of the enrollment, the challenge itself, and nothing."""
    person, app = scene.enrolled.person, scene.enrolled.app
    token = await scene.enrolled.challenge(scene.api)
    given = (person.password, app.code(), token, "", "000000", "0000-0000-0000-0000")
    answers = [{kind: each} for each in given for kind in ("totp", "recoveryCode")]
    asked = [{"token": token, "answer": each} for each in answers]
    return [(await scene.api(ANSWER, input=each))["answerChallenge"] for each in asked]


async def by_other_tokens(scene: Scene) -> list[Any]:
    """With tokens of this account that are not refresh tokens."""
    challenge = await scene.enrolled.challenge(scene.api)
    link = await scene.link(TokenPurpose.VERIFY_EMAIL)
    access = scene.enrolled.session.access_token
    tokens = (challenge, link, access, "")
    return [(await scene.api(REFRESH, token=each))["result"] for each in tokens]


async def by_changing_the_password(scene: Scene) -> list[Any]:
    """Without a session, but with a challenge where its access token belongs."""
    thief = scene.api.with_bearer(await scene.enrolled.challenge(scene.api))
    current = scene.enrolled.person.password
    data = await thief(CHANGE, current=current, new=NEW_PASSWORD)
    assert thief.last_code == "UNAUTHENTICATED"
    return [data["result"]]


async def by_a_passkey_that_is_none(scene: Scene) -> list[Any]:
    """With a passkey of nobody, the handle of the person, and nothing. A passkey is the factor."""
    begun = (await scene.enrolled.session(BEGIN_REGISTRATION))["beginPasskeyRegistration"]
    device = SoftwareAuthenticator()
    device.create(begun["publicKey"])
    first, second = await begin_sign_in(scene.api), await begin_sign_in(scene.api)
    return [
        await finish_sign_in(scene.api, first["ceremony"], {}),
        await finish_sign_in(scene.api, second["ceremony"], device.get(second["publicKey"])),
    ]


# What proves who a user is by each mutation, except their second factor.
WAYS: dict[str, Callable[[Scene], Awaitable[list[Any]]]] = {
    "login": by_password,
    "register": by_registering,
    "verifyEmail": by_link,
    "answerChallenge": by_what_is_no_second_factor,
    "refreshSession": by_other_tokens,
    "changePassword": by_changing_the_password,
    "signInWithPasskey": by_a_passkey_that_is_none,
}
# What each of them answers instead.
ANSWERS = {
    "login": {"ChallengeRequired"},
    "register": {"EmailTaken"},
    "verifyEmail": {"ChallengeRequired", "TokenInvalid"},
    "answerChallenge": {"InvalidCode"},
    "refreshSession": {"SessionEnded"},
    "changePassword": {None},
    "signInWithPasskey": {"PasskeyRefused"},
}


def ways_in(schema: GraphQLSchema) -> list[str]:
    """Returns the mutations whose results can contain a session or its tokens, at any depth."""
    assert schema.mutation_type
    fields: dict[str, Any] = schema.mutation_type.fields
    return sorted(name for name, field in fields.items() if reaches(schema, field.type))


def reaches(schema: GraphQLSchema, kind: Any) -> bool:
    library: Any = graphql
    todo, seen = [library.get_named_type(kind)], set[str]()
    while todo:
        current = todo.pop()
        if current.name in WAYS_IN:
            return True
        if current.name not in seen:
            seen.add(current.name)
            todo += [library.get_named_type(each) for each in parts_of(schema, current)]
    return False


def parts_of(schema: GraphQLSchema, kind: Any) -> list[Any]:
    library: Any = graphql
    parts = [field.type for field in kind.fields.values()] if hasattr(kind, "fields") else []
    is_abstract = library.is_abstract_type(kind)
    return [*parts, *(schema.get_possible_types(kind) if is_abstract else ())]


def untaught(schema: GraphQLSchema) -> list[str]:
    return [TEACH.format(name=name) for name in ways_in(schema) if name not in WAYS]


@pytest.fixture
async def scene(api: Api, app: FastAPI, db: Database, ada: Person, clock: FakeClock) -> Scene:
    return Scene(api, app, await enroll(api, db, ada, clock))


def test_every_mutation_that_can_sign_in_is_taught_here() -> None:
    assert untaught(build_schema(SDL)) == []
    assert ways_in(build_schema(SDL)) == sorted(WAYS)


@pytest.mark.parametrize(
    "result",
    ["SignedIn", "SignedIn!", "[Tokens]", "LoginResult", "Deep"],
)
def test_a_new_mutation_that_can_sign_in_has_to_be_taught(result: str) -> None:
    deep = "type Deep { deeper: [Deeper!]! } type Deeper { deep: Deep node: LoginResult! }"
    changed = SDL.replace("type Mutation {", f"type Mutation {{ enterByFax: {result}", 1)

    assert untaught(build_schema(f"{changed} {deep}")) == [TEACH.format(name="enterByFax")]


@pytest.mark.parametrize("name", ways_in(build_schema(SDL)))
async def test_no_mutation_signs_in_without_the_second_factor(
    scene: Scene, db: Database, name: str
) -> None:
    assert name in WAYS, TEACH.format(name=name)
    before = await db.rows(SESSIONS)

    answers = await WAYS[name](scene)

    assert {each and each["__typename"] for each in answers} == ANSWERS[name]
    assert not any("tokens" in (each or {}) for each in answers)
    assert await db.rows(SESSIONS) == before
    assert len(await db.rows(FACTORS)) == 1


async def test_a_session_that_has_passed_goes_on(scene: Scene, db: Database) -> None:
    laptop = await scene.enrolled.sign_in(scene.api)
    before = await db.rows(SESSIONS)

    result = (await scene.api(REFRESH, token=laptop.refresh_token))["result"]

    assert result["__typename"] == "SignedIn"
    expected = {"id": laptop.session_id, "methods": ["PASSWORD", "TOTP"]}
    assert result["session"] == expected
    assert await db.rows(SESSIONS) == before


async def test_a_session_that_has_passed_changes_the_password_and_goes_on(
    scene: Scene, db: Database
) -> None:
    laptop = await scene.enrolled.sign_in(scene.api)

    data = await laptop(CHANGE, current=scene.enrolled.person.password, new=NEW_PASSWORD)

    assert data["result"]["__typename"] == "PasswordChanged"
    renewed = scene.api.with_bearer(data["result"]["tokens"]["accessToken"])
    current = "{ me { sessions { nodes { id isCurrent methods } } } }"
    assert (await renewed(current))["me"]["sessions"]["nodes"] == [
        {"id": laptop.session_id, "isCurrent": True, "methods": ["PASSWORD", "TOTP"]}
    ]
    assert len(await db.rows(SESSIONS)) == 1


@pytest.mark.parametrize("purpose", [TokenPurpose.RESET_PASSWORD, TokenPurpose.INVITATION])
async def test_a_reset_neither_signs_in_nor_removes_the_factor(
    scene: Scene, db: Database, purpose: TokenPurpose
) -> None:
    token = await scene.link(purpose)

    data = await scene.api(RESET, token=token, new=NEW_PASSWORD)

    email = scene.enrolled.person.email
    # A guest does not see factors.
    assert data["result"] == {
        "__typename": "UserChanged",
        "user": {"email": email, "factors": None},
    }
    assert await db.rows(SESSIONS) == []
    assert len(await db.rows(FACTORS)) == 1
    login = await scene.api(LOGIN, input={"email": email, "password": NEW_PASSWORD})
    assert login["login"]["__typename"] == "ChallengeRequired"


async def test_the_link_that_verifies_an_address_signs_in_with_a_code(scene: Scene) -> None:
    challenge = """
    mutation ($token: String!) {
      verifyEmail(input: {token: $token}) { ... on ChallengeRequired { challenge { token } } }
    }
    """
    link = await scene.link(TokenPurpose.VERIFY_EMAIL)
    token = (await scene.api(challenge, token=link))["verifyEmail"]["challenge"]["token"]

    answer = {"totp": scene.enrolled.app.next_code()}
    data = await scene.api(ANSWER, input={"token": token, "answer": answer})

    assert data["answerChallenge"]["session"]["methods"] == ["EMAIL", "TOTP"]
    person = {"me": {"email": scene.enrolled.person.email}}
    assert await scene.api.with_tokens(data["answerChallenge"])(ME) == person


async def test_the_factor_of_a_stranger_does_not_survive_the_first_proof_of_the_address(
    scene: Scene, db: Database
) -> None:
    """Addresses are verified before; should one not be, its owner must not be locked out."""
    token = await scene.link(TokenPurpose.VERIFY_EMAIL)
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET email_verified = false"))

    result = (await scene.api(VERIFY, token=token))["result"]

    assert (result["__typename"], result["session"]["methods"]) == ("SignedIn", ["EMAIL"])
    assert await db.rows(FACTORS) == []
    assert len(await db.rows(SESSIONS)) == 1
    person = scene.enrolled.person
    login = await scene.api(LOGIN, input=person.credentials)
    assert login["login"]["__typename"] == "InvalidCredentials"


@dataclass(frozen=True, slots=True)
class Source:
    """A module of the application."""

    name: str
    tree: ast.AST


def sources() -> Iterator[Source]:
    for path in sorted((ROOT / "app").rglob("*.py")):
        if "node_modules" not in path.parts:
            name = path.relative_to(ROOT).as_posix()
            yield Source(name, ast.parse(path.read_text(encoding="utf-8")))


def inserts_sessions(tree: ast.AST) -> bool:
    """Whether a module inserts into the table, by SQLAlchemy or as text."""
    names = {"Session", *aliases_of_session(tree)}
    return any(
        inserted_into(node) in names
        or (isinstance(node, ast.Constant) and "into sessions" in str(node.value).lower())
        for node in ast.walk(tree)
    )


def inserted_into(node: ast.AST) -> str | None:
    """Returns the name of the table in a call of any `insert`."""
    match node:
        case ast.Call(
            func=ast.Name(id="insert") | ast.Attribute(attr="insert"), args=[ast.Name(id=name), *_]
        ):
            return name
        case _:
            return None


def aliases_of_session(tree: ast.AST) -> set[str]:
    """Returns the names that a module gives to the table, such as `table = Session`."""
    found = set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                found |= {
                    ast.unparse(name)
                    for name, value in zip(names, values, strict=True)
                    if is_table(value)
                }
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_table(value):
                found.add(name)
            case _:
                pass
    return found


def is_table(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id == "Session"


def imports(tree: ast.AST, module: str) -> bool:
    return any(
        isinstance(node, ast.ImportFrom) and node.module == module for node in ast.walk(tree)
    )


def test_sessions_are_inserted_in_one_module_that_only_the_gate_imports() -> None:
    starting = "app.sessions.services.starting"
    found = [each.name for each in sources() if inserts_sessions(each.tree)]
    importing = [each.name for each in sources() if imports(each.tree, starting)]

    assert found == ["app/sessions/services/starting.py"]
    # The module of sessions names it, to put the services together.
    assert importing == ["app/sessions/module.py", "app/sessions/services/gate.py"]


@pytest.mark.parametrize(
    "line",
    [
        "insert(Session)",
        "postgresql.insert(Session).values(id=1)",
        "user, table = User, Session\ninsert(table)",
        "text('INSERT INTO sessions VALUES (1)')",
    ],
)
def test_another_module_that_inserts_sessions_is_found(line: str) -> None:
    assert inserts_sessions(ast.parse(line))
