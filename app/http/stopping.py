"""Stopping: readiness ends first, so that nobody sends more; what comes after is the server's."""

import asyncio
import logging
import signal
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Stopping:
    begun: bool = False

    @contextmanager
    def announced(self, seconds: float) -> Generator[None]:
        """Let SIGTERM end readiness, and only `seconds` later do what it did before.

        That is how long balancers take to notice (Kubernetes: until the endpoint is gone).
        """
        if not seconds:
            yield
            return
        loop, stop = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

        def announce(number: int, frame: FrameType | None) -> None:
            if callable(stop) and not self.begun:
                self.begun = True
                log.info("Not ready any more; stopping in %s s", seconds)
                loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, frame)

        signal.signal(signal.SIGTERM, announce)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, stop)
