"""Parses times: RFC 3339, always with an offset."""

import re
from datetime import UTC, datetime

from app.errors import BadInput

INVALID_DATE_TIME = "DateTime takes an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z."
# At most six digits of a second: PostgreSQL would round off more.
RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def read_date_time(value: object) -> datetime:
    """Parse a time. One without an offset is ambiguous, so it is refused."""
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise BadInput(INVALID_DATE_TIME)
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(INVALID_DATE_TIME) from None
