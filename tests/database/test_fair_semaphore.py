"""Waiting tasks get a permit in order, or are refused after a time."""

import asyncio
from contextlib import suppress

import pytest

from app.database.fair_semaphore import FairSemaphore
from app.errors import Unavailable


async def test_waiting_tasks_are_served_in_order() -> None:
    semaphore, order = FairSemaphore(1, wait_seconds=5), list[int]()
    await semaphore.acquire()

    async def wait(number: int) -> None:
        await semaphore.acquire()
        order.append(number)
        semaphore.release()

    waiting = [asyncio.create_task(wait(number)) for number in range(3)]
    await asyncio.sleep(0)
    semaphore.release()
    await asyncio.gather(*waiting)

    assert order == [0, 1, 2]


async def test_a_wait_that_is_too_long_is_refused_and_takes_nothing() -> None:
    semaphore = FairSemaphore(1, wait_seconds=0.01)
    await semaphore.acquire()

    for _ in range(2):
        with pytest.raises(Unavailable):
            await semaphore.acquire()

    semaphore.release()
    await asyncio.wait_for(semaphore.acquire(), 1)


@pytest.mark.parametrize("given_before", [False, True])
async def test_a_permit_given_to_a_cancelled_task_is_not_lost(*, given_before: bool) -> None:
    semaphore = FairSemaphore(1, wait_seconds=5)
    await semaphore.acquire()
    leaving = asyncio.create_task(semaphore.acquire())
    await asyncio.sleep(0)

    if given_before:
        semaphore.release()
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    if not given_before:
        semaphore.release()

    await asyncio.wait_for(semaphore.acquire(), 1)


async def test_a_task_cancelled_at_the_moment_it_is_refused_returns_no_permit() -> None:
    semaphore = FairSemaphore(1, wait_seconds=0)
    await semaphore.acquire()

    async def wait_and_cancel_the_next() -> None:
        with pytest.raises(Unavailable):
            await semaphore.acquire()
        leaving.cancel()

    first = asyncio.create_task(wait_and_cancel_the_next())
    leaving = asyncio.create_task(semaphore.acquire())
    await asyncio.wait({first, leaving})

    assert (first.exception(), leaving.cancelled(), semaphore.taken) == (None, True, 1)
