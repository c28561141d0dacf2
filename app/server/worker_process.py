"""A worker process: one of several that serve on one socket, started by the supervisor."""

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

from app.imports import import_module
from app.server.bounded_server import BoundedServer

PR_SET_PDEATHSIG = 1


def run_worker(
    config: uvicorn.Config,
    listeners: list[socket.socket],
    heartbeat: Connection,
    heartbeat_seconds: float,
) -> None:
    """Serve until a signal stops it, or until the parent ends."""
    # Before it serves there are no requests to finish: SIGINT ends it without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _exit_with_parent()
    config.configure_logging()
    # uvicorn would import it with garbage collections over all that it defines.
    import_module(str(config.app).partition(":")[0])
    WorkerServer(config, heartbeat, heartbeat_seconds).run(listeners)


class WorkerServer(BoundedServer):
    """A server whose event loop sends heartbeats to its parent."""

    def __init__(
        self, config: uvicorn.Config, heartbeat: Connection, heartbeat_seconds: float
    ) -> None:
        super().__init__(config)
        self._heartbeat = heartbeat
        self._heartbeat_seconds = heartbeat_seconds

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        heartbeats = asyncio.create_task(self._send_heartbeats())
        try:
            await super().serve(sockets)
        finally:
            heartbeats.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Ctrl-C in a terminal signals all processes, and the parent signals them again. That is not
        # a second Ctrl-C, at which the parent kills its workers.
        if self.should_exit and sig == signal.SIGINT:
            return
        super().handle_exit(sig, frame)

    async def _send_heartbeats(self) -> None:
        descriptor = self._heartbeat.fileno()
        # A suspended parent reads nothing, and requests must not wait for it.
        os.set_blocking(descriptor, False)
        while True:
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(descriptor, b".")
            await asyncio.sleep(self._heartbeat_seconds)


def _exit_with_parent() -> None:
    """End at once if the parent is killed, without finishing requests.

    Otherwise the next server could not use the port, or would share the database with unsupervised
    processes.
    """
    if sys.platform == "linux":
        # Also ends a process that is suspended or holds the GIL. The kernel sends the signal when
        # the thread that started this process ends: the supervisor must run in the main thread.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # For other systems, and for a parent that ended before this.
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)
