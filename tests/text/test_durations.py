"""Durations in words."""

from datetime import timedelta

import hypothesis
import pytest
from hypothesis import strategies as st

from app.text.durations import in_words, rounded_up


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=45), "45 seconds"),
        (timedelta(minutes=30), "30 minutes"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(hours=24), "24 hours"),
        (timedelta(days=7), "7 days"),
    ],
)
def test_a_lifetime_is_written_in_the_largest_unit_that_fits(
    duration: timedelta, words: str
) -> None:
    assert in_words(duration) == words


def test_a_language_can_have_its_own_phrases() -> None:
    def phrase(count: int, unit: str) -> str:
        return f"{unit}: {count}"

    written = [in_words(each, phrase) for each in (timedelta(minutes=30), timedelta(seconds=1))]

    assert written == ["minute: 30", "second: 1"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (119, "119 seconds"),
        (121, "3 minutes"),
        (899, "15 minutes"),
        (900, "15 minutes"),
        (3_599, "60 minutes"),
        (7_201, "3 hours"),
        (86_399, "24 hours"),
        (200_000, "3 days"),
    ],
)
def test_a_wait_is_rounded_up(seconds: int, words: str) -> None:
    assert in_words(rounded_up(timedelta(seconds=seconds))) == words


@hypothesis.given(seconds=st.integers(1, 10**7))
def test_a_wait_is_never_rounded_down_nor_to_more_than_half_as_much_again(seconds: int) -> None:
    duration = timedelta(seconds=seconds)

    assert duration <= rounded_up(duration) <= duration * 1.5
