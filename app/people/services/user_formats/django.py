"""Django: what `dumpdata` writes of a model of users."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from app.people.services.user_formats.fields import (
    Fields,
    UnusableRecord,
    flag,
    identity,
    joined,
    member,
)

# Before a password that `set_unusable_password` has made.
UNUSABLE = "!"


def person(record: Mapping[str, Any]) -> Fields:
    values = record.get("fields")
    password = member(values, "password")
    if not isinstance(password, str):
        raise UnusableRecord("is of a model without a password")
    active = member(values, "is_active")
    return {
        **identity(record.get("pk")),
        "email": member(values, "email"),
        "displayName": joined(member(values, "first_name"), member(values, "last_name")),
        "role": "ADMIN" if flag(member(values, "is_superuser")) else "MEMBER",
        "createdAt": _moment(member(values, "date_joined")),
        "lastLoginAt": _moment(member(values, "last_login")),
        "suspension": (
            None if active is None or flag(active) else {"reason": "Not active in Django"}
        ),
        "passwordHash": None if password.startswith(UNUSABLE) else password,
    }


def _moment(value: Any) -> Any:
    """Take a time as UTC where it has no offset: with `USE_TZ=False` none is written."""
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        return value
    return value if read is None or read.tzinfo else read.replace(tzinfo=UTC).isoformat()
