"""Fields that are an attribute of their object, or of an object that it holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from operator import attrgetter
from typing import Any

import strawberry
from strawberry.types.field import StrawberryField

KEY = "attribute"


@dataclass(frozen=True, slots=True)
class Attribute:
    """Where a field's value is: `names` leads to it from the object, `convert` is called with it.

    Raises:
        ValueError: a name is not one of Python's: a plan could not be written with it.

    """

    names: tuple[str, ...]
    convert: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        if not self.names or not all(map(_is_name, self.names)):
            msg = f"{'.'.join(self.names)!r} is not the path of an attribute."
            raise ValueError(msg)

    def reader(self) -> Callable[[Any], Any]:
        """Returns a function that reads the value from an object."""
        get, convert = attrgetter(".".join(self.names)), self.convert
        return get if convert is None else lambda source: convert(get(source))


def attribute_field(
    attribute: Attribute, *, description: str, metadata: Mapping[Any, Any] | None = None
) -> Any:
    """Declare a field whose value is not passed to `__init__` but read from the object.

    Python code and the stock executor read it as a property; plans read the attribute itself.
    """
    field: Any = strawberry.field(
        # `dataclasses` makes it the attribute of the class, as every default.
        default=property(attribute.reader()),
        description=description,
        metadata={KEY: attribute, **(metadata or {})},
    )
    field.init = field.repr = field.compare = False
    return field


def attribute_of(field: StrawberryField) -> Attribute:
    """Returns the attribute that a field without a resolver is read from."""
    declared: Attribute | None = field.metadata.get(KEY)
    return declared or Attribute((field.python_name,))


def _is_name(name: str) -> bool:
    return name.isidentifier() and not iskeyword(name)
