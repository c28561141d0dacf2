"""Global ids: a type name and a UUID, opaque to clients (Relay's object identification)."""

import base64
import uuid
from binascii import b2a_base64

import strawberry

from app.errors import BadInput


@strawberry.interface(description="Anything that can be fetched again by its id.")
class Node:
    @strawberry.field(description="Opaque and unique among everything. Keep it, do not parse it.")
    def id(self) -> strawberry.ID:
        raise NotImplementedError


URL_SAFE = bytes.maketrans(b"+/", b"-_")


def read_base64(text: str) -> bytes:
    """Read base64 as `global_id` writes it.

    Raises:
        ValueError: it is not such a text.

    """
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def global_id(type_name: bytes, row_id: uuid.UUID) -> strawberry.ID:
    """Write base64 for addresses (RFC 4648, 5), without padding."""
    raw = b2a_base64(b"%b:%b" % (type_name, row_id.bytes), newline=False)
    return strawberry.ID(raw.translate(URL_SAFE, b"=").decode("ascii"))


def read_id(text: str, argument: str) -> tuple[str, uuid.UUID]:
    """Take a global id apart.

    Raises:
        BadInput: it is not one.

    """
    try:
        name, _, row_id = read_base64(text).partition(b":")
        return name.decode("ascii"), uuid.UUID(bytes=row_id)
    except ValueError:
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
