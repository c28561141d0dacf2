"""Declares fields of types that have a `row`: columns, and what is computed from columns.

A page reads only the columns that selected fields need. A field that declares none needs all.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar, overload

import strawberry
from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema
from strawberry.extensions import FieldExtension

from app.engine.attributes import Attribute, attribute_field
from app.engine.context import FieldInfo

STRAWBERRY = "strawberry-definition"
NEEDS = "columns"
ROW = "row"

T = TypeVar("T")


class UnknownColumn(Exception):
    """A field needs a column that the row of its type does not have."""


@overload
def column(name: str, *, description: str) -> Any: ...
@overload
def column(name: str, convert: Callable[[Any], T], *, description: str) -> T: ...
def column(name: str, convert: Callable[[Any], Any] | None = None, *, description: str) -> Any:
    """Declare a field that is a column of the row that the type has.

    Nothing is called to read `email: str = column("email", …)`. For `role: Role = column("role",
    Role, …)` the second argument is called with the value, also with None.
    """
    return attribute_field(
        Attribute((ROW, name), convert),
        description=description,
        metadata={NEEDS: frozenset({name})},
    )


def computed(
    *, needs: Collection[str], description: str, extensions: Collection[FieldExtension] = ()
) -> Any:
    """Declare a field that a method computes from these columns of `self.row`, and its id."""
    return strawberry.field(
        description=description,
        extensions=[*extensions],
        metadata={NEEDS: frozenset(needs)},
    )


def columns_below(info: FieldInfo[Any, Any], kind: type) -> frozenset[str]:
    """Returns the columns that fields of this type, selected below the current one, need.

    Fields are looked up by their names, so a field of another type may add a column.
    """
    fields = info.raw.schema.type_map[_definition(kind).name].fields
    needed = [_needs(fields[name]) for name in info.names_below if name in fields]
    return frozenset[str]().union(*(row_columns(kind) if each is None else each for each in needed))


def check_columns(schema: GraphQLSchema) -> None:
    """Check that the rows of all types have the columns that their fields need.

    Raises:
        UnknownColumn: names the field and the column.

    """
    for kind in schema.type_map.values():
        definition: Any = kind.extensions.get(STRAWBERRY)
        if isinstance(kind, GraphQLObjectType) and definition is not None:
            _check_fields(kind, definition.origin)


def row_columns(kind: type) -> frozenset[str]:
    """Returns all columns of the row that a type has; none if it has no row."""
    return frozenset(_annotations(_row_class(kind)))


def _check_fields(kind: GraphQLObjectType, origin: type) -> None:
    for name, field in kind.fields.items():
        unknown = (_needs(field) or frozenset[str]()) - row_columns(origin)
        if unknown:
            row = getattr(_row_class(origin), "__name__", "The type")
            msg = (
                f"{kind.name}.{name} needs {', '.join(sorted(unknown))}: {row} has no such column."
            )
            raise UnknownColumn(msg)


def _needs(field: GraphQLField) -> frozenset[str] | None:
    definition: Any = field.extensions.get(STRAWBERRY)
    return definition.metadata.get(NEEDS) if definition else None


def _row_class(kind: type) -> Any:
    declared = _annotations(kind).get(ROW)
    # `strawberry.Private[UserRow]` is an `Annotated`.
    return getattr(declared, "__origin__", declared)


def _annotations(kind: Any) -> Mapping[str, Any]:
    """Returns the annotations of a class and of those that it inherits from."""
    classes: Iterator[Any] = reversed(getattr(kind, "__mro__", ()))
    return {name: each for cls in classes for name, each in inspect.get_annotations(cls).items()}


def _definition(kind: Any) -> Any:
    return kind.__strawberry_definition__
