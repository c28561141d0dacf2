"""Sends streams until time is up, and stops at the first wrong answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tests.wire.client import exchange
from tests.wire.second_parser import read
from tests.wire.streams import Stream
from tests.wire.verdict import Application, fault_of

AT_ONCE = 32


class Found(AssertionError):
    """A stream that a server answered wrongly."""


@dataclass
class Fuzzing:
    port: int
    application: Application
    make: Callable[[int], Stream]
    sent: int = 0

    async def run(self, goes_on: Callable[[int], bool]) -> None:
        """Send streams as long as `goes_on` returns true for the number that was sent.

        Raises:
            Found: names the stream.

        """
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(AT_ONCE):
                    tasks.create_task(self._send_while(goes_on))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def check(self, number: int) -> None:
        """Send one stream."""
        stream = self.make(number)
        reading = read(bytes(stream.shown))
        received = await exchange(self.port, stream, reading, self.application)
        fault = fault_of(stream, reading, received, self.application)
        if fault is not None:
            raise Found(
                f"Stream {number}: {fault}.\nSent, after {stream.pause} s each: {stream.parts()}\n"
                f"h11: {reading}\nReceived: {received}\nOdd: {stream.quirks}"
            )

    async def _send_while(self, goes_on: Callable[[int], bool]) -> None:
        while goes_on(self.sent):
            number = self.sent
            self.sent += 1
            await self.check(number)
