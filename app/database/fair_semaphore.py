"""A semaphore that is first come, first served, with a timeout."""

import asyncio
from collections import deque

from app.errors import Unavailable


class FairSemaphore:
    """A semaphore with one timer for all waiting tasks.

    `asyncio.timeout` around each wait would cost a tenth of a small read.
    """

    def __init__(self, size: int, wait_seconds: float) -> None:
        self._free, self._wait_seconds = size, wait_seconds
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def acquire(self) -> None:
        """Wait for a permit.

        Raises:
            Unavailable: none was free in time.

        """
        if self._free:
            self._free -= 1
            return
        loop = self._loop
        if loop is None or self._timer is None:
            # Finding the running loop is a system call: done once for all waiting tasks.
            loop = self._loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._wait_seconds, self._refuse_late)
        permit: asyncio.Future[None] = loop.create_future()
        self._waiting.append((loop.time() + self._wait_seconds, permit))
        try:
            await permit
        except asyncio.CancelledError:
            if permit.done() and not permit.cancelled():
                # It got the permit at the same moment: pass it on.
                self.release()
            raise

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Pass the permit to the task that has waited longest."""
        while self._waiting:
            _, permit = self._waiting.popleft()
            if not permit.done():
                permit.set_result(None)
                return
        self._free += 1

    def _refuse_late(self) -> None:
        """Refuse the tasks that have waited too long, which are the first in the queue."""
        loop = asyncio.get_running_loop()
        while self._waiting and (self._waiting[0][0] <= loop.time() or self._waiting[0][1].done()):
            _, permit = self._waiting.popleft()
            if not permit.done():
                permit.set_exception(Unavailable("no connection became free in time"))
        self._timer = (
            loop.call_at(self._waiting[0][0], self._refuse_late) if self._waiting else None
        )
