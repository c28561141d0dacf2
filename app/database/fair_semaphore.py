"""Turns: so many at a time, the others in the order they came, and nobody waits for ever."""

import asyncio
from collections import deque

from app.errors import Unavailable


class Turns:
    """A semaphore with one timer for all who wait.

    Waiting `asyncio.timeout` around a semaphore costs as much as a tenth of a small read.
    """

    def __init__(self, size: int, wait_seconds: float) -> None:
        self._free, self._wait_seconds = size, wait_seconds
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def take(self) -> None:
        """Wait for a turn.

        Raises:
            Unavailable: none came in time.

        """
        if self._free:
            self._free -= 1
            return
        loop = self._loop
        if loop is None or self._timer is None:
            # Asking which loop runs is a call to the system: once for all who wait.
            loop = self._loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._wait_seconds, self._give_up)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append((loop.time() + self._wait_seconds, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was given at the same moment: not to be lost.
                self.give()
            raise

    def give(self) -> None:
        """Hand a turn on."""
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _give_up(self) -> None:
        """Send those away who have waited too long; they stand in front."""
        loop = asyncio.get_running_loop()
        while self._waiting and (self._waiting[0][0] <= loop.time() or self._waiting[0][1].done()):
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(Unavailable("no connection became free in time"))
        self._timer = loop.call_at(self._waiting[0][0], self._give_up) if self._waiting else None
