"""Durations in words, for people."""

import math
from collections.abc import Callable
from datetime import timedelta

SECOND = timedelta(seconds=1)
UNITS = (
    ("day", timedelta(days=1)),
    ("hour", timedelta(hours=1)),
    ("minute", timedelta(minutes=1)),
)
# Formats a number of `day`, `hour`, `minute` or `second` in one language.
Phrase = Callable[[int, str], str]


def english(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def in_words(duration: timedelta, phrase: Phrase = english) -> str:
    """Format whole seconds in the largest unit that divides them evenly and gives two or more."""
    for unit, length in UNITS:
        if not duration % length and duration > length:
            return phrase(duration // length, unit)
    return phrase(duration // SECOND, "second")


def rounded_up(duration: timedelta) -> timedelta:
    """Round up to the largest unit that gives two or more: people need no exact seconds."""
    for _, length in UNITS:
        if duration >= 2 * length:
            return math.ceil(duration / length) * length
    return duration
