"""Helpers of the readers for other systems: they return the fields of an import."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, cast

from app.users.services.inputs import UUID_TEXT

Fields = dict[str, Any]
# Written for a hash of an unknown format: it is refused as invalid.
UNREADABLE_HASH = "?"
TRUE_TEXTS = frozenset({"true", "t", "1"})


class UnusableRecord(Exception):
    """A record that is not a user; the text completes the sentence "the record …"."""


def identity(value: object) -> Fields:
    """Returns the id of a user in another system: as `id` if a UUID, else as `externalId`."""
    text = str(value) if isinstance(value, int) else value
    if isinstance(text, str) and UUID_TEXT.fullmatch(text):
        return {"id": text}
    return {"externalId": text}


def flag(value: object) -> bool:
    """Read a boolean, also from CSV files of Firebase, Cognito and PostgreSQL."""
    return value is True or (isinstance(value, str) and value.lower() in TRUE_TEXTS)


def joined(*names: object) -> str:
    """Returns the parts of a name that are not empty, joined by spaces."""
    return " ".join(each.strip() for each in names if isinstance(each, str) and each.strip())


def member(values: object, name: str) -> Any:
    """Returns a member of an object; None if there is none, or it is not an object."""
    return cast("Mapping[str, Any]", values).get(name) if isinstance(values, Mapping) else None


def objects(values: object) -> list[Mapping[str, Any]]:
    """Returns the objects in a list; none if it is not a list."""
    if not isinstance(values, list):
        return []
    listed = cast("list[Any]", values)
    return [cast("Mapping[str, Any]", each) for each in listed if isinstance(each, Mapping)]


def decoded(text: object) -> bytes | None:
    """Decode base64 (standard or URL-safe), padded or not; None for anything else."""
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
