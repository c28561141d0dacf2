"""Durations in words, for people."""

import math
from datetime import timedelta

UNITS = (
    ("days", timedelta(days=1)),
    ("hours", timedelta(hours=1)),
    ("minutes", timedelta(minutes=1)),
)


def in_words(duration: timedelta) -> str:
    """Write whole seconds in the largest unit that leaves no rest and is more than one of it."""
    for unit, length in UNITS:
        if not duration % length and duration > length:
            return f"{duration // length} {unit}"
    seconds = duration // timedelta(seconds=1)
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def rounded_up(duration: timedelta) -> timedelta:
    """Round up to whole units of which there are two or more: nobody waits by the second."""
    for _, length in UNITS:
        if duration >= 2 * length:
            return math.ceil(duration / length) * length
    return duration
