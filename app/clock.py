"""The clock, which tests can set."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

# Services that need the time ask for this type: by it the container finds the clock.
Clock: TypeAlias = Callable[[], datetime]


def system_clock() -> datetime:
    return datetime.now(UTC)
