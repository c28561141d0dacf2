"""The properties of a field that are known before any request: reader, resolver, arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import graphql
from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    get_argument_values,
)
from graphql.execution.values import VariableValues
from graphql.language import VariableNode
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from app.engine.attributes import Attribute, attribute_of
from app.engine.context import FieldInfo, Guard
from app.engine.plans.completion import Read
from app.engine.plans.selections import Unplannable

STRAWBERRY = "strawberry-definition"
NO_VARIABLES = VariableValues({}, {})
# Typed as functions to bool: their own type guards narrow to generics with unknown parameters.
Test = Callable[[Any], bool]
Convert = Callable[[dict[str, Any]], dict[str, Any]]
is_leaf_type: Test = graphql.is_leaf_type
is_list_type: Test = cast("Any", graphql).is_list_type
is_non_null_type: Test = cast("Any", graphql).is_non_null_type
is_abstract_type: Test = graphql.is_abstract_type
is_awaitable: Any = cast("Any", graphql.pyutils).is_awaitable


def direct_read(field: GraphQLField) -> Attribute | Read | None:
    """Returns the attribute or method of a field that is read without arguments or awaiting.

    None if it needs more than its object.
    """
    definition: Any = field.extensions.get(STRAWBERRY)
    if not isinstance(definition, StrawberryField) or definition.extensions or field.args:
        return None
    resolver: Any = cast("Any", definition).base_resolver
    if resolver is None:
        return attribute_of(definition)
    takes_more = resolver.is_async or resolver.info_parameter or resolver.parent_parameter
    return None if takes_more or not resolver.self_parameter else resolver.wrapped_func


@dataclass(frozen=True, slots=True)
class Resolver:
    """How a field is resolved: `call(source, info, **convert(arguments))`."""

    call: Callable[..., Any]
    convert: Convert


def resolver_of(schema: GraphQLSchema, field: GraphQLField, below: frozenset[str]) -> Resolver:
    """Returns a field's resolver: without Strawberry's wrappers if it has at most a guard.

    The wrappers convert the same arguments again for each request, which takes a tenth of the time
    of a page of rows.
    """
    definition: Any = field.extensions.get(STRAWBERRY)
    resolver: Any = definition.base_resolver
    guards: list[Any] = definition.extensions
    make_info: Any = _own(schema).config.info_class
    is_plain = resolver and resolver.is_async and resolver.info_parameter
    is_guarded_at_most = len(guards) <= 1 and all(isinstance(each, Guard) for each in guards)
    if not is_plain or not is_guarded_at_most or not issubclass(make_info, FieldInfo):
        return wrapped_resolver_of(field)
    function, name = resolver.wrapped_func, resolver.info_parameter.name
    guard: Guard | None = guards[0] if guards else None

    async def call(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        if guard is not None:
            await guard.admit(info.context)
        return await function(source, **{name: make_info(info, definition, below)}, **arguments)

    return Resolver(call, _converting(schema, definition))


def wrapped_resolver_of(field: GraphQLField) -> Resolver:
    """Returns a field's resolver as the stock executor calls it, with all its extensions."""
    return Resolver(cast("Callable[..., Any]", field.resolve), _unchanged)


def class_of(kind: GraphQLObjectType) -> type:
    """Returns the class of the objects of a type.

    Raises:
        Unplannable: the type has its own `is_type_of`, or shares a generic class with others.

    """
    definition: Any = kind.extensions.get(STRAWBERRY)
    if definition is None or definition.is_type_of or definition.concrete_of:
        raise Unplannable
    return definition.origin


def classes_of(schema: GraphQLSchema, kind: Any) -> dict[type, GraphQLObjectType]:
    """Returns the types of an interface or a union by the classes of their objects.

    Raises:
        Unplannable: the type of an object does not depend on its class alone.

    """
    definition: Any = kind.extensions.get(STRAWBERRY)
    if definition is None or getattr(definition, "resolve_type", None):
        raise Unplannable
    return {class_of(possible): possible for possible in schema.get_possible_types(kind)}


def _unchanged(arguments: dict[str, Any]) -> dict[str, Any]:
    return arguments


def _converting(schema: GraphQLSchema, definition: Any) -> Convert:
    own = _own(schema)
    names, registry = definition.arguments, own.schema_converter.scalar_registry

    def convert(arguments: dict[str, Any]) -> dict[str, Any]:
        return convert_arguments(arguments, names, registry, own.config) if names else {}

    return convert


def _own(schema: GraphQLSchema) -> Any:
    """Returns the Strawberry schema of a graphql-core schema; there is no public attribute."""
    return cast("Any", schema)._strawberry_schema  # noqa: SLF001 - see above


def fixed_arguments(field: GraphQLField, node: FieldNode) -> dict[str, Any]:
    try:
        return get_argument_values(field, node, NO_VARIABLES)
    except Exception as error:
        # A literal is invalid: the stock executor reports it with its location.
        raise Unplannable from error


def depends_on_variables(node: FieldNode) -> bool:
    todo: list[Any] = [argument.value for argument in node.arguments or ()]
    while todo:
        value = todo.pop()
        if isinstance(value, VariableNode):
            return True
        todo.extend(getattr(value, "values", ()) or ())
        todo.extend(field.value for field in getattr(value, "fields", ()) or ())
    return False
