"""Several processes on one socket: replaces those that end or hang, and stops all of them."""

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
from app.server.shutdown import turn_away
from app.server.worker_process import run_worker

# WORKER_TIMEOUT_SECONDS is 20 by default. The event loop of a worker comes round many times a
# second; what keeps it longest, a collection of garbage over all modules, takes half a second, and
# a few on a busy machine. So 20 is not reached by one that works, and leaves the next one 40 to
# start in: within a minute, all serve again.
HEARTBEATS_PER_TIMEOUT = 10
# Before the first heartbeat a process reads its code, which takes 4 seconds, and a minute where
# everything starts at once.
START_SECONDS = 300
# How often the supervisor looks. It counts a silence only while it is itself on time, within twice
# this: a machine that was suspended, or has no time for it, has none for workers either.
TICK_SECONDS = 0.5
STOP_TICK_SECONDS = 0.05
# By how much newcomers are turned away before workers close the socket, each by its own clock.
EARLY_SECONDS = 0.5
# For the workers that do not end by themselves, and then for what is around the supervisor.
KILL_SECONDS = 1
LEAVE_SECONDS = 2
# A process that the kernel cannot end, as it waits for a disk, is left behind.
JOIN_SECONDS = 5
# Why a worker was replaced, as the metric says it.
EXITED = "exited"
HUNG = "hung"

ENDED = "Worker %d ended with exit code %s: another one starts"
KILLED = "Worker %d hung for %g s and was killed: another one starts"
CANNOT_START = "Cannot start a worker now: %s"
NOT_STOPPED = "Worker %d did not stop in time and was killed"

log = logging.getLogger(__name__)
spawn = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class Worker:
    """A process, and what is known of its event loop."""

    process: SpawnProcess
    heartbeat: Connection
    has_started: bool = False
    silent_seconds: float = 0

    @classmethod
    def start(
        cls, config: uvicorn.Config, listeners: list[socket.socket], heartbeat_seconds: float
    ) -> "Worker":
        """Start one.

        Raises:
            OSError: the system has no process or memory for it now.

        """
        reader, writer = spawn.Pipe(duplex=False)
        os.set_blocking(reader.fileno(), False)
        arguments = (config, listeners, writer, heartbeat_seconds)
        process = spawn.Process(target=run_worker, args=arguments)
        with writer:
            process.start()
        return cls(process, reader)

    def listen(self, passed: float) -> None:
        """Take in its heartbeats of the last `passed` seconds."""
        if self._has_beaten():
            self.has_started = True
            self.silent_seconds = 0
        else:
            self.silent_seconds += passed

    def tell(self, number: int) -> None:
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def end(self) -> None:
        """Kill it, if it still runs, and free what belongs to it."""
        self.process.kill()
        self.process.join(JOIN_SECONDS)
        self.heartbeat.close()

    def _has_beaten(self) -> bool:
        try:
            return bool(os.read(self.heartbeat.fileno(), 65536))
        except BlockingIOError:
            return False


class OnTime:
    """Measures time, but none in which this process was late itself."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def passed(self) -> float:
        """Returns the seconds since this was asked last, 0 if they are more than two ticks."""
        now = time.monotonic()
        passed = now - self._last
        self._last = now
        return passed if passed <= 2 * TICK_SECONDS else 0


class Supervisor:
    """Runs as many workers as `config` says until it is told to stop, in the main thread.

    SIGTERM and SIGHUP stop after `delay` seconds, in which `/health/ready` says no; SIGINT (Ctrl-C)
    stops at once, also during the delay; a second SIGINT kills. A worker whose event loop gives no
    heartbeat for `timeout` seconds is killed. Neither that nor a worker that cannot start ends the
    others: a database that is away comes back.
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
        self._clock = OnTime()
        # Safe to use in a signal handler, and wakes up whoever waits for it.
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._hear)
        signal.signal(signal.SIGINT, self._hear)
        # `nohup` ignores it.
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._hear)
        with self._killing_whoever_is_left():
            self._start_missing()
            self._stop(self._supervise())

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._signals.put(number)
        delay = 0 if number == signal.SIGINT else self._delay
        exit_within(delay + seconds_to_stop(self._config) + KILL_SECONDS + LEAVE_SECONDS)

    def _supervise(self) -> int:
        """Keep the workers running; returns the signal that ends this."""
        while True:
            number = self._next_signal(TICK_SECONDS)
            if number is not None:
                return number
            self._forget_lost(self._clock.passed())
            self._start_missing()

    def _forget_lost(self, passed: float) -> None:
        for worker in tuple(self._workers):
            worker.listen(passed)
            if not worker.process.is_alive():
                self._forget(worker, EXITED)
                log.warning(ENDED, worker.process.pid, worker.process.exitcode)
            elif worker.silent_seconds > self._limit_of(worker):
                self._forget(worker, HUNG)
                log.error(KILLED, worker.process.pid, self._limit_of(worker))

    def _forget(self, worker: Worker, why: str) -> None:
        worker.end()
        self._workers.remove(worker)
        self._replaced.labels(why).inc()

    def _limit_of(self, worker: Worker) -> float:
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
        """Tell the workers to stop, and let go of the socket just before they do.

        Otherwise the system would go on making connections that nobody takes in.
        """
        how = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
        if how == signal.SIGTERM and self._delay > EARLY_SECONDS:
            self._tell(how)
            how = self._wait(self._delay - EARLY_SECONDS) or how
        for each in self._listeners:
            turn_away(each)
            each.close()
        # A second SIGTERM changes nothing.
        self._tell(how)
        self._wait(EARLY_SECONDS + seconds_to_stop(self._config) + KILL_SECONDS)

    def _tell(self, how: signal.Signals) -> None:
        for worker in self._workers:
            worker.tell(how)

    def _wait(self, seconds: float) -> signal.Signals | None:
        """Wait until all workers have ended or a time is over; returns SIGINT if that ended it."""
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
    def _killing_whoever_is_left(self) -> Generator[None]:
        try:
            yield
        finally:
            for worker in self._alive():
                worker.end()
                log.warning(NOT_STOPPED, worker.process.pid)
