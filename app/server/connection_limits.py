"""The gate: how many connections there are, who goes where there is no room, whose time is up.

Time is looked at once a second for all connections together: timers for each request would cost
more than all of this does.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from app.server.shutdown import Stopping

GATE = "gate"
LOOK_SECONDS = 1.0


class Connection(Protocol):
    def is_late(self, now: float) -> bool: ...

    def time_out(self) -> None: ...

    def drop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Seconds and bytes that one connection may take, and how many connections there may be."""

    head_seconds: float = 8
    body_seconds: float = 8
    write_seconds: float = 20
    keep_alive_seconds: float = 75
    head_bytes: int = 16 * 1024
    most: int = 2000


@dataclass(slots=True)
class Gate:
    """All connections of one worker.

    Those that have yet to send a request, or the rest of it, stand in the order they came.
    """

    limits: ConnectionLimits
    stopping: Stopping = field(default_factory=Stopping)
    connections: set[Connection] = field(default_factory=set[Connection])
    waiting: dict[Connection, None] = field(default_factory=dict[Connection, None])

    def admit(self, connection: Connection) -> bool:
        """Let it in. Where there is no room, whoever has taken longest to send a request goes."""
        if len(self.connections) >= self.limits.most:
            longest = next(iter(self.waiting), None)
            if longest is None:
                return False
            longest.drop()
        self.connections.add(connection)
        return True

    def wait_for(self, connection: Connection) -> None:
        """Let it be the last of those to go."""
        if connection in self.connections:
            self.waiting.pop(connection, None)
            self.waiting[connection] = None

    def leave(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self.waiting.pop(connection, None)

    async def watch(self) -> None:
        """Close what has had its time, for as long as the worker lives."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = loop.time()
            for each in [each for each in self.connections if each.is_late(now)]:
                each.time_out()
