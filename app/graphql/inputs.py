"""Absent and null: an input that was left out is `UNSET` until it is read here."""

from typing import TypeVar

from strawberry import UNSET

T = TypeVar("T")


def given(value: T | None) -> T | None:
    """Read an input to which null says no more than leaving it out."""
    return None if value is UNSET else value
