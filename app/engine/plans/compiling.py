"""Writes a shape out as one function of its own.

With no call and no frame for each field and each object within, a page of fifty people takes a
third of the time that functions composed of functions take. Response names and attributes are
names, and resolvers are ours, so nothing that a client sends can come to stand in the text.
"""

import ast
from datetime import UTC, datetime
from typing import Any

from app.engine.plans.completion import (
    Constant,
    Leaf,
    Many,
    NotAsPlanned,
    Part,
    Read,
    Record,
    Shape,
)
from app.engine.plans.inlining import (
    Each,
    Inlining,
    Made,
    NotInlined,
    Symbol,
    attribute,
    built,
    is_path,
    name_of,
)

# Loops and branches within each other that Python compiles: 20 and 100. Deeper ones get a function.
MAX_NESTING = 12


def compiled(shape: Shape) -> Read:
    """Give the function that turns a value of this shape into what stands in the answer."""
    return _Text(shape).function()


class _Text:
    """The text of one function, and what it refers to."""

    def __init__(self, shape: Shape) -> None:
        self._names: dict[str, Any] = {"NotAsPlanned": NotAsPlanned, "UTC": UTC}
        self._lines = ["def complete(value):"]
        self._count = 0
        self._inlining = Inlining(self._known, self._new)
        answer = self._write(shape, name_of("value"), 1)
        self._lines.append(f"    return {answer}")

    def function(self) -> Read:
        exec(compile("\n".join(self._lines), "<plan>", "exec"), self._names)  # noqa: S102 - ours
        return self._names["complete"]

    def _write(self, shape: Shape, value: Symbol, depth: int) -> str:
        """Turn a value into what stands in the answer; give the variable that it is in."""
        if isinstance(shape, Record) and isinstance(value, Made):
            return self._write_record(shape, value, depth)
        if isinstance(shape, Many) and isinstance(value, Each) and depth <= MAX_NESTING:
            return self._write_each(shape, value, depth)
        name = self._assign(value, depth)
        if isinstance(shape, Leaf):
            self._write_leaf(shape, name, depth)
        elif depth > MAX_NESTING:
            self._line(depth, f"{name} = {self._known(compiled(shape))}({name})")
        elif shape.nullable:
            self._line(depth, f"if {name} is not None:")
            self._write_present(shape, name, depth + 1)
        else:
            self._line(depth, f"if {name} is None: raise NotAsPlanned")
            self._write_present(shape, name, depth)
        return name

    def _write_present(self, shape: Record | Many, name: str, depth: int) -> None:
        if isinstance(shape, Record):
            answer = self._write_record(shape, name_of(name), depth)
        else:
            self._line(depth, f"if not isinstance({name}, list): raise NotAsPlanned")
            item = self._new()
            answer = self._write_each(shape, Each(name_of(name), item, name_of(item)), depth)
        self._line(depth, f"{name} = {answer}")

    def _write_leaf(self, shape: Leaf, name: str, depth: int) -> None:
        write = f"{name} = {self._known(shape.write)}({name})"
        if shape.exact is None:
            self._line(depth, write)
            return
        other = f"{name}.__class__ is not {self._known(shape.exact)}"
        if shape.exact is datetime:
            other += f" or {name}.tzinfo is not UTC"
        self._line(depth, f"if {other}: {write}")

    def _write_record(self, shape: Record, of: Symbol, depth: int) -> str:
        parts = {key: each for key, each in shape.parts.items() if isinstance(each, Part)}
        of = self._settled(of, depth)
        try:
            read = {key: self._read(each, of) for key, each in parts.items()}
        except NotInlined:
            # Some of it is called, and takes the object itself.
            of = name_of(self._assign(of, depth))
            read = {key: self._read(each, of) for key, each in parts.items()}
        entries: list[str] = []
        for key, each in shape.parts.items():
            if isinstance(each, Constant):
                entries.append(f"{key!r}: {each.value!r}")
            else:
                entries.append(f"{key!r}: {self._write(each.shape, read[key], depth)}")
        answer = self._new()
        self._line(depth, f"{answer} = {{{', '.join(entries)}}}")
        return answer

    def _write_each(self, shape: Many, each: Each, depth: int) -> str:
        items = self._new()
        self._line(depth, f"{items} = []")
        self._line(depth, f"for {each.name} in {ast.unparse(each.source)}:")
        item = self._write(shape.item, each.item, depth + 1)
        self._line(depth + 1, f"{items}.append({item})")
        return items

    def _read(self, part: Part, of: Symbol) -> Symbol:
        """Give what a field reads.

        Raises:
            NotInlined: that has to be asked of the object itself.

        """
        if isinstance(part.get, str):
            return attribute(of, part.get)
        try:
            return self._inlining.call(part.get, of)
        except NotInlined:
            if not isinstance(of, ast.expr):
                raise
            return ast.Call(name_of(self._known(part.get)), [of], [])

    def _settled(self, value: Symbol, depth: int) -> Symbol:
        """Work out once what of an object takes more than reading."""
        if not isinstance(value, Made):
            return value
        parts = {
            name: part if isinstance(part, Made) or is_path(part) else self._variable(part, depth)
            for name, part in value.parts.items()
        }
        return Made(value.kind, parts)

    def _variable(self, value: Symbol, depth: int) -> ast.expr:
        return name_of(self._assign(value, depth))

    def _assign(self, value: Symbol, depth: int) -> str:
        name = self._new()
        self._line(depth, f"{name} = {ast.unparse(built(value, self._known))}")
        return name

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
