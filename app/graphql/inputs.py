"""Inputs that several modules share. An omitted field is `UNSET`, not None."""

from datetime import datetime
from typing import TypeVar

import strawberry
from strawberry import UNSET

from app.security.passwords import MAX_CHARACTERS

# The description of a new password.
PASSWORD = (
    f"${{password_min_length}} to {MAX_CHARACTERS} characters of any kind, and not easy to guess."
)

T = TypeVar("T")


def none_if_unset(value: T | None) -> T | None:
    """Returns the value of an input for which null means the same as omitting it."""
    return None if value is UNSET else value


@strawberry.input(description="A range of time. An omitted or null side is open.")
class DateTimeRange:
    from_: datetime | None = strawberry.field(
        name="from", default=UNSET, description="The start, inclusive."
    )
    before: datetime | None = strawberry.field(default=UNSET, description="The end, exclusive.")
