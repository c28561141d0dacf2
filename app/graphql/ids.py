"""Global ids: a type name and a UUID, opaque to clients (Relay's object identification)."""

import re
import uuid
from typing import Any

import strawberry

from app.errors import BadInput

WRITTEN = re.compile(r"([A-Za-z]+)_([0-9a-f]{32})", re.ASCII)


@strawberry.interface(description="Anything that can be fetched again by its id.")
class Node:
    @strawberry.field(description="Opaque and unique among everything. Keep it, do not parse it.")
    def id(self) -> strawberry.ID:
        raise NotImplementedError


def global_id(type_name: str, row_id: uuid.UUID) -> Any:
    """Write a `strawberry.ID` that whoever reads a log knows again.

    Calling that, which gives back what it is given, would double what this costs.
    """
    return f"{type_name}_{row_id.hex}"


def read_id(text: str, argument: str) -> tuple[str, uuid.UUID]:
    """Take a global id apart.

    Raises:
        BadInput: it is not one.

    """
    parts = WRITTEN.fullmatch(text)
    if parts is None:
        msg = f"`{argument}` is not an id of this server."
        raise BadInput(msg)
    return parts[1], uuid.UUID(parts[2])


def read_id_of(type_name: str, text: str, argument: str) -> uuid.UUID:
    """Take apart the id of one kind of thing.

    Raises:
        BadInput: it is no id, or that of another kind.

    """
    name, row_id = read_id(text, argument)
    if name != type_name:
        msg = f"`{argument}` is not the id of a {type_name}."
        raise BadInput(msg)
    return row_id
