"""One of several processes that serve on one socket, as its parent starts it."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType

import uvicorn

from app.server.bounded_server import BoundedServer

PR_SET_PDEATHSIG = 1


def run_worker(
    config: uvicorn.Config,
    listeners: list[socket.socket],
    heartbeat: Connection,
    heartbeat_seconds: float,
) -> None:
    """Serve until a signal says otherwise, and not a moment longer than the parent lives."""
    # Until it serves there is nothing to finish: it ends without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _end_with_parent()
    config.configure_logging()
    WorkerServer(config, heartbeat, heartbeat_seconds).run(listeners)


class WorkerServer(BoundedServer):
    """A server whose event loop shows its parent that it runs."""

    def __init__(
        self, config: uvicorn.Config, heartbeat: Connection, heartbeat_seconds: float
    ) -> None:
        super().__init__(config)
        self._heartbeat = heartbeat
        self._heartbeat_seconds = heartbeat_seconds

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        beating = asyncio.create_task(self._beat())
        try:
            await super().serve(sockets)
        finally:
            beating.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Ctrl-C in a terminal reaches all processes, and the parent passes it on. That is one, not
        # the second one that ends requests: of that the parent makes a SIGKILL.
        if self.should_exit and sig == signal.SIGINT:
            return
        super().handle_exit(sig, frame)

    async def _beat(self) -> None:
        descriptor = self._heartbeat.fileno()
        # A parent that was stopped reads nothing, and requests must not wait for it.
        os.set_blocking(descriptor, False)
        while True:
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(descriptor, b".")
            await asyncio.sleep(self._heartbeat_seconds)


def _end_with_parent() -> None:
    """End at once if the parent is killed, as requests of a single process do.

    Were they finished, the next server could not have the port, or would share the database with
    processes that nobody supervises.
    """
    if sys.platform == "linux":
        # Also ends one that is stopped or holds the GIL. The kernel sends it when the thread that
        # has started this process ends: the supervisor must run in the main thread.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # For other systems, and for a parent that was gone before.
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)
