"""What is known of a field before any request: how to read it, and with which arguments."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, cast

import graphql
from graphql import FieldNode, GraphQLField, GraphQLResolveInfo, get_argument_values
from graphql.execution.values import VariableValues
from graphql.language import VariableNode
from strawberry.types.field import StrawberryField

from app.graphql.access import Access
from app.graphql.completion import Leaf, Read, leaf
from app.graphql.context import Info
from app.graphql.selections import Unplannable

STRAWBERRY = "strawberry-definition"
NO_VARIABLES = VariableValues({}, {})
# Their own guards narrow to generics without a parameter, which nobody can use strictly typed.
Test = Callable[[Any], bool]
is_leaf_type: Test = graphql.is_leaf_type
is_list_type: Test = cast("Any", graphql).is_list_type
is_non_null_type: Test = cast("Any", graphql).is_non_null_type
is_object_type: Test = graphql.is_object_type
is_awaitable: Any = cast("Any", graphql.pyutils).is_awaitable


def plain_leaf(kind: Any, get: Read) -> Leaf | None:
    needed = is_non_null_type(kind)
    bare = kind.of_type if needed else kind
    return leaf(bare, get, none_is_fine=not needed) if is_leaf_type(bare) else None


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


def resolver_of(field: GraphQLField) -> Callable[..., Any]:
    """A field's resolver, without Strawberry's wrappers where only access stands before it."""
    definition: Any = field.extensions.get(STRAWBERRY)
    resolver: Any = definition.base_resolver
    plain = resolver and resolver.is_async and resolver.info_parameter and not field.args
    extensions: list[Any] = definition.extensions
    if not plain or len(extensions) != 1 or not isinstance(extensions[0], Access):
        return cast("Callable[..., Any]", field.resolve)
    access, function, name = extensions[0], resolver.wrapped_func, resolver.info_parameter.name

    async def resolve(source: Any, info: GraphQLResolveInfo[Any]) -> Any:
        await access.admit(info.context)
        return await function(source, **{name: Info(info, definition)})

    return resolve


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
