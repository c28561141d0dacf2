"""Descriptions that state settings and names, by placeholders such as `${password_min_length}`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
)

PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


def fill_in(schema: GraphQLSchema, values: Mapping[str, int | str]) -> None:
    """Replace the placeholders in all descriptions of a new schema.

    graphql-core's objects belong to this schema alone. The definitions they were made from, which
    other schemas of the process share, keep their placeholders.

    Raises:
        KeyError: a description names a value that does not exist.

    """
    for described in _described(schema):
        if described.description and PLACEHOLDER.search(described.description):
            described.description = PLACEHOLDER.sub(
                lambda found: _text(values[found[1]]), described.description
            )


def _text(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _described(schema: GraphQLSchema) -> Iterator[Any]:
    yield schema
    for kind in schema.type_map.values():
        yield kind
        if isinstance(kind, GraphQLEnumType):
            yield from kind.values.values()
        if isinstance(kind, GraphQLInputObjectType):
            yield from kind.fields.values()
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field in kind.fields.values():
                yield field
                yield from field.args.values()
