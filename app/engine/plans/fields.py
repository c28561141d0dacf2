"""What is known of a field before any request: how to read it, and with which arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, cast

import graphql
from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLResolveInfo,
    GraphQLSchema,
    get_argument_values,
)
from graphql.execution.values import VariableValues
from graphql.language import VariableNode
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from app.engine.plans.completion import Read
from app.engine.plans.selections import Unplannable
from app.graphql.access import Access
from app.graphql.context import Info

STRAWBERRY = "strawberry-definition"
NO_VARIABLES = VariableValues({}, {})
# Their own guards narrow to generics without a parameter, which nobody can use strictly typed.
Test = Callable[[Any], bool]
Convert = Callable[[dict[str, Any]], dict[str, Any]]
is_leaf_type: Test = graphql.is_leaf_type
is_list_type: Test = cast("Any", graphql).is_list_type
is_non_null_type: Test = cast("Any", graphql).is_non_null_type
is_object_type: Test = graphql.is_object_type
is_awaitable: Any = cast("Any", graphql.pyutils).is_awaitable


def shortest(field: GraphQLField) -> Read | None:
    """The shortest way to a value: an attribute, or a method that takes nothing but its object."""
    definition: Any = field.extensions.get(STRAWBERRY)
    if not isinstance(definition, StrawberryField) or definition.extensions or field.args:
        return None
    resolver: Any = cast("Any", definition).base_resolver
    if resolver is None:
        return attrgetter(definition.python_name)
    takes_more = resolver.is_async or resolver.info_parameter or resolver.parent_parameter
    return None if takes_more or not resolver.self_parameter else resolver.wrapped_func


@dataclass(frozen=True, slots=True)
class Resolver:
    """How a field is resolved: `call(source, info, **convert(arguments))`."""

    call: Callable[..., Any]
    convert: Convert


def resolver_of(schema: GraphQLSchema, field: GraphQLField, below: frozenset[str]) -> Resolver:
    """A field's resolver, without Strawberry's wrappers where at most access stands before it.

    They convert the same arguments for each request anew, which is a tenth of a page of people.
    """
    definition: Any = field.extensions.get(STRAWBERRY)
    resolver: Any = definition.base_resolver
    extensions: list[Any] = definition.extensions
    plain = resolver and resolver.is_async and resolver.info_parameter
    if not plain or not (extensions == [] or _is_access(extensions)):
        return Resolver(cast("Callable[..., Any]", field.resolve), _unchanged)
    function, name = resolver.wrapped_func, resolver.info_parameter.name
    access: Access | None = extensions[0] if extensions and extensions[0].guards else None

    async def call(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        if access is not None:
            await access.admit(info.context)
        return await function(source, **{name: Info(info, definition, below)}, **arguments)

    return Resolver(call, _converting(schema, definition))


def _is_access(extensions: list[Any]) -> bool:
    return len(extensions) == 1 and isinstance(extensions[0], Access)


def _unchanged(arguments: dict[str, Any]) -> dict[str, Any]:
    return arguments


def _converting(schema: GraphQLSchema, definition: Any) -> Convert:
    # Strawberry has no public name for its own schema of a graphql-core schema.
    own: Any = cast("Any", schema)._strawberry_schema  # noqa: SLF001 - see above
    names, registry = definition.arguments, own.schema_converter.scalar_registry

    def convert(arguments: dict[str, Any]) -> dict[str, Any]:
        return convert_arguments(arguments, names, registry, own.config) if names else {}

    return convert


def fixed_arguments(field: GraphQLField, node: FieldNode) -> dict[str, Any]:
    try:
        return get_argument_values(field, node, NO_VARIABLES)
    except Exception as error:
        # A literal that the type refuses: the stock executor says so, with its place.
        raise Unplannable from error


def hangs_on_variables(node: FieldNode) -> bool:
    todo: list[Any] = [argument.value for argument in node.arguments or ()]
    while todo:
        value = todo.pop()
        if isinstance(value, VariableNode):
            return True
        todo.extend(getattr(value, "values", ()) or ())
        todo.extend(field.value for field in getattr(value, "fields", ()) or ())
    return False
