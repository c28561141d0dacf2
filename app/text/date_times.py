"""Times as text: RFC 3339, always with an offset."""

import re
from datetime import UTC, datetime

from app.errors import BadInput

NO_DATE_TIME = "DateTime takes an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z."
# More digits of a second than six PostgreSQL would round away.
RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def read_date_time(value: object) -> datetime:
    """Read a time; one without an offset means another moment to everybody, so none here."""
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise BadInput(NO_DATE_TIME)
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(NO_DATE_TIME) from None
