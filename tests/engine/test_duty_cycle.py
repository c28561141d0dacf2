"""Work that blocks the event loop: its share of the time, and its order between clients."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.duty_cycle import DutyCycle
from app.errors import Overloaded


def blocking(milliseconds: float) -> Callable[[], None]:
    return lambda: time.sleep(milliseconds / 1000)


def noting(order: list[str], name: str) -> Callable[[], str]:
    def work() -> str:
        order.append(name)
        return name

    return work


async def occupied(cycle: DutyCycle) -> None:
    """Run a piece of work, so that the next one has to wait."""
    await cycle.run("somebody", "first", blocking(5))


async def test_a_single_piece_of_work_runs_at_once() -> None:
    cycle = DutyCycle()
    running = cycle.run("a", 1, lambda: "done")

    with pytest.raises(StopIteration) as stopped:
        running.send(None)

    assert stopped.value.value == "done"


async def test_the_next_piece_waits_until_other_work_has_had_its_share() -> None:
    cycle = DutyCycle(share=0.25)
    await cycle.run("a", 1, blocking(20))
    began = time.monotonic()

    await cycle.run("a", 2, blocking(0))

    assert time.monotonic() - began >= 0.055


@pytest.mark.parametrize("share", [0.5, 0.25])
async def test_all_work_together_takes_at_most_its_share_of_the_time(share: float) -> None:
    cycle = DutyCycle(share)
    began = time.monotonic()

    await asyncio.gather(*(cycle.run(str(n % 3), n, blocking(4)) for n in range(12)))

    # The pause after the last piece is not part of the time.
    assert time.monotonic() - began >= 11 * 0.004 / share + 0.004


async def test_clients_take_turns_and_the_work_of_each_stays_in_order() -> None:
    cycle, order = DutyCycle(), list[str]()
    await occupied(cycle)

    crowd = [cycle.run("crowd", n, noting(order, f"crowd {n}")) for n in range(4)]
    other = [cycle.run("other", n, noting(order, f"other {n}")) for n in range(2)]
    await asyncio.gather(*crowd, *other)

    assert order == ["crowd 0", "other 0", "crowd 1", "other 1", "crowd 2", "crowd 3"]


async def test_work_of_one_client_with_the_same_key_runs_once_for_all_callers() -> None:
    cycle, order = DutyCycle(), list[str]()
    await occupied(cycle)

    answers = await asyncio.gather(*(cycle.run("a", "x", noting(order, "x")) for _ in range(5)))

    assert (answers, order) == (["x"] * 5, ["x"])


async def test_a_cancelled_caller_does_not_cancel_the_work_of_the_others() -> None:
    cycle = DutyCycle()
    await occupied(cycle)
    leaving = asyncio.create_task(cycle.run("a", "x", lambda: "x"))
    staying = asyncio.create_task(cycle.run("a", "x", lambda: "x"))
    await asyncio.sleep(0)

    leaving.cancel()

    with suppress(asyncio.CancelledError):
        await leaving
    assert await staying == "x"


async def test_an_exception_of_work_reaches_its_callers_and_other_work_continues() -> None:
    cycle = DutyCycle()
    await occupied(cycle)

    failed, done = await asyncio.gather(
        cycle.run("a", 1, lambda: int("x")), cycle.run("a", 2, lambda: 2), return_exceptions=True
    )

    assert (type(failed), done) == (ValueError, 2)


async def test_work_is_refused_if_too_much_is_waiting() -> None:
    cycle = DutyCycle(most=3)
    await occupied(cycle)

    answers = await asyncio.gather(
        *(cycle.run("a", n, lambda: None) for n in range(5)), return_exceptions=True
    )

    assert list(map(type, answers)) == [type(None)] * 3 + [Overloaded] * 2
    assert cycle.refused == 2


async def test_the_newest_work_of_the_longest_queue_is_refused_for_another_client() -> None:
    cycle, order = DutyCycle(most=3), list[str]()
    await occupied(cycle)

    crowd = [cycle.run("crowd", n, noting(order, f"crowd {n}")) for n in range(3)]
    answers = await asyncio.gather(
        *crowd, cycle.run("other", 1, noting(order, "other")), return_exceptions=True
    )

    assert list(map(type, answers)) == [str, str, Overloaded, str]
    assert order == ["crowd 0", "other", "crowd 1"]


async def test_work_without_a_caller_runs_later() -> None:
    cycle, refused, ran = DutyCycle(most=1), list[str](), asyncio.Event()
    cycle.start("a", 1, blocking(5))

    cycle.start("a", 2, ran.set)
    cycle.start("a", 3, noting(refused, "too much"))
    at_once = ran.is_set()
    await asyncio.wait_for(ran.wait(), 5)

    assert (at_once, refused) == (False, [])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=40))
async def test_every_caller_gets_a_result_or_a_refusal_and_no_work_is_left(
    asked: list[tuple[str, int]],
) -> None:
    cycle = DutyCycle(share=0.9, most=8)
    await cycle.run("first", 0, blocking(1))

    answers = await asyncio.gather(
        *(cycle.run(client, key, lambda key=key: key) for client, key in asked),
        return_exceptions=True,
    )

    expected = [
        answer if isinstance(answer, Overloaded) else key
        for answer, (_, key) in zip(answers, asked, strict=True)
    ]
    assert (answers, cycle.waiting) == (expected, 0)
