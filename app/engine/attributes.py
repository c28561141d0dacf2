"""Fields that are read from an attribute of their object, or of an object that it refers to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from keyword import iskeyword
from operator import attrgetter
from typing import Any

from strawberry.types.field import StrawberryField

KEY = "attribute"


@dataclass(frozen=True, slots=True)
class Attribute:
    """Where a field's value is: `names` is the path from the object, `convert` maps the value.

    Raises:
        ValueError: a name is not a Python identifier, so that a plan could not contain it.

    """

    names: tuple[str, ...]
    convert: Callable[[Any], Any] | None = None
    # Reads the value from an object.
    read: Callable[[Any], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.names or not all(map(_is_name, self.names)):
            msg = f"{'.'.join(self.names)!r} is not the path of an attribute."
            raise ValueError(msg)
        object.__setattr__(self, "read", _reader(self.names, self.convert))


class AttributeField(StrawberryField):
    """A field without a resolver. It can be added to a type whose objects are of another class."""

    def get_result(
        self,
        source: Any,
        info: Any,  # noqa: ARG002 - the signature is Strawberry's
        args: list[Any],  # noqa: ARG002
        kwargs: Any,  # noqa: ARG002
    ) -> Any:
        return attribute_of(self).read(source)


def attribute_field(
    attribute: Attribute, *, description: str, metadata: Mapping[Any, Any] | None = None
) -> Any:
    """Declare a field whose value is read from the object instead of passed to `__init__`.

    It is also a property of the class. Plans read the attribute directly.
    """
    declared = AttributeField(
        # `dataclasses` makes every default an attribute of the class.
        default=property(attribute.read),
        description=description,
        metadata={KEY: attribute, **(metadata or {})},
    )
    declared.init = declared.repr = declared.compare = False
    return declared


def attribute_of(definition: StrawberryField) -> Attribute:
    """Returns the attribute that a field without a resolver is read from."""
    declared: Attribute | None = definition.metadata.get(KEY)
    return declared or Attribute((definition.python_name,))


def _reader(names: tuple[str, ...], convert: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    get = attrgetter(".".join(names))
    return get if convert is None else lambda source: convert(get(source))


def _is_name(name: str) -> bool:
    return name.isidentifier() and not iskeyword(name)
