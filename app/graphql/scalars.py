"""The scalars `DateTime` (RFC 3339: any offset on input, UTC on output) and `JSON`."""

from datetime import UTC, datetime
from typing import Any, NewType

import orjson
import strawberry
from strawberry.types.scalar import ScalarDefinition

from app.text.date_times import read_date_time


def write_date_time(value: datetime) -> datetime:
    """Returns the time in UTC; `write_json` formats it."""
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def write_json(answer: dict[str, Any]) -> bytes:
    """Serialize an answer, including its times.

    Formatting them one by one in the scalar would be a tenth of the cost of a page of users.
    """
    return orjson.dumps(answer, option=orjson.OPT_UTC_Z)


DateTime: ScalarDefinition = strawberry.scalar(
    name="DateTime",
    description="A date and time (RFC 3339). An offset is required on input; output is in UTC.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
    serialize=write_date_time,
    parse_value=read_date_time,
)

JSON = NewType("JSON", object)
Json: ScalarDefinition = strawberry.scalar(
    name="JSON",
    description="Any JSON value, as it is and not as a string with JSON in it.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
)
