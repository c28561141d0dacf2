"""The schema and its descriptions."""

import re
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    introspection_types,
    is_specified_scalar_type,
    print_ast,
)
from graphql.language import parse

from app.graphql.schema import print_sdl
from app.main import default_schema, schema_of
from app.modules import MODULES
from app.testing.clients import Api
from app.testing.settings import settings_of
from tests.support.servers import portico

ROOT = Path(__file__).parent.parent
SDL = print_sdl(default_schema())


def served() -> GraphQLSchema:
    return build_schema(SDL)


def undescribed(schema: GraphQLSchema) -> list[str]:
    missing: list[str] = []
    for name, kind in schema.type_map.items():
        if name in introspection_types or is_specified_scalar_type(kind):
            continue
        if not kind.description:
            missing.append(name)
        if isinstance(kind, GraphQLEnumType):
            missing += [
                f"{name}.{key}" for key, value in kind.values.items() if not value.description
            ]
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for field_name, field in kind.fields.items():
                arguments = getattr(field, "args", {})
                missing += [] if field.description else [f"{name}.{field_name}"]
                missing += [
                    f"{name}.{field_name}({argument})"
                    for argument, value in arguments.items()
                    if not value.description
                ]
    return missing


def test_the_committed_schema_matches_the_code() -> None:
    assert (ROOT / "schema.graphql").read_text(encoding="utf-8") == SDL


def test_every_type_field_argument_and_value_is_described() -> None:
    assert undescribed(served()) == []


def stated(**settings: int) -> str:
    """Returns the schema of a server with these settings."""
    return print_sdl(schema_of(settings_of(**settings), MODULES))


def test_descriptions_state_the_limits_that_are_configured() -> None:
    changed = stated(password_min_length=12, limit_depth=9, refresh_token_expire_days=7)

    new_password = "8 to 256 characters of any kind, and not easy to guess."
    assert SDL.count(new_password) == 3
    assert changed.count(new_password.replace("8 to", "12 to")) == 3
    assert "and 9 levels of fields." in changed
    assert "Lifetime in days: 7, of a session in all: 365." in changed


def test_each_schema_of_a_process_states_its_own_limits() -> None:
    stated(password_min_length=12)

    assert stated() == SDL


def test_no_placeholder_is_left_in_any_description() -> None:
    assert "${" not in SDL


def test_an_export_does_not_depend_on_the_environment(tmp_path: Path) -> None:
    environment = {"PASSWORD_MIN_LENGTH": "12", "LIMIT_DEPTH": "9", "DEBUG": "true"}
    (tmp_path / ".env").write_text("REFRESH_TOKEN_EXPIRE_DAYS=7\n")

    made = portico("schema", "export", cwd=tmp_path, **environment)

    assert (made.returncode, made.stderr) == (0, "")
    assert (tmp_path / "schema.graphql").read_text(encoding="utf-8") == SDL


def test_every_root_field_states_its_access_level() -> None:
    roots = [
        definition
        for definition in parse(SDL).definitions
        if getattr(getattr(definition, "name", None), "value", "") in {"Query", "Mutation"}
    ]

    fields = [field for root in roots for field in getattr(root, "fields", ())]

    assert [field.name.value for field in fields if "@access(" not in print_ast(field)] == []


WORDS = {
    "GUEST": "No sign-in needed.",
    "MEMBER": "Signed-in users only.",
    "ADMIN": "Administrators only.",
}


def described_root_fields() -> dict[str, tuple[str, dict[str, str]]]:
    """Returns the description of each root field, and the first argument of each directive."""
    roots: list[Any] = [
        definition
        for definition in parse(SDL).definitions
        if getattr(getattr(definition, "name", None), "value", "") in {"Query", "Mutation"}
    ]
    return {
        field.name.value: (
            field.description.value,
            {each.name.value: each.arguments[0].value.value for each in field.directives},
        )
        for root in roots
        for field in root.fields
    }


@pytest.mark.parametrize("name", described_root_fields())
def test_the_description_of_a_root_field_matches_its_directives(name: str) -> None:
    description, directives = described_root_fields()[name]

    access_texts = [words for words in WORDS.values() if words in description]
    limits = re.findall(r"Rate limited as `(\w+)`\.", description)

    assert access_texts == [WORDS[directives["access"]]]
    assert limits == [value for key, value in directives.items() if key == "rateLimited"]


async def test_introspection_states_how_to_sign_in_and_who_may_use_a_field(api: Api) -> None:
    answer = await api("{ __schema { description mutationType { fields { name description } } } }")

    asked = {
        each["name"]: each["description"] for each in answer["__schema"]["mutationType"]["fields"]
    }
    assert answer["__schema"]["description"] == served().description
    assert "`Authorization: Bearer <accessToken>`" in (served().description or "")
    assert asked["createUser"].endswith(
        "Administrators only. Within 10 minutes of a sign-in or `stepUp`. "
        "Rate limited as `INVITATION`."
    )


def test_built_in_directives_are_not_printed() -> None:
    assert "directive @oneOf" not in SDL
    assert "input UserBy @oneOf" in SDL
    assert 'scalar DateTime @specifiedBy(url: "https://www.rfc-editor.org/rfc/rfc3339")' in SDL
