"""What has to be done again and again for as long as the process lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.errors import Unavailable

log = logging.getLogger(__name__)


async def every(seconds: float, chore: Callable[[], Awaitable[object]]) -> None:
    """Do it, wait, and do it again. A failure is logged: what failed now may succeed next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await chore()
        except Unavailable as outage:
            log.warning("A chore waits %s s for the database: %s", seconds, outage.reason)
        except Exception:
            log.exception("A chore failed; it is tried again in %s s", seconds)
