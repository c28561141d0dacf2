"""How values become parts of an answer: shapes that a plan is composed of, and what awaits.

A shape checks what the stock executor checks, and raises `NotAsPlanned` instead of reporting it.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple, cast

from graphql import GraphQLLeafType, specified_scalar_types
from graphql.execution.values import VariableValues

from app.graphql.context import Context

Read = Callable[[Any], Any]
EXACT: Mapping[str, type] = {"String": str, "ID": str, "Boolean": bool}
# Loops and branches within each other that Python compiles: 20 and 100. Deeper ones get a function.
MAX_NESTING = 12


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


def compiled(shape: Shape) -> Read:
    """Write a shape out as one function of its own.

    With no call and no frame for each field and each object within, a page of fifty people takes
    half the time that functions composed of functions take. Response names and attributes are
    names, so nothing but a name can come to stand in the text.
    """
    return _Text(shape).function()


class _Text:
    """The text of one function, and what it refers to."""

    def __init__(self, shape: Shape) -> None:
        self._names: dict[str, Any] = {"NotAsPlanned": NotAsPlanned, "UTC": UTC}
        self._lines = ["def complete(value):"]
        self._count = 0
        self._write(shape, "value", 1)
        self._lines.append("    return value")

    def function(self) -> Read:
        exec(compile("\n".join(self._lines), "<plan>", "exec"), self._names)  # noqa: S102 - ours
        return self._names["complete"]

    def _write(self, shape: Shape, name: str, depth: int) -> None:
        """Turn what is in the variable into what stands in the answer."""
        if isinstance(shape, Leaf):
            self._write_leaf(shape, name, depth)
            return
        if depth > MAX_NESTING:
            self._line(depth, f"{name} = {self._known(compiled(shape))}({name})")
            return
        if shape.nullable:
            self._line(depth, f"if {name} is not None:")
            depth += 1
        else:
            self._line(depth, f"if {name} is None: raise NotAsPlanned")
        if isinstance(shape, Record):
            self._write_record(shape, name, depth)
        else:
            self._write_many(shape, name, depth)

    def _write_leaf(self, shape: Leaf, name: str, depth: int) -> None:
        write = f"{name} = {self._known(shape.write)}({name})"
        if shape.exact is None:
            self._line(depth, write)
            return
        other = f"{name}.__class__ is not {self._known(shape.exact)}"
        if shape.exact is datetime:
            other += f" or {name}.tzinfo is not UTC"
        self._line(depth, f"if {other}: {write}")

    def _write_record(self, shape: Record, name: str, depth: int) -> None:
        entries: list[str] = []
        for key, each in shape.parts.items():
            if isinstance(each, Constant):
                entries.append(f"{key!r}: {each.value!r}")
                continue
            value = self._new()
            by_name = isinstance(each.get, str)
            read = f"{name}.{each.get}" if by_name else f"{self._known(each.get)}({name})"
            self._line(depth, f"{value} = {read}")
            self._write(each.shape, value, depth)
            entries.append(f"{key!r}: {value}")
        self._line(depth, f"{name} = {{{', '.join(entries)}}}")

    def _write_many(self, shape: Many, name: str, depth: int) -> None:
        items, item = self._new(), self._new()
        self._line(depth, f"if not isinstance({name}, list): raise NotAsPlanned")
        self._line(depth, f"{items} = []")
        self._line(depth, f"for {item} in {name}:")
        self._write(shape.item, item, depth + 1)
        self._line(depth + 1, f"{items}.append({item})")
        self._line(depth, f"{name} = {items}")

    def _line(self, depth: int, text: str) -> None:
        self._lines.append("    " * depth + text)

    def _new(self) -> str:
        self._count += 1
        return f"value{self._count}"

    def _known(self, thing: Any) -> str:
        self._count += 1
        name = f"known{self._count}"
        self._names[name] = thing
        return name


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotAsPlanned
    return cast("list[Any]", value)
