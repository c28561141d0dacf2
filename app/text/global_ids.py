"""Global ids as text: a type name and a UUID (Relay's object identification).

Access tokens identify a user by the UUID alone (`sub`), so it is accepted wherever the id of a user
is.
"""

import re
import uuid
from typing import Any

from app.errors import BadInput

GLOBAL_ID = re.compile(r"([A-Za-z]+)_([0-9a-f]{32})", re.ASCII)
# The text form of a UUID (RFC 9562, section 4), which accepts upper case too.
SUBJECT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
USER = "User"


def prefix_of(type_name: str) -> str:
    """Returns the prefix of the ids of a type; the UUID in hexadecimal follows."""
    return f"{type_name}_"


def global_id(type_name: str, row_id: uuid.UUID) -> Any:
    """Returns a `strawberry.ID` whose type is readable in logs.

    `strawberry.ID` itself only returns its argument; calling it would double the cost.
    """
    return prefix_of(type_name) + row_id.hex


def read_id(text: str, argument: str) -> tuple[str, uuid.UUID]:
    """Parse a global id, or a plain UUID, which is the subject of a user.

    Raises:
        BadInput: it is neither.

    """
    if SUBJECT.fullmatch(text):
        return USER, uuid.UUID(text)
    parts = GLOBAL_ID.fullmatch(text)
    if parts is None:
        msg = f"`{argument}` is not an id of this server."
        raise BadInput(msg)
    return parts[1], uuid.UUID(parts[2])


def read_id_of(type_name: str, text: str, argument: str) -> uuid.UUID:
    """Parse an id of one type; for a user, also a subject.

    Raises:
        BadInput: it is not an id, or of another type.

    """
    name, row_id = read_id(text, argument)
    if name != type_name:
        msg = f"`{argument}` is not the id of a {type_name}."
        raise BadInput(msg)
    return row_id


def read_subject(text: str, argument: str) -> uuid.UUID:
    """Parse a subject: the UUID by which tokens identify a user.

    Raises:
        BadInput: it is not a UUID.

    """
    if not SUBJECT.fullmatch(text):
        msg = f"`{argument}` is not a subject: it must be a UUID, as `sub` in an access token."
        raise BadInput(msg)
    return uuid.UUID(text)
