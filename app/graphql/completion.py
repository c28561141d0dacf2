"""How values become parts of an answer: small functions that a plan is composed of.

Each checks what the stock executor checks, and raises `NotAsPlanned` instead of reporting it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
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


Later = Callable[[Any, Run], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Now:
    """Completes a value at once."""

    read: Read


@dataclass(frozen=True, slots=True)
class InTime:
    """Completes a value where something below it has to be awaited."""

    read: Later


Completion = Now | InTime


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field whose value stands in the answer as it is, if it is of this very class."""

    get: Read
    exact: type | None
    write: Read

    def __call__(self, source: Any) -> Any:
        return self.write(self.get(source))


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
        return await together(later(item, run) for item in _items(value))

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


def constant(value: str) -> Read:
    return lambda _source: value


def fields(reads: Mapping[str, Read | Leaf]) -> Now:
    """An object of fields that are read at once.

    Written out as a function of its own: with a call and a frame less for each field, a page of
    fifty people takes two thirds of the time that loops over pairs take. Response names are names
    of GraphQL, so nothing but a name can come to stand in the text.
    """
    names: dict[str, Any] = {}
    lines: list[str] = []
    for number, read in enumerate(reads.values()):
        if isinstance(read, Leaf):
            names |= {f"get{number}": read.get, f"kind{number}": read.exact}
            names[f"write{number}"] = read.write
            lines += [
                f"    value{number} = get{number}(source)",
                f"    if value{number}.__class__ is not kind{number}:",
                f"        value{number} = write{number}(value{number})",
            ]
        else:
            names[f"get{number}"] = read
            lines.append(f"    value{number} = get{number}(source)")
    entries = ", ".join(f"{key!r}: value{number}" for number, key in enumerate(reads))
    text = "\n".join(["def complete(source):", *lines, f"    return {{{entries}}}"])
    exec(compile(text, "<plan>", "exec"), names)  # noqa: S102 - of our own making, see above
    return Now(names["complete"])


def composed(get: Read, complete: Read) -> Read:
    return lambda source: complete(get(source))


def leaf(kind: GraphQLLeafType, get: Read, *, none_is_fine: bool) -> Leaf:
    """A field that is a scalar or an enum: most fields are."""
    exact = EXACT.get(kind.name) if kind.name in specified_scalar_types else None
    coerce = kind.coerce_output_value

    def write(value: Any) -> Any:
        if value is None and none_is_fine:
            return None
        written = coerce(value) if value is not None else None
        if written is None:
            raise NotAsPlanned
        return written

    return Leaf(get, exact, write)


def value_of(kind: GraphQLLeafType) -> Now:
    """An item of a list of leaves."""
    return Now(leaf(kind, itself, none_is_fine=False).write)


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
