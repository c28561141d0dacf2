"""Global ids: a type name and a UUID, opaque to clients (Relay's object identification).

Access tokens name a user by the UUID alone (`sub`), so wherever the id of a user is taken, that is
taken too.
"""

import re
import uuid
from typing import Any

import strawberry

from app.errors import BadInput
from app.graphql.columns import column

WRITTEN = re.compile(r"([A-Za-z]+)_([0-9a-f]{32})", re.ASCII)
# As RFC 9562 (4) writes a UUID; upper case is accepted, as it asks.
SUBJECT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
USER = "User"
ID = "Opaque and unique across all types. Store it, do not parse it."


@strawberry.interface(description="Anything that can be fetched again by its id.")
class Node:
    @strawberry.field(description=ID)
    def id(self) -> strawberry.ID:
        raise NotImplementedError


def global_id(type_name: str, row_id: uuid.UUID) -> Any:
    """Returns a `strawberry.ID` that whoever reads a log recognises.

    Calling `strawberry.ID`, which returns its argument, would double what this costs.
    """
    return f"{type_name}_{row_id.hex}"


def id_column(type_name: str) -> Any:
    """Declare the `id` of a type whose `row` has an `id`."""
    prefix = f"{type_name}_"

    def convert(row_id: uuid.UUID) -> Any:
        return prefix + row_id.hex

    return column("id", convert, description=ID)


def read_id(text: str, argument: str) -> tuple[str, uuid.UUID]:
    """Take a global id apart. A bare UUID is the subject of a user.

    Raises:
        BadInput: it is neither.

    """
    if SUBJECT.fullmatch(text):
        return USER, uuid.UUID(text)
    parts = WRITTEN.fullmatch(text)
    if parts is None:
        msg = f"`{argument}` is not an id of this server."
        raise BadInput(msg)
    return parts[1], uuid.UUID(parts[2])


def read_id_of(type_name: str, text: str, argument: str) -> uuid.UUID:
    """Take apart the id of one kind of thing; for a user, or their subject.

    Raises:
        BadInput: it is no id, or that of another kind.

    """
    name, row_id = read_id(text, argument)
    if name != type_name:
        msg = f"`{argument}` is not the id of a {type_name}."
        raise BadInput(msg)
    return row_id


def read_subject(text: str, argument: str) -> uuid.UUID:
    """Read what tokens call a user.

    Raises:
        BadInput: it is no UUID.

    """
    if not SUBJECT.fullmatch(text):
        msg = f"`{argument}` is not a subject: it must be a UUID, as `sub` in an access token."
        raise BadInput(msg)
    return uuid.UUID(text)
