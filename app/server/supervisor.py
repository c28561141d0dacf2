"""Runs several workers on one socket, replaces those that end or hang, and stops all of them."""

import logging
import multiprocessing
import os
import queue
import signal
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import FrameType

import uvicorn
from prometheus_client import Counter

from app.server.bounded_server import seconds_to_stop
from app.server.forced_exit import exit_within
from app.server.replaced_workers import EXITED, HUNG
from app.server.syn_filter import drop_new_connections
from app.server.worker_process import run_worker

# WORKER_TIMEOUT_SECONDS is 20 by default. The event loop of a worker runs many times a second. Its
# longest pause, a garbage collection over all modules, takes half a second, and a few seconds on a
# busy machine. So a healthy worker never reaches 20, and a replacement has 40 seconds to start: all
# workers serve again within a minute.
HEARTBEATS_PER_TIMEOUT = 10
# Before its first heartbeat a process imports its code: 4 seconds, or a minute if many start at
# once.
START_SECONDS = 300
# How often the supervisor checks. Time without a heartbeat counts only while the supervisor itself
# is on time, within twice this: a machine that was suspended, or is too busy to run it, does not
# run the workers either.
TICK_SECONDS = 0.5
STOP_TICK_SECONDS = 0.05
# How long before workers close the socket, each by its own clock, it gets no new connections.
EARLY_SECONDS = 0.5
# For killing workers that do not end by themselves, and for the supervisor's own process to end.
KILL_SECONDS = 1
EXIT_SECONDS = 2
# A process that the kernel cannot end, because it waits for a disk, is left behind.
JOIN_SECONDS = 5

ENDED = "Worker %d ended with exit code %s: another one starts"
KILLED = "Worker %d hung for %g s and was killed: another one starts"
CANNOT_START = "Cannot start a worker now: %s"
NOT_STOPPED = "Worker %d did not stop in time and was killed"

log = logging.getLogger(__name__)
spawn = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class Worker:
    """A process, and the time since its event loop last sent a heartbeat."""

    process: SpawnProcess
    heartbeat: Connection
    has_started: bool = False
    silent_seconds: float = 0

    @classmethod
    def start(
        cls, config: uvicorn.Config, listeners: list[socket.socket], heartbeat_seconds: float
    ) -> "Worker":
        """Start a process.

        Raises:
            OSError: the system cannot create a process now.

        """
        reader, writer = spawn.Pipe(duplex=False)
        os.set_blocking(reader.fileno(), False)
        arguments = (config, listeners, writer, heartbeat_seconds)
        process = spawn.Process(target=run_worker, args=arguments)
        with writer:
            process.start()
        return cls(process, reader)

    def read_heartbeats(self, elapsed: float) -> None:
        """Read the heartbeats of the last `elapsed` seconds."""
        if self._has_sent_heartbeat():
            self.has_started = True
            self.silent_seconds = 0
        else:
            self.silent_seconds += elapsed

    def send_signal(self, number: int) -> None:
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill it, if it still runs, and free its resources."""
        self.process.kill()
        self.process.join(JOIN_SECONDS)
        self.heartbeat.close()

    def _has_sent_heartbeat(self) -> bool:
        try:
            return bool(os.read(self.heartbeat.fileno(), 65536))
        except BlockingIOError:
            return False


class SupervisedTime:
    """Measures time, without the time in which this process itself did not run."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def elapsed(self) -> float:
        """Returns the seconds since the last call, or 0 if they are more than two ticks."""
        now = time.monotonic()
        elapsed = now - self._last
        self._last = now
        return elapsed if elapsed <= 2 * TICK_SECONDS else 0


class Supervisor:
    """Runs the workers of `config` until a signal stops it, in the main thread.

    SIGTERM and SIGHUP stop it after `delay` seconds, in which `/health/ready` answers 503; SIGINT
    (Ctrl-C) stops it at once, also during the delay; a second SIGINT kills. A worker whose event
    loop sends no heartbeat for `timeout` seconds is killed and replaced. The other workers go on
    then, and also if a worker cannot start: an unavailable database comes back.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        timeout: float,
        delay: float,
        replaced: Counter,
    ) -> None:
        self._config = config
        self._timeout = timeout
        self._delay = delay
        self._replaced = replaced
        self._listeners = [config.bind_socket()]
        self._workers: list[Worker] = []
        self._clock = SupervisedTime()
        # Safe in a signal handler, and wakes up the waiting thread.
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        # `nohup` makes a process ignore SIGHUP.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._on_signal)
        with self._killing_remaining_workers():
            self._start_missing()
            self._stop(self._supervise())

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.put(number)
        delay = 0 if number == signal.SIGINT else self._delay
        exit_within(delay + seconds_to_stop(self._config) + KILL_SECONDS + EXIT_SECONDS)

    def _supervise(self) -> int:
        """Keep the workers running until a signal; returns its number."""
        while True:
            number = self._next_signal(TICK_SECONDS)
            if number is not None:
                return number
            self._remove_lost(self._clock.elapsed())
            self._start_missing()

    def _remove_lost(self, elapsed: float) -> None:
        for worker in tuple(self._workers):
            worker.read_heartbeats(elapsed)
            if not worker.process.is_alive():
                self._remove(worker, EXITED)
                log.warning(ENDED, worker.process.pid, worker.process.exitcode)
            elif worker.silent_seconds > self._timeout_of(worker):
                self._remove(worker, HUNG)
                log.error(KILLED, worker.process.pid, self._timeout_of(worker))

    def _remove(self, worker: Worker, reason: str) -> None:
        worker.kill()
        self._workers.remove(worker)
        self._replaced.labels(reason).inc()

    def _timeout_of(self, worker: Worker) -> float:
        return self._timeout if worker.has_started else max(START_SECONDS, self._timeout)

    def _start_missing(self) -> None:
        heartbeat_seconds = self._timeout / HEARTBEATS_PER_TIMEOUT
        while len(self._workers) < self._config.workers:
            try:
                worker = Worker.start(self._config, self._listeners, heartbeat_seconds)
            except OSError as error:
                log.warning(CANNOT_START, error.strerror)
                return
            self._workers.append(worker)

    def _stop(self, number: int) -> None:
        """Stop the workers, and close the socket just before they do.

        Otherwise the kernel would complete connections that no process accepts.
        """
        how = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
        if how == signal.SIGTERM and self._delay > EARLY_SECONDS:
            self._signal_workers(how)
            how = self._wait(self._delay - EARLY_SECONDS) or how
        for each in self._listeners:
            drop_new_connections(each)
            each.close()
        # A second SIGTERM changes nothing.
        self._signal_workers(how)
        self._wait(EARLY_SECONDS + seconds_to_stop(self._config) + KILL_SECONDS)

    def _signal_workers(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.send_signal(number)

    def _wait(self, seconds: float) -> signal.Signals | None:
        """Wait until all workers have ended or time is up; return SIGINT if it ended the wait."""
        deadline = time.monotonic() + seconds
        while self._alive() and time.monotonic() < deadline:
            if self._next_signal(STOP_TICK_SECONDS) == signal.SIGINT:
                return signal.SIGINT
        return None

    def _alive(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.process.is_alive()]

    def _next_signal(self, seconds: float) -> int | None:
        try:
            return self._signals.get(timeout=seconds)
        except queue.Empty:
            return None

    @contextmanager
    def _killing_remaining_workers(self) -> Generator[None]:
        try:
            yield
        finally:
            for worker in self._alive():
                worker.kill()
                log.warning(NOT_STOPPED, worker.process.pid)
