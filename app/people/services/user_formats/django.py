"""Django: the output of `dumpdata` for a user model."""

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

# The prefix of passwords made by `set_unusable_password`.
UNUSABLE_PREFIX = "!"


def person(record: Mapping[str, Any]) -> Fields:
    values = record.get("fields")
    password = member(values, "password")
    if not isinstance(password, str):
        raise UnusableRecord("belongs to a model without a password")
    active = member(values, "is_active")
    return {
        **identity(record.get("pk")),
        "email": member(values, "email"),
        "displayName": joined(member(values, "first_name"), member(values, "last_name")),
        "role": "ADMIN" if flag(member(values, "is_superuser")) else "MEMBER",
        "createdAt": _date_time(member(values, "date_joined")),
        "lastLoginAt": _date_time(member(values, "last_login")),
        "suspension": (
            None if active is None or flag(active) else {"reason": "Not active in Django"}
        ),
        "passwordHash": None if password.startswith(UNUSABLE_PREFIX) else password,
    }


def _date_time(value: Any) -> Any:
    """Read a time without an offset as UTC: with `USE_TZ=False`, Django writes none."""
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        return value
    return value if read is None or read.tzinfo else read.replace(tzinfo=UTC).isoformat()
