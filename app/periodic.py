"""What has to be done again and again for as long as the process lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.errors import Unavailable

log = logging.getLogger(__name__)

# How often what has had its time is deleted.
PURGE_SECONDS = 600

Chore = Callable[[], Awaitable[object]]


async def every(seconds: float, *chores: Chore) -> None:
    """Wait, do all of these, one after the other, and begin again.

    A failure is logged: what failed now may succeed next time.
    """
    while True:
        await asyncio.sleep(seconds)
        for chore in chores:
            await _do(chore, seconds)


async def _do(chore: Chore, seconds: float) -> None:
    try:
        await chore()
    except Unavailable as outage:
        log.warning("A chore waits %s s for the database: %s", seconds, outage.reason)
    except Exception:
        log.exception("A chore failed; it is tried again in %s s", seconds)
