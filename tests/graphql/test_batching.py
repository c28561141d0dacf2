"""Batching: values that resolvers of many objects load at the same time are read once."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from app.graphql.batching import Batches


class Shelf:
    """Finds books by number, and records its calls."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[int], str]] = []

    async def titles(self, numbers: Sequence[int], language: str) -> Mapping[int, str]:
        self.asked.append((numbers, language))
        return {number: f"{number} {language}" for number in numbers if number < 10}

    async def broken(self, numbers: Sequence[int]) -> Mapping[int, str]:
        raise RuntimeError(str(numbers))


async def test_equal_calls_are_made_once_for_all_keys() -> None:
    batches, shelf = Batches(), Shelf()
    keys = [(3, "en"), (1, "en"), (3, "en"), (1, "de"), (99, "en")]

    found = await asyncio.gather(*(batches.load(shelf.titles, *key) for key in keys))

    assert found == ["3 en", "1 en", "3 en", "1 de", None]
    assert shelf.asked == [([3, 1, 99], "en"), ([1], "de")]


async def test_a_later_call_reads_again() -> None:
    batches, shelf = Batches(), Shelf()

    for _ in range(2):
        assert await batches.load(shelf.titles, 1, "en") == "1 en"

    assert shelf.asked == [([1], "en")] * 2


async def test_a_failure_is_raised_to_all_that_wait() -> None:
    batches, shelf = Batches(), Shelf()

    found = await asyncio.gather(
        *(batches.load(shelf.broken, number) for number in (1, 2)), return_exceptions=True
    )

    assert [repr(each) for each in found] == ["RuntimeError('[1, 2]')"] * 2


async def test_a_cancelled_call_does_not_affect_the_others() -> None:
    batches, shelf = Batches(), Shelf()
    impatient = asyncio.ensure_future(batches.load(shelf.titles, 1, "en"))
    patient = asyncio.ensure_future(batches.load(shelf.titles, 2, "en"))
    await asyncio.sleep(0)
    impatient.cancel()

    assert await patient == "2 en"
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_a_call_after_all_others_were_cancelled_is_answered() -> None:
    batches, shelf = Batches(), Shelf()
    gone = asyncio.ensure_future(batches.load(shelf.titles, 1, "en"))
    await asyncio.sleep(0)
    gone.cancel()

    assert await asyncio.wait_for(batches.load(shelf.titles, 2, "en"), timeout=30) == "2 en"
