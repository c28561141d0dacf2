"""How values become parts of an answer: small functions that a plan is composed of.

Each checks what the stock executor checks, and raises `NotAsPlanned` instead of reporting it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
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


Later = Callable[[Any, Run], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Now:
    """Completes a value at once."""

    read: Read


@dataclass(frozen=True, slots=True)
class InTime:
    """Completes a value where something below it has to be awaited."""

    read: Later


Completion = Now | InTime


def required(complete: Completion) -> Completion:
    """A type with an exclamation mark: null is not as planned."""
    return _unless_none(complete, none_is_fine=False)


def optional(complete: Completion) -> Completion:
    """A type without one: null stays null."""
    return _unless_none(complete, none_is_fine=True)


def each(complete: Completion) -> Completion:
    """A list of what `complete` completes."""
    if isinstance(complete, Now):
        read = complete.read
        return Now(lambda value: [read(item) for item in _items(value)])
    later = complete.read

    async def in_time(value: Any, run: Run) -> Any:
        return list(await asyncio.gather(*(later(item, run) for item in _items(value))))

    return InTime(in_time)


def constant(value: str) -> Read:
    return lambda _source: value


def fields(reads: Mapping[str, Read]) -> Now:
    """An object of fields that are read at once."""
    pairs = tuple(reads.items())
    return Now(lambda source: {key: read(source) for key, read in pairs})


def composed(get: Read, complete: Read) -> Read:
    return lambda source: complete(get(source))


def leaf(kind: GraphQLLeafType, get: Read, *, none_is_fine: bool) -> Read:
    """A field that is a scalar or an enum, read and written by one function: most fields are."""
    exact = EXACT.get(kind.name) if kind.name in specified_scalar_types else None
    coerce = kind.coerce_output_value

    def read(source: Any) -> Any:
        value = get(source)
        if type(value) is exact:
            return value
        if value is None and none_is_fine:
            return None
        written = coerce(value) if value is not None else None
        if written is None:
            raise NotAsPlanned
        return written

    return read


def itself(value: Any) -> Any:
    return value


def _unless_none(complete: Completion, *, none_is_fine: bool) -> Completion:
    if isinstance(complete, Now):
        read = complete.read

        def at_once(value: Any) -> Any:
            if value is not None:
                return read(value)
            if none_is_fine:
                return None
            raise NotAsPlanned

        return Now(at_once)
    later = complete.read

    async def in_time(value: Any, run: Run) -> Any:
        if value is not None:
            return await later(value, run)
        if none_is_fine:
            return None
        raise NotAsPlanned

    return InTime(in_time)


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotAsPlanned
    return cast("list[Any]", value)
