"""Scalars of our own: `DateTime`, RFC 3339 with an offset in, UTC out, and `JSON`."""

import re
from datetime import UTC, datetime
from typing import Any, NewType

import orjson
import strawberry
from strawberry.types.scalar import ScalarDefinition

from app.errors import BadInput

NO_DATE_TIME = "DateTime takes an RFC 3339 time with an offset, such as 2026-01-31T12:00:00Z."
# More digits of a second than six PostgreSQL would round away.
RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def write_date_time(value: datetime) -> datetime:
    """Give the moment in UTC; `write_json` makes text of it."""
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def write_json(answer: dict[str, Any]) -> bytes:
    """Write an answer with the moments in it.

    Here all at once, since a text made for each of them is a tenth of a page of people.
    """
    return orjson.dumps(answer, option=orjson.OPT_UTC_Z)


def read_date_time(value: object) -> datetime:
    """Read a time; one without an offset means another moment to everybody, so none here."""
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise BadInput(NO_DATE_TIME)
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInput(NO_DATE_TIME) from None


DateTime: ScalarDefinition = strawberry.scalar(
    name="DateTime",
    description="A moment (RFC 3339). An offset is required on input; output is in UTC.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
    serialize=write_date_time,
    parse_value=read_date_time,
)

JSON = NewType("JSON", object)
Json: ScalarDefinition = strawberry.scalar(
    name="JSON",
    description="Any JSON value, as part of the answer: not as a string that has to be parsed.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
)
