"""Turns: whoever waits gets one in order, or is told in time that there is none."""

import asyncio
from contextlib import suppress

import pytest

from app.database.fair_semaphore import Turns
from app.errors import Unavailable


async def test_whoever_came_first_is_next() -> None:
    turns, order = Turns(1, wait_seconds=5), list[int]()
    await turns.take()

    async def wait(number: int) -> None:
        await turns.take()
        order.append(number)
        turns.give()

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(0)
    turns.give()
    await asyncio.gather(*waiting)

    assert order == [0, 1, 2]


async def test_whoever_waits_too_long_is_told_and_takes_nothing() -> None:
    turns = Turns(1, wait_seconds=0.01)
    await turns.take()

    for _ in range(2):
        with pytest.raises(Unavailable):
            await turns.take()

    turns.give()
    await asyncio.wait_for(turns.take(), 1)


@pytest.mark.parametrize("given_before", [False, True])
async def test_a_turn_of_somebody_who_left_is_not_lost(*, given_before: bool) -> None:
    turns = Turns(1, wait_seconds=5)
    await turns.take()
    leaving = asyncio.create_task(turns.take())
    await asyncio.sleep(0)

    if given_before:
        turns.give()
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    if not given_before:
        turns.give()

    await asyncio.wait_for(turns.take(), 1)
