"""Inputs that several areas have. Absent is another case than null: it is `UNSET` at first."""

from datetime import datetime
from typing import TypeVar

import strawberry
from strawberry import UNSET

from app.security.passwords import MAX_CHARACTERS

# What descriptions say of a new password.
PASSWORD = (
    f"${{password_min_length}} to {MAX_CHARACTERS} characters of any kind, not within easy reach "
    "of guessing."
)

T = TypeVar("T")


def given(value: T | None) -> T | None:
    """Read an input to which null says no more than leaving it out."""
    return None if value is UNSET else value


@strawberry.input(description="A range of time. An omitted or null side is open.")
class DateTimeRange:
    from_: datetime | None = strawberry.field(
        name="from", default=UNSET, description="The start, inclusive."
    )
    before: datetime | None = strawberry.field(default=UNSET, description="The end, exclusive.")
