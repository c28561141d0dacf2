"""What resolvers of many objects ask for at the same moment is read once."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from app.graphql.batching import Batches


class Shelf:
    """Finds books by number, and remembers how it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[int], str]] = []

    async def titles(self, numbers: Sequence[int], language: str) -> Mapping[int, str]:
        self.asked.append((numbers, language))
        return {number: f"{number} {language}" for number in numbers if number < 10}

    async def broken(self, numbers: Sequence[int]) -> Mapping[int, str]:
        raise RuntimeError(str(numbers))


async def test_equal_questions_are_asked_once_for_all_keys() -> None:
    batches, shelf = Batches(), Shelf()
    keys = [(3, "en"), (1, "en"), (3, "en"), (1, "de"), (99, "en")]

    found = await asyncio.gather(*(batches.load(shelf.titles, *key) for key in keys))

    assert found == ["3 en", "1 en", "3 en", "1 de", None]
    assert shelf.asked == [([3, 1, 99], "en"), ([1], "de")]


async def test_a_later_question_is_asked_anew() -> None:
    batches, shelf = Batches(), Shelf()

    for _ in range(2):
        assert await batches.load(shelf.titles, 1, "en") == "1 en"

    assert shelf.asked == [([1], "en")] * 2


async def test_a_failure_is_that_of_everybody_who_asked() -> None:
    batches, shelf = Batches(), Shelf()

    found = await asyncio.gather(
        *(batches.load(shelf.broken, number) for number in (1, 2)), return_exceptions=True
    )

    assert [repr(each) for each in found] == ["RuntimeError('[1, 2]')"] * 2


async def test_whoever_goes_away_takes_nothing_from_the_others() -> None:
    batches, shelf = Batches(), Shelf()
    impatient = asyncio.ensure_future(batches.load(shelf.titles, 1, "en"))
    patient = asyncio.ensure_future(batches.load(shelf.titles, 2, "en"))
    await asyncio.sleep(0)
    impatient.cancel()

    assert await patient == "2 en"
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_who_asks_after_all_others_have_gone_away_is_answered() -> None:
    batches, shelf = Batches(), Shelf()
    gone = asyncio.ensure_future(batches.load(shelf.titles, 1, "en"))
    await asyncio.sleep(0)
    gone.cancel()

    assert await asyncio.wait_for(batches.load(shelf.titles, 2, "en"), timeout=30) == "2 en"
