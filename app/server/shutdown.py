"""Graceful shutdown: readiness ends, then the server stops listening and answers the rest."""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from uvicorn import Server

from app.server.bounded_server import BoundedServer
from app.server.syn_filter import drop_new_connections
from app.server.tested_versions import TESTED, installed_versions

# For handshakes that have begun: longer than a round trip to any proxy.
HANDSHAKE_SECONDS = 0.1

log = logging.getLogger(__name__)


def stop_all_workers() -> None:
    """Send SIGTERM to the parent of this worker, or to this process if it is the only one."""
    parent = multiprocessing.parent_process()
    os.kill(parent.pid if parent and parent.pid else os.getpid(), signal.SIGTERM)


@dataclass(slots=True)
class Shutdown:
    """Whether this process is stopping, and the delay between that and the end of the server."""

    has_begun: bool = False
    # Only a server of the tested versions is delayed; other versions stop at once.
    can_be_delayed: bool = field(default_factory=lambda: installed_versions() == TESTED)
    _stop_listening: asyncio.Task[None] | None = None

    @contextmanager
    def delayed(self, seconds: float) -> Generator[None]:
        """Let SIGTERM end readiness at once and stop the server only `seconds` later.

        Load balancers need that long to notice (Kubernetes: to remove the endpoint). Until then
        requests are served, and each connection is closed with its next answer. Does nothing if
        the server is not uvicorn.
        """
        server = _running_server() if self.can_be_delayed else None
        if server is None:
            yield
            return
        loop = asyncio.get_running_loop()

        def begin(number: int, _frame: FrameType | None) -> None:
            if not self.has_begun:
                self.has_begun = True
                if isinstance(server, BoundedServer):
                    server.limit_stopping(seconds)
                log.info("No longer ready; stopping in %s s", seconds)
                loop.call_soon_threadsafe(loop.call_later, seconds, self._stop, server, number)

        signal.signal(signal.SIGTERM, begin)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, server.handle_exit)

    def _stop(self, server: Server, number: int) -> None:
        if server.should_exit:
            # SIGINT (Ctrl-C) has stopped it during the delay.
            return
        self._stop_listening = asyncio.create_task(stop_listening(server))
        self._stop_listening.add_done_callback(lambda _: server.handle_exit(number, None))


async def stop_listening(server: Server) -> None:
    """Close the listening sockets, and accept the connections that the kernel has completed.

    uvicorn does not accept these. The kernel would reset them, and a proxy could not know that
    their requests were never read.
    """
    if multiprocessing.parent_process() is None:
        # Workers share the socket of their parent, which stops it when it stops all of them.
        for each in server.servers:
            for listener in _duplicates(each):
                with listener:
                    drop_new_connections(listener)
        await asyncio.sleep(HANDSHAKE_SECONDS)
    connections = [connection for each in server.servers for connection in _close(each)]
    loop = asyncio.get_running_loop()
    for connection in connections:
        await loop.connect_accepted_socket(lambda: _new_protocol(server), connection)


def _running_server() -> Server | None:
    """Returns the server that runs this application: it handles SIGTERM."""
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return owner if isinstance(owner, Server) else None


def _close(listening: asyncio.Server) -> Iterator[socket.socket]:
    """Stop listening, and yield the connections that are still in the queue of the kernel."""
    listeners = _duplicates(listening)
    # The event loop accepts no more connections; the kernel does until the last duplicate closes.
    listening.close()
    for listener in listeners:
        with listener:
            listener.settimeout(0)
            while True:
                try:
                    yield listener.accept()[0]
                except BlockingIOError:
                    break


def _duplicates(listening: asyncio.Server) -> list[socket.socket]:
    return [socket.socket(fileno=os.dup(each.fileno())) for each in listening.sockets]


def _new_protocol(server: Server) -> asyncio.Protocol:
    """Make a protocol as uvicorn does for each connection."""
    protocol: Any = server.config.http_protocol_class
    return protocol(
        config=server.config, server_state=server.server_state, app_state=server.lifespan.state
    )
