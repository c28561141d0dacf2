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
# Writes a number of `day`, `hour`, `minute` or `second`: a function for each language.
Phrase = Callable[[int, str], str]


def english(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def in_words(duration: timedelta, phrase: Phrase = english) -> str:
    """Write whole seconds in the largest unit that leaves no rest and is more than one of it."""
    for unit, length in UNITS:
        if not duration % length and duration > length:
            return phrase(duration // length, unit)
    return phrase(duration // SECOND, "second")


def rounded_up(duration: timedelta) -> timedelta:
    """Round up to whole units of which there are two or more: nobody waits by the second."""
    for _, length in UNITS:
        if duration >= 2 * length:
            return math.ceil(duration / length) * length
    return duration
