"""Reads the limits and costs of fields from the schema."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import graphql
from graphql import GraphQLField, GraphQLSchema

from app.database.page_size import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from app.engine.limits import FieldCosts
from app.graphql.charging import charged_as
from app.graphql.costs import declared_cost

PAGE_ARGUMENTS = frozenset({"first", "last"})


def field_costs(schema: GraphQLSchema) -> FieldCosts:
    return FieldCosts(
        credential_fields(schema),
        connection_fields(schema),
        costly_fields(schema),
        largest_page=MAX_PAGE_SIZE,
    )


def credential_fields(schema: GraphQLSchema) -> frozenset[str]:
    """Returns the root fields that one operation may select only once.

    Each of them tests a secret or sends an email: thirty aliases would be thirty guesses.
    """
    roots: tuple[Any, ...] = (schema.query_type, schema.mutation_type)
    fields = (pair for root in roots if root for pair in root.fields.items())
    return frozenset(name for name, field in fields if _is_limited_to_one(field))


def connection_fields(schema: GraphQLSchema) -> Mapping[str, int]:
    """Returns the fields that answer a page, of any type, and how many entries it has by default.

    Such a field takes the size of its page, or answers where the page is.
    A field of the same name on another type costs as much; no client loses by that.
    """
    pages = (name for name, field in _fields(schema) if _is_page(field))
    return dict.fromkeys(pages, DEFAULT_PAGE_SIZE)


def costly_fields(schema: GraphQLSchema) -> Mapping[str, int]:
    """Returns the fields that do not cost 1, of any type, and the highest cost of that name."""
    costs: dict[str, int] = {}
    for name, field in _fields(schema):
        cost = declared_cost(field)
        if cost is not None:
            costs[name] = max(cost, costs.get(name, cost))
    return costs


def _is_page(field: Any) -> bool:
    named: Any = cast("Any", graphql).get_named_type(field.type)
    return bool(PAGE_ARGUMENTS & field.args.keys()) or "pageInfo" in getattr(named, "fields", {})


def _is_limited_to_one(field: GraphQLField) -> bool:
    attempt = charged_as(field)
    return attempt is not None and attempt.once


def _fields(schema: GraphQLSchema) -> Iterator[tuple[str, GraphQLField]]:
    for kind in schema.type_map.values():
        if graphql.is_object_type(kind) or graphql.is_interface_type(kind):
            yield from kind.fields.items()
