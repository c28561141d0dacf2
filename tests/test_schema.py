"""The schema as clients generate from it."""

from pathlib import Path

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

from app.graphql import schema as code

ROOT = Path(__file__).parent.parent
SDL = code.printed(code.build_schema())


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


def test_the_committed_schema_is_what_the_code_serves() -> None:
    assert (ROOT / "schema.graphql").read_text(encoding="utf-8") == SDL


def test_every_type_field_argument_and_value_is_described() -> None:
    assert undescribed(served()) == []


def test_every_root_field_says_who_may_ask_it() -> None:
    roots = [
        definition
        for definition in parse(SDL).definitions
        if getattr(getattr(definition, "name", None), "value", "") in {"Query", "Mutation"}
    ]

    fields = [field for root in roots for field in getattr(root, "fields", ())]

    assert [field.name.value for field in fields if "@access(" not in print_ast(field)] == []


def test_what_is_built_in_is_not_printed() -> None:
    assert "directive @oneOf" not in SDL
    assert "input UserBy @oneOf" in SDL
    assert 'scalar DateTime @specifiedBy(url: "https://www.rfc-editor.org/rfc/rfc3339")' in SDL
