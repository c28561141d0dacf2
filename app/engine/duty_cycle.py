"""A bounded share of the event loop's time for work that blocks it, fair between clients."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from app.errors import Overloaded

SHARE = 0.125
MOST_WAITING = 64
RETRY_AFTER_SECONDS = 2
FULL = "Too many new or large requests wait here. Nothing was done: try again in a moment."

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Waiting:
    work: Callable[[], Any]
    done: asyncio.Future[Any]


_Queue = OrderedDict[Hashable, _Waiting]


class DutyCycle:
    """Runs one piece of work at a time. After one that took t, none runs for t * (1/share - 1).

    Work that arrives when nothing waits and that time is over runs at once. Other work waits, and
    clients take turns, so many pieces from one client delay only that client. If `most` wait, the
    newest work of the client with the longest queue is refused in favour of a client with less.
    """

    def __init__(self, share: float = SHARE, most: int = MOST_WAITING) -> None:
        self._rest, self._most = 1 / share - 1, most
        self._queues: OrderedDict[str, _Queue] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._free_at = 0.0
        self.refused = 0

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    async def run(self, client: str, key: Hashable, work: Callable[[], T]) -> T:
        """Run work in turn. Work of the same client with the same key runs once for all callers.

        Raises:
            Overloaded: too much work is waiting.

        """
        if self._is_free():
            return self._timed(work)
        # Callers share the future: if one is cancelled, the others still wait.
        return await asyncio.shield(self._enqueued(client, key, work))

    def start(self, client: str, key: Hashable, work: Callable[[], object]) -> None:
        """Run work now or later, or drop it if too much work is waiting."""
        if self._is_free():
            self._timed(work)
            return
        with suppress(Overloaded):
            self._enqueued(client, key, work)

    def _is_free(self) -> bool:
        return not self._queues and time.monotonic() >= self._free_at

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return work()
        finally:
            ended = time.monotonic()
            self._free_at = ended + (ended - started) * self._rest

    def _enqueued(self, client: str, key: Hashable, work: Callable[[], Any]) -> asyncio.Future[Any]:
        queue = self._queues.get(client)
        if queue and key in queue:
            return queue[key].done
        self._make_room(client)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # Otherwise asyncio logs an exception whose callers were all cancelled.
        done.add_done_callback(_retrieve_exception)
        self._queues.setdefault(client, OrderedDict())[key] = _Waiting(work, done)
        self._wake()
        return done

    def _make_room(self, client: str) -> None:
        if self.waiting < self._most:
            return
        self.refused += 1
        most, queue = max(self._queues.items(), key=lambda item: len(item[1]))
        if len(queue) <= len(self._queues.get(client, ())) + 1:
            raise _overloaded()
        _, refused = queue.popitem()
        if not queue:
            del self._queues[most]
        _fail(refused, _overloaded())

    def _wake(self) -> None:
        if self._timer is None and self._queues:
            delay = max(0.0, self._free_at - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._run_due)

    def _run_due(self) -> None:
        self._timer = None
        # Work whose result is cached by now takes no time, so the next can follow at once.
        while self._queues and time.monotonic() >= self._free_at:
            self._run(self._next())
        self._wake()

    def _next(self) -> _Waiting:
        client, queue = self._queues.popitem(last=False)
        _, waiting = queue.popitem(last=False)
        if queue:
            self._queues[client] = queue
        return waiting

    def _run(self, waiting: _Waiting) -> None:
        try:
            result = self._timed(waiting.work)
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            _fail(waiting, error)
        else:
            if not waiting.done.done():
                waiting.done.set_result(result)


def _overloaded() -> Overloaded:
    return Overloaded(FULL, retry_after_seconds=RETRY_AFTER_SECONDS)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)


def _retrieve_exception(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()
