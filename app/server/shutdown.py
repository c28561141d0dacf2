"""Stopping: readiness ends first, so that nobody sends more; whoever has come is answered."""

import asyncio
import ctypes
import logging
import multiprocessing
import os
import signal
import socket
import struct
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from uvicorn import Server

from app.server.bounded_server import BoundedServer
from app.server.tested_versions import TESTED, installed

# Long enough for what the system had begun, too short to be noticed.
SETTLE_SECONDS = 0.1
SO_ATTACH_FILTER = 26
# For the kernel, in classic BPF: look at the flags of TCP, drop what has SYN, let the rest through.
WITHOUT_SYN = b"".join(
    struct.pack("HBBI", *step)
    for step in ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
)

log = logging.getLogger(__name__)


def stop_all_workers() -> None:
    """Stop the server that this process is a worker of, as SIGTERM does."""
    parent = multiprocessing.parent_process()
    os.kill(parent.pid if parent and parent.pid else os.getpid(), signal.SIGTERM)


@dataclass(slots=True)
class Stopping:
    begun: bool = False
    # Whether the server is of a version that what follows is tested with. Another one stops as it
    # does.
    is_known: bool = field(default_factory=lambda: installed() == TESTED)
    _last_steps: asyncio.Task[None] | None = None

    @contextmanager
    def announced(self, seconds: float) -> Generator[None]:
        """Let SIGTERM end readiness, and only `seconds` later stop the server, if it is uvicorn's.

        That is how long balancers take to notice (Kubernetes: until the endpoint is gone). Until
        then whoever comes is served, but no connection is kept.
        """
        server = _server() if self.is_known else None
        if server is None:
            yield
            return
        loop = asyncio.get_running_loop()

        def announce(number: int, _frame: FrameType | None) -> None:
            if not self.begun:
                self.begun = True
                if isinstance(server, BoundedServer):
                    server.limit_stopping(seconds)
                log.info("Not ready any more; stopping in %s s", seconds)
                loop.call_soon_threadsafe(loop.call_later, seconds, self._stop, server, number)

        signal.signal(signal.SIGTERM, announce)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, server.handle_exit)

    def _stop(self, server: Server, number: int) -> None:
        if server.should_exit:
            # Ctrl-C did not wait for this.
            return
        self._last_steps = asyncio.create_task(stop_listening(server))
        self._last_steps.add_done_callback(lambda _: server.handle_exit(number, None))


async def stop_listening(server: Server) -> None:
    """Listen no more, and take in those whose connection the system has made already.

    It would hang up on them, and a proxy cannot know that their requests were never read.
    """
    if multiprocessing.parent_process() is None:
        # Of several processes on one socket it is the parent who knows that all of them stop.
        for each in server.servers:
            for listener in _copies(each):
                with listener:
                    turn_away(listener)
        await asyncio.sleep(SETTLE_SECONDS)
    arrived = [connection for each in server.servers for connection in _last_of(each)]
    loop = asyncio.get_running_loop()
    for connection in arrived:
        await loop.connect_accepted_socket(lambda: _protocol(server), connection)


def turn_away(listener: socket.socket) -> None:
    """Let no connection begin any more, which those that have begun do not notice.

    Whoever asks gets no answer, asks again after a second, and is refused by then: of that a proxy
    knows that nothing was sent. Linux only: elsewhere somebody may come between the last look and
    the end, once in many times.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(WITHOUT_SYN)
    steps = len(WITHOUT_SYN) // struct.calcsize("HBBI")
    with suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET,
            SO_ATTACH_FILTER,
            struct.pack("HP", steps, ctypes.addressof(program)),
        )


def _server() -> Server | None:
    """Find the server that runs this application: it has just made itself what SIGTERM calls."""
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return owner if isinstance(owner, Server) else None


def _last_of(listening: asyncio.Server) -> Iterator[socket.socket]:
    listeners = _copies(listening)
    # The loop takes in nobody any more; the system does until the last copy is closed.
    listening.close()
    for listener in listeners:
        with listener:
            listener.settimeout(0)
            while True:
                try:
                    yield listener.accept()[0]
                except BlockingIOError:
                    break


def _copies(listening: asyncio.Server) -> list[socket.socket]:
    return [socket.socket(fileno=os.dup(each.fileno())) for each in listening.sockets]


def _protocol(server: Server) -> asyncio.Protocol:
    """Make what the server makes for each connection."""
    make: Any = server.config.http_protocol_class
    return make(
        config=server.config, server_state=server.server_state, app_state=server.lifespan.state
    )
