"""Operations made from the schema: each root field with nullable smallest valid arguments."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import graphql
from graphql import GraphQLSchema

from app.graphql.schema import print_sdl
from app.main import default_schema

SCHEMA: GraphQLSchema = graphql.build_schema(print_sdl(default_schema()))
NOBODY = uuid.UUID("01a2083b-222b-76c2-921b-1272dc98660f")
SCALARS: dict[str, Any] = {
    "Boolean": False,
    "DateTime": "2026-01-31T12:00:00Z",
    "Int": 1,
    "JSON": {},
    "String": "x",
}
# The library's type guards are generics without a parameter.
library: Any = graphql
named = library.get_named_type
is_required = library.is_required_input_field


@dataclass(frozen=True, slots=True)
class Operation:
    document: str
    variables: dict[str, Any]


def root_fields(operation: str) -> dict[str, Any]:
    root = SCHEMA.query_type if operation == "query" else SCHEMA.mutation_type
    assert root is not None
    return root.fields


def smallest(
    operation: str, name: str, aliases: Sequence[str] = (), optional: Collection[str] = ()
) -> Operation:
    """Returns an operation with the required arguments of a field; ids do not exist.

    With aliases, it selects the field once for each of them. `optional` names arguments and fields
    of inputs that it has too.
    """
    field = root_fields(operation)[name]
    needed = {
        key: each.type
        for key, each in field.args.items()
        if library.is_required_argument(each) or key in optional
    }
    kind = _node_kind(named(field.type).name)
    declared = ", ".join(f"${key}: {each}" for key, each in needed.items())
    arguments = ", ".join(f"{key}: ${key}" for key in needed)
    selected = f"{name}{_bracketed(arguments)} {{ __typename }}"
    fields = " ".join(f"{alias}: {selected}" for alias in aliases) or selected
    document = f"{operation} {_bracketed(declared)} {{ {fields} }}"
    values = {key: _value(each, key, kind, optional) for key, each in needed.items()}
    return Operation(document, values)


def sample(type_: Any, name: str = "") -> Any:
    """Returns the smallest valid value of a type, for an argument or input field of that name."""
    return _value(type_, name, _node_kind(""))


def _value(type_: Any, name: str, kind: str, optional: Collection[str] = ()) -> Any:
    nullable = library.get_nullable_type(type_)
    if library.is_list_type(nullable):
        return []
    if library.is_enum_type(nullable):
        return next(iter(nullable.values))
    if library.is_input_object_type(nullable):
        needed = _needed(nullable, optional).items()
        return {key: _value(each.type, key, kind, optional) for key, each in needed}
    if nullable.name == "ID":
        return f"{_node_kind(name.removesuffix('Id'), kind)}_{NOBODY.hex}"
    return SCALARS[nullable.name]


def _needed(input_type: Any, optional: Collection[str]) -> dict[str, Any]:
    fields: dict[str, Any] = input_type.fields
    if input_type.is_one_of:
        return dict([next(iter(fields.items()))])
    return {key: each for key, each in fields.items() if is_required(each) or key in optional}


def _node_kind(name: str, otherwise: str = "User") -> str:
    """Returns the kind of node that a name is about; of an interface, one that implements it."""
    node = SCHEMA.get_type("Node")
    assert isinstance(node, graphql.GraphQLInterfaceType)
    kinds = {each.name.lower(): each.name for each in SCHEMA.get_possible_types(node)}
    for interface in SCHEMA.get_implementations(node).interfaces:
        kinds[interface.name.lower()] = SCHEMA.get_possible_types(interface)[0].name
    return kinds.get(name.lower(), otherwise)


def _bracketed(text: str) -> str:
    return f"({text})" if text else ""
