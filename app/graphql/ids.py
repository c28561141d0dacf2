"""Global ids: a type name and a UUID, opaque to clients (Relay's object identification)."""

import base64
import binascii
import uuid

import strawberry

from app.errors import BadInput


@strawberry.interface(description="Anything that can be fetched again by its id.")
class Node:
    @strawberry.field(description="Opaque and unique among everything. Keep it, do not parse it.")
    def id(self) -> strawberry.ID:
        raise NotImplementedError


def global_id(type_name: str, row_id: uuid.UUID) -> strawberry.ID:
    return strawberry.ID(
        base64.urlsafe_b64encode(type_name.encode() + b":" + row_id.bytes).decode().rstrip("=")
    )


def read_id(text: str, argument: str) -> tuple[str, uuid.UUID]:
    """Take a global id apart.

    Raises:
        BadInput: it is not one.

    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        name, _, row_id = raw.partition(b":")
        return name.decode("ascii"), uuid.UUID(bytes=row_id)
    except (binascii.Error, ValueError):
        msg = f"`{argument}` is not an id of this server."
        raise BadInput(msg) from None


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
