"""What the readers of other systems' records share: values as the lines of an import have them."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, cast

from app.users.services.inputs import UUID_TEXT

Fields = dict[str, Any]
# Stands for a hash that is there and cannot be written in a known form: it is refused as one.
UNREADABLE_HASH = "?"
TRUE_TEXTS = frozenset({"true", "t", "1"})


class UnusableRecord(Exception):
    """A record that stands for no person; the text completes the sentence "the record …"."""


def identity(value: object) -> Fields:
    """What another system calls somebody: a UUID stays the id, anything else becomes external."""
    text = str(value) if isinstance(value, int) else value
    if isinstance(text, str) and UUID_TEXT.fullmatch(text):
        return {"id": text}
    return {"externalId": text}


def flag(value: object) -> bool:
    """Read a boolean, also as CSV files of Firebase, Cognito and PostgreSQL have it."""
    return value is True or (isinstance(value, str) and value.lower() in TRUE_TEXTS)


def joined(*names: object) -> str:
    """A name made of its parts, as far as they are there."""
    return " ".join(each.strip() for each in names if isinstance(each, str) and each.strip())


def member(values: object, name: str) -> Any:
    """A member of an object; None if it has none, or is no object."""
    return cast("Mapping[str, Any]", values).get(name) if isinstance(values, Mapping) else None


def objects(values: object) -> list[Mapping[str, Any]]:
    """The objects in a list; none if it is no list."""
    if not isinstance(values, list):
        return []
    listed = cast("list[Any]", values)
    return [cast("Mapping[str, Any]", each) for each in listed if isinstance(each, Mapping)]


def decoded(text: object) -> bytes | None:
    """Decode base64 of either alphabet, padded or not; None for anything else."""
    if not isinstance(text, str):
        return None
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def unpadded(some: bytes) -> str:
    """Encode in base64 without padding, as PHC strings have it."""
    return base64.b64encode(some).decode().rstrip("=")
