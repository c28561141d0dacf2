"""How values become parts of an answer: shapes that a plan is composed of, and what awaits.

A shape checks what the stock executor checks, and raises `NotAsPlanned` instead of reporting it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple, cast

from graphql import GraphQLLeafType, specified_scalar_types
from graphql.execution.values import VariableValues

from app.graphql.context import Context

Read = Callable[[Any], Any]
EXACT: Mapping[str, type] = {"String": str, "ID": str, "Boolean": bool}


class NotAsPlanned(Exception):
    """The stock executor decides what to make of it."""


class Run(NamedTuple):
    """One request."""

    context: Context
    variables: VariableValues


Later = Callable[[Any, Run], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar or an enum, which stands in the answer as it is if it is of this very class."""

    exact: type | None
    write: Read


@dataclass(frozen=True, slots=True)
class Part:
    """A field that is read at once: an attribute by its name, or a function of the object."""

    get: Read | str
    shape: "Shape"


@dataclass(frozen=True, slots=True)
class Record:
    """An object all of whose fields are read at once."""

    parts: Mapping[str, "Part | Constant"]
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Many:
    item: "Shape"
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Constant:
    value: str


@dataclass(frozen=True, slots=True)
class InTime:
    """Completes a value where something below it has to be awaited."""

    read: Later


Shape = Leaf | Record | Many
Completion = Shape | InTime


def leaf(kind: GraphQLLeafType, *, nullable: bool) -> Leaf:
    known = kind.name in specified_scalar_types
    exact = EXACT.get(kind.name) if known else datetime if kind.name == "DateTime" else None
    coerce = kind.coerce_output_value

    def write(value: Any) -> Any:
        if value is None and nullable:
            return None
        written = coerce(value) if value is not None else None
        if written is None:
            raise NotAsPlanned
        return written

    return Leaf(exact, write)


def part(get: Read, shape: Shape) -> Part:
    """A field; reading a plain attribute needs no call."""
    return Part(_attribute(get) or get, shape)


def _attribute(get: Read) -> str | None:
    if not isinstance(get, attrgetter):
        return None
    _, (name,) = cast("Any", get).__reduce__()
    return name if name.isidentifier() else None


def many(item: Completion, *, nullable: bool) -> Completion:
    """A list."""
    if not isinstance(item, InTime):
        return Many(item, nullable)
    later = item.read

    async def in_time(value: Any, run: Run) -> Any:
        return await together(later(each, run) for each in _items(value))

    return unless_none(in_time, nullable=nullable)


def unless_none(later: Later, *, nullable: bool) -> InTime:
    async def in_time(value: Any, run: Run) -> Any:
        if value is not None:
            return await later(value, run)
        if nullable:
            return None
        raise NotAsPlanned

    return InTime(in_time)


async def together(parts: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Await all at once. Where one fails, the others stop: what they would find is not wanted."""
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
