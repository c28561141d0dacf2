"""Periodic tasks, which run as long as the process does."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.errors import Unavailable

log = logging.getLogger(__name__)

# How often expired rows are deleted.
PURGE_SECONDS = 600

Task = Callable[[], Awaitable[object]]


async def every(seconds: float, *tasks: Task) -> None:
    """Run the tasks one after the other, again and again, with a wait before each round.

    A failure is logged: the next run may succeed.
    """
    while True:
        await asyncio.sleep(seconds)
        for task in tasks:
            await _run(task, seconds)


async def _run(task: Task, seconds: float) -> None:
    try:
        await task()
    except Unavailable as outage:
        log.warning(
            "Database unavailable: a task runs again in %s s: %s",
            seconds,
            outage.reason,
        )
    except Exception:
        log.exception("A task failed; it runs again in %s s", seconds)
