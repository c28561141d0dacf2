"""Compiles a shape into one Python function.

A single function, without a call and a frame for each field and object, takes a third of the time
of composed functions. Its source contains response names as quoted strings, and attribute names
that the schema declares and `Attribute` checks, so text from a client cannot become code.
"""

from datetime import UTC, datetime
from typing import Any

from app.engine.attributes import Attribute
from app.engine.plans.completion import (
    Choice,
    Constant,
    Leaf,
    Many,
    NotAsPlanned,
    Part,
    Read,
    Record,
    Shape,
    check_value,
    is_cast,
)

# Python compiles 20 nested loops and 100 nested blocks. Deeper shapes get a function of their own.
MAX_NESTING = 12


def compiled(shape: Shape) -> Read:
    """Returns the function that converts a value of this shape to its part of the answer."""
    source = _Source(shape)
    exec(compile(source.text, "<plan>", "exec"), source.names)  # noqa: S102 - see above
    return source.names["complete"]


def source_of(shape: Shape) -> str:
    """Returns the source of the function that a shape is compiled to."""
    return _Source(shape).text


class _Source:
    """The source of one function, and the objects that its names refer to."""

    def __init__(self, shape: Shape) -> None:
        self.names: dict[str, Any] = {"NotAsPlanned": NotAsPlanned, "UTC": UTC}
        self._lines = ["def complete(value):"]
        self._count = 0
        answer = self._write(shape, "value", 1)
        self._line(1, f"return {answer}")

    @property
    def text(self) -> str:
        return "\n".join(self._lines)

    def _write(self, shape: Shape, value: str, depth: int) -> str:
        """Write the conversion of a value; returns the variable that holds the result."""
        name = value if value.isidentifier() else self._assign(value, depth)
        if isinstance(shape, Leaf):
            self._write_leaf(shape, name, depth)
        elif depth > MAX_NESTING:
            self._line(depth, f"{name} = {self._known(compiled(shape))}({name})")
        elif shape.nullable:
            self._line(depth, f"if {name} is not None:")
            answer = self._write_not_none(shape, name, depth + 1)
            self._line(depth + 1, f"{name} = {answer}")
        else:
            # Each of them refuses null.
            return self._write_not_none(shape, name, depth)
        return name

    def _write_leaf(self, shape: Leaf, name: str, depth: int) -> None:
        write = f"{name} = {self._known(shape.write)}({name})"
        if shape.exact is None:
            self._line(depth, write)
            return
        differs = f"{name}.__class__ is not {self._known(shape.exact)}"
        if shape.exact is datetime:
            differs += f" or {name}.tzinfo is not UTC"
        self._line(depth, f"if {differs}: {write}")

    def _write_not_none(self, shape: Record | Choice | Many, name: str, depth: int) -> str:
        if isinstance(shape, Record):
            differs = f"{name}.__class__ is not {self._known(shape.exact)}"
            check = f"{self._known(check_value)}({name}, {self._known(shape.of_class)})"
            self._line(depth, f"if {differs}: {check}")
            return self._write_record(shape, name, depth)
        if isinstance(shape, Choice):
            return self._write_choice(shape, name, depth)
        return self._write_items(shape, name, depth)

    def _write_choice(self, shape: Choice, name: str, depth: int) -> str:
        answer = self._new_variable()
        self._line(depth, f"if {self._known(is_cast)}({name}): raise NotAsPlanned")
        for of_class, record in shape.records.items():
            self._line(depth, f"elif {name}.__class__ is {self._known(of_class)}:")
            written = self._write_record(record, name, depth + 1)
            self._line(depth + 1, f"{answer} = {written}")
        self._line(depth, "else: raise NotAsPlanned")
        return answer

    def _write_record(self, shape: Record, source: str, depth: int) -> str:
        # The variables of the object and of the objects it refers to: each is read once.
        objects = {(): source}
        entries: list[str] = []
        for key, part in shape.parts.items():
            if isinstance(part, Constant):
                entries.append(f"{key!r}: {part.value!r}")
            else:
                value = self._value(part, objects, depth)
                entries.append(f"{key!r}: {self._write(part.shape, value, depth)}")
        return self._assign(f"{{{', '.join(entries)}}}", depth)

    def _write_items(self, shape: Many, name: str, depth: int) -> str:
        self._line(depth, f"if not isinstance({name}, list): raise NotAsPlanned")
        items, item = self._assign("[]", depth), self._new_variable()
        self._line(depth, f"for {item} in {name}:")
        answer = self._write(shape.item, item, depth + 1)
        self._line(depth + 1, f"{items}.append({answer})")
        return items

    def _value(self, part: Part, objects: dict[tuple[str, ...], str], depth: int) -> str:
        """Returns the expression of a field's value."""
        if not isinstance(part.get, Attribute):
            return f"{self._known(part.get)}({objects[()]})"
        *path, last = part.get.names
        value = f"{self._object(tuple(path), objects, depth)}.{last}"
        convert = part.get.convert
        return value if convert is None else f"{self._known(convert)}({value})"

    def _object(
        self, path: tuple[str, ...], objects: dict[tuple[str, ...], str], depth: int
    ) -> str:
        """Returns the variable of the object at a path; writes the code that reads it if new."""
        if path not in objects:
            holder = self._object(path[:-1], objects, depth)
            objects[path] = self._assign(f"{holder}.{path[-1]}", depth)
        return objects[path]

    def _assign(self, expression: str, depth: int) -> str:
        name = self._new_variable()
        self._line(depth, f"{name} = {expression}")
        return name

    def _line(self, depth: int, text: str) -> None:
        self._lines.append("    " * depth + text)

    def _new_variable(self) -> str:
        self._count += 1
        return f"value{self._count}"

    def _known(self, thing: Any) -> str:
        """Returns a name by which the function refers to an object of the process."""
        self._count += 1
        name = f"known{self._count}"
        self.names[name] = thing
        return name
