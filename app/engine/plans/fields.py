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
    Undefined,
    get_argument_values,
    get_named_type,
    is_enum_type,
    is_union_type,
    specified_scalar_types,
)
from graphql.execution.values import VariableValues
from graphql.language import VariableNode
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from app.engine.attributes import Attribute, AttributeField, attribute_of
from app.engine.context import FieldInfo, Guard
from app.engine.plans.completion import Read, is_ordinary
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
# How a field gets its value. Another subclass of `StrawberryField` may do anything.
GET_RESULT = (StrawberryField.get_result, AttributeField.get_result)


def direct_read(schema: GraphQLSchema, field: GraphQLField) -> Attribute | Read | None:
    """Returns the attribute or method of a field that is read without arguments or awaiting.

    None if it needs more than its object.
    """
    definition = _definition_of(schema, field)
    if definition is None or definition.extensions or field.args:
        return None
    resolver: Any = definition.base_resolver
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
    definition = _definition_of(schema, field)
    make_info: Any = _own(schema).config.info_class
    if definition is None or not issubclass(make_info, FieldInfo):
        return wrapped_resolver_of(field)
    resolver: Any = definition.base_resolver
    guards: list[Any] = definition.extensions
    if not _is_method_with_info(resolver) or not _has_at_most_a_guard(field, guards):
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


def _definition_of(schema: GraphQLSchema, field: GraphQLField) -> Any:
    """Returns the definition of a field that only calls its resolver or reads its attribute.

    None if the field or the schema does more.
    """
    definition: Any = field.extensions.get(STRAWBERRY)
    if not isinstance(definition, StrawberryField) or _own(schema).exception_handlers:
        return None
    gets_simply = type(definition).get_result in GET_RESULT
    return definition if gets_simply and definition.default_resolver is getattr else None


def _is_method_with_info(resolver: Any) -> bool:
    """Whether it is an `async` method that takes `info`.

    A function that is the resolver of a field does not take the object, or takes it by name.
    """
    if resolver is None or not resolver.is_async or not resolver.self_parameter:
        return False
    return resolver.info_parameter and not (resolver.root_parameter or resolver.parent_parameter)


def _has_at_most_a_guard(field: GraphQLField, extensions: list[Any]) -> bool:
    """Whether calling `admit` is enough.

    A union has outcomes, which an extension may record after the resolver returned one.
    """
    if not extensions:
        return True
    is_guard = len(extensions) == 1 and isinstance(extensions[0], Guard)
    return is_guard and not is_union_type(get_named_type(cast("Any", field).type))


def class_of(kind: GraphQLObjectType) -> type:
    """Returns the class of the objects of a type.

    Raises:
        Unplannable: the type has its own `is_type_of`, or shares a generic class with others, or
            its objects are exceptions or awaitable.

    """
    definition: Any = kind.extensions.get(STRAWBERRY)
    if definition is None or definition.is_type_of or definition.concrete_of:
        raise Unplannable
    if not is_ordinary(definition.origin):
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


def exact_class_of(kind: GraphQLObjectType) -> type:
    """Returns the usual class of the objects of a type; `object` if there is none."""
    declared: type = getattr(kind.extensions.get(STRAWBERRY), "origin", object)
    return declared if is_ordinary(declared) else object


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


def fixed_arguments(field: GraphQLField, node: FieldNode) -> dict[str, Any] | None:
    """Returns the arguments of a field if they are the same for each request.

    None if they depend on variables, or have values that a resolver could change: lists, input
    objects and custom scalars.

    Raises:
        Unplannable: a literal is invalid, which the stock executor reports with its location.

    """
    if _depends_on_variables(node) or not _is_immutable(field, node):
        return None
    try:
        return get_argument_values(field, node, NO_VARIABLES)
    except Exception as error:
        raise Unplannable from error


def _is_immutable(field: GraphQLField, node: FieldNode) -> bool:
    given = {argument.name.value for argument in node.arguments or ()}
    used: list[Any] = [
        argument
        for name, argument in field.args.items()
        if name in given or argument.default is not None or argument.default_value is not Undefined
    ]
    kinds = [each.type.of_type if is_non_null_type(each.type) else each.type for each in used]
    return all(kind in specified_scalar_types.values() or is_enum_type(kind) for kind in kinds)


def _depends_on_variables(node: FieldNode) -> bool:
    todo: list[Any] = [argument.value for argument in node.arguments or ()]
    while todo:
        value = todo.pop()
        if isinstance(value, VariableNode):
            return True
        todo.extend(getattr(value, "values", ()) or ())
        todo.extend(field.value for field in getattr(value, "fields", ()) or ())
    return False
