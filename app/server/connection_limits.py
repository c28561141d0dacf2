"""Limits of connections: their number and timeouts, and which one is closed if there are too many.

Timeouts are checked once a second for all connections together: a timer for each request would cost
more than all of this.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from app.server.shutdown import Shutdown

# The key of the `ConnectionLimiter` in the state that the lifespan of the application yields.
LIMITER = "connection_limiter"
CHECK_SECONDS = 1.0


class Connection(Protocol):
    def has_timed_out(self, now: float) -> bool: ...

    def close_for_timeout(self) -> None: ...

    def abort(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Seconds and bytes that one connection may take, and how many connections there may be."""

    head_seconds: float = 8
    body_seconds: float = 8
    write_seconds: float = 20
    keep_alive_seconds: float = 75
    head_bytes: int = 16 * 1024
    connections: int = 2000


@dataclass(slots=True)
class ConnectionLimiter:
    """All connections of one worker.

    `waiting` are those that have not sent a request, or the rest of one, the oldest first.
    """

    limits: ConnectionLimits
    shutdown: Shutdown = field(default_factory=Shutdown)
    connections: set[Connection] = field(default_factory=set[Connection])
    waiting: dict[Connection, None] = field(default_factory=dict[Connection, None])

    def admit(self, connection: Connection) -> bool:
        """Add a connection. If there are too many, the one that has waited longest is aborted.

        Returns False if none waits: the connection must be refused.
        """
        if len(self.connections) >= self.limits.connections:
            oldest = next(iter(self.waiting), None)
            if oldest is None:
                return False
            oldest.abort()
        self.connections.add(connection)
        return True

    def add_waiting(self, connection: Connection) -> None:
        """Note that a connection is waiting from now on: it is the last to be aborted."""
        if connection in self.connections:
            self.waiting.pop(connection, None)
            self.waiting[connection] = None

    def remove_waiting(self, connection: Connection) -> None:
        self.waiting.pop(connection, None)

    def remove(self, connection: Connection) -> None:
        self.connections.discard(connection)
        self.waiting.pop(connection, None)

    async def enforce_timeouts(self) -> None:
        """Close connections that have timed out, as long as the worker runs."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = loop.time()
            for each in [each for each in self.connections if each.has_timed_out(now)]:
                each.close_for_timeout()
