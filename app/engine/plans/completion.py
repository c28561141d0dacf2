"""Completion: how values become parts of an answer, by shapes or by awaiting resolvers.

A shape makes the same checks as the stock executor, and raises `NotAsPlanned` instead of reporting
an error.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import graphql
from graphql import (
    GraphQLBoolean,
    GraphQLFloat,
    GraphQLInt,
    GraphQLLeafType,
    Undefined,
    is_enum_type,
    specified_scalar_types,
)
from graphql.execution.values import VariableValues
from strawberry.types.cast import get_strawberry_type_cast

from app.engine.attributes import Attribute
from app.engine.plans.outcomes import Outcomes

Read = Callable[[Any], Any]
is_awaitable: Callable[[Any], bool] = cast("Any", graphql.pyutils).is_awaitable
# Scalars that refuse everything that `check_value` does; `String` accepts objects.
STRICT = (GraphQLInt, GraphQLFloat, GraphQLBoolean)
# Values of exactly these classes are put into the answer unchanged.
EXACT: Mapping[str, type] = {"String": str, "ID": str, "Boolean": bool}
ANY_DATETIME = datetime(2026, 1, 31, 12, 30, 45, 123456, tzinfo=UTC)


class NotAsPlanned(Exception):
    """The stock executor has to complete the answer and report any error."""


class Run(NamedTuple):
    """One request."""

    context: Any
    variables: VariableValues
    outcomes: Outcomes


AwaitedRead = Callable[[Any, Run], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar or an enum. A value whose class is `exact` needs no call of `write`."""

    exact: type | None
    write: Read


@dataclass(frozen=True, slots=True)
class Part:
    """A field that is read without waiting: an attribute, or a method of the object."""

    get: Attribute | Read
    shape: "Shape"


@dataclass(frozen=True, slots=True)
class Constant:
    """`__typename`."""

    value: str


@dataclass(frozen=True, slots=True)
class Record:
    """An object all of whose fields are read without waiting."""

    parts: Mapping[str, Part | Constant]
    nullable: bool = False
    # An object of exactly this class needs no call of `check_value`.
    exact: type = object
    # The required class of the object, if the stock executor checks it.
    of_class: type = object


@dataclass(frozen=True, slots=True)
class Choice:
    """An object of an interface or a union: a record for each class that it may have."""

    records: Mapping[type, Record]
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Many:
    """A list whose items are read without waiting."""

    item: "Shape"
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Awaited:
    """Completes a value below which a resolver has to be awaited."""

    read: AwaitedRead


Shape = Leaf | Record | Choice | Many
Completion = Shape | Awaited


def check_value(value: Any, of_class: type = object) -> None:
    """Leave a value to the stock executor that is not simply an object of this class.

    It awaits awaitables, raises exceptions that were returned, and takes `Undefined` for null.
    """
    is_special = value is None or value is Undefined or isinstance(value, Exception)
    if is_special or is_awaitable(value) or not isinstance(value, of_class):
        raise NotAsPlanned


def is_ordinary(of_class: type) -> bool:
    """Whether `check_value` accepts all objects of a class."""
    return not issubclass(of_class, Exception | Awaitable)


def leaf(kind: GraphQLLeafType, *, nullable: bool) -> Leaf:
    """Returns the shape of a scalar or an enum."""
    coerce = kind.coerce_output_value
    accepts_anything = not is_enum_type(kind) and kind not in STRICT

    def write(value: Any) -> Any:
        if value is None and nullable:
            return None
        if accepts_anything:
            check_value(value)
        written = coerce(value) if value is not None else None
        if written is None or written is Undefined:
            raise NotAsPlanned
        return written

    return Leaf(_exact_class(kind), write)


def _exact_class(kind: GraphQLLeafType) -> type | None:
    if kind.name in specified_scalar_types:
        return EXACT.get(kind.name)
    return datetime if kind.name == "DateTime" and _keeps_datetimes(kind) else None


def _keeps_datetimes(kind: GraphQLLeafType) -> bool:
    """Whether a scalar returns a `datetime` in UTC unchanged, for the JSON encoder to write."""
    try:
        return kind.coerce_output_value(ANY_DATETIME) is ANY_DATETIME
    except Exception:  # noqa: BLE001 - whatever it raises, it does not keep it
        return False


def many(item: Completion, *, nullable: bool) -> Completion:
    """Returns the shape of a list."""
    if not isinstance(item, Awaited):
        return Many(item, nullable)
    read_item = item.read

    async def read(value: Any, run: Run) -> Any:
        return await gather(read_item(each, run) for each in _items(value))

    return unless_none(read, nullable=nullable)


def is_cast(value: Any) -> bool:
    """Whether `strawberry.cast` gave a value another type than that of its class."""
    return get_strawberry_type_cast(value) is not None


def chosen(reads: Mapping[type, AwaitedRead], *, nullable: bool) -> Awaited:
    """Returns the completion of an interface or a union by the class of the object."""

    async def read(value: Any, run: Run) -> Any:
        read_object = reads.get(value.__class__)
        if read_object is None or is_cast(value):
            raise NotAsPlanned
        return await read_object(value, run)

    return unless_none(read, nullable=nullable)


def unless_none(read: AwaitedRead, *, nullable: bool) -> Awaited:
    """Returns the completion that handles null before reading."""

    async def read_unless_none(value: Any, run: Run) -> Any:
        if value is not None:
            return await read(value, run)
        if nullable:
            return None
        raise NotAsPlanned

    return Awaited(read_unless_none)


async def gather(parts: Iterable[Awaitable[Any]]) -> list[Any]:
    """Await all concurrently. If one fails, the others are cancelled: the answer is not used."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotAsPlanned
    return cast("list[Any]", value)
