"""One person as a line of JSON, in and out: what a file of people holds."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO, cast

import orjson

from app.models import UserRow
from app.services.identifiers import new_id
from app.services.inputs import ImportedUser, check

MAX_LINE_BYTES = 16 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
COLUMNS = (
    "id",
    "email",
    "email_verified",
    "password_hash",
    "display_name",
    "role",
    "suspended_at",
    "suspended_until",
    "suspension_reason",
    "created_at",
    "updated_at",
)


def lines(file: BinaryIO) -> Iterator[bytes]:
    """Give lines without their ends; one that is too long comes cut, so that it takes no memory."""
    file.seek(len(BYTE_ORDER_MARK) if file.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK else 0)
    while line := file.readline(MAX_LINE_BYTES + 2):
        if not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        yield line.strip()


def read_line(
    line: bytes, now: datetime, email_domains: Collection[str]
) -> Sequence[Any] | str | None:
    """Give the values of `COLUMNS`, what is wrong in words that quote nothing, or nothing."""
    if not line:
        return None
    if len(line) > MAX_LINE_BYTES:
        return "the line is too long"
    try:
        values: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "the line is no JSON"
    if not isinstance(values, dict):
        return "the line is no JSON object"
    person = check(
        ImportedUser, cast("dict[str, Any]", values), now=now, email_domains=email_domains
    )
    if not isinstance(person, ImportedUser):
        return "; ".join(f"{'.'.join(issue.path)}: {issue.message}" for issue in person)
    return _row(person, now)


def write_line(user: UserRow, password_hash: str | None, now: datetime) -> bytes:
    values: dict[str, Any] = {
        "email": user.email,
        "displayName": user.display_name,
        "role": user.role,
        "emailVerified": user.email_verified,
        "createdAt": user.created_at,
    }
    if not user.is_active(now):
        values["suspension"] = {"reason": user.suspension_reason, "until": user.suspended_until}
    if password_hash is not None:
        values["passwordHash"] = password_hash
    return orjson.dumps(values, option=orjson.OPT_UTC_Z)


def _row(person: ImportedUser, now: datetime) -> Sequence[Any]:
    created, suspension = person.created_at or now, person.suspension
    return (
        new_id(created),
        person.email,
        person.email_verified,
        person.password_hash,
        person.display_name,
        person.role,
        now if suspension else None,
        suspension.until if suspension else None,
        suspension.reason if suspension else None,
        created,
        now,
    )
