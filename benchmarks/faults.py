"""Faults of production, injected into a fleet; each has ended when its function returns."""

import asyncio
import os
import secrets
import signal
import struct
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import psutil
from fleet import Fleet, is_ready, wait_for
from processes import BenchmarkFailed, run

CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
SERVING = "portico_a"
WORKERS = 2
# All workers serve again within a minute after any failure of one.
REPLACED_SECONDS = 60
ORPHAN_SECONDS = 5
# More than PgBouncer opens to the primary.
POOL = 30
# Longer than Portico waits for a statement, and longer than it lets one run.
STANDSTILL_SECONDS, TAKEN_SECONDS = 15, 8
AWAY_SECONDS = 15
DISK_BYTES = 192 * 1024 * 1024
SET_BACK_SECONDS = 3600


@dataclass(frozen=True)
class Fault:
    name: str
    happen: Callable[[Fleet], None]


def rolling_restart(fleet: Fleet) -> None:
    """Restart all processes of Portico, one after the other."""
    for name in ("portico-1", "portico-2", "worker"):
        fleet[name].restart()


@dataclass(frozen=True)
class Rotation:
    """The steps of a rotation of SECRET_KEY, as in docs/operators/secrets.md."""

    new: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def open_with_both(self, fleet: Fleet) -> None:
        fleet.secret_key = f"{fleet.secret_key},{self.new}"
        rolling_restart(fleet)

    def seal_with_new(self, fleet: Fleet) -> None:
        former, _, new = fleet.secret_key.partition(",")
        fleet.secret_key = f"{new},{former}"
        rolling_restart(fleet)
        fleet.portico("keys", "rotate")

    def forget_former(self, fleet: Fleet) -> None:
        fleet.secret_key = self.new
        rolling_restart(fleet)


def processes_killed(fleet: Fleet) -> None:
    """Kill a server and the worker of jobs; a supervisor restarts them."""
    workers_of(fleet)[0].kill()
    fleet["worker"].child.process.kill()


def worker_stopped(fleet: Fleet) -> None:
    """Stop a worker, as if it hung, until its parent replaces it."""
    stopped = workers_of(fleet)[0]
    stopped.suspend()
    wait_for(
        lambda: stopped not in workers_of(fleet) and _all_started(fleet),
        seconds=REPLACED_SECONDS,
        what="another worker in place of one that was stopped",
    )


def parent_killed(fleet: Fleet) -> None:
    """Kill a parent: its workers end too, and a supervisor starts another one on the same port."""
    # One that is still importing its code ends only after that.
    wait_for(
        lambda: _all_started(fleet), seconds=REPLACED_SECONDS, what="workers that have started"
    )
    orphans, starts = workers_of(fleet), fleet["portico-2"].starts
    psutil.Process(fleet["portico-2"].pid).kill()
    _gone, alive = psutil.wait_procs(orphans, timeout=ORPHAN_SECONDS)
    if alive:
        raise BenchmarkFailed(f"workers outlive their parent: {alive}")
    wait_for(
        lambda: fleet["portico-2"].starts > starts and is_ready(fleet.ports.portico_2),
        seconds=REPLACED_SECONDS,
        what="a server in place of one that was killed",
    )


def role_refused(fleet: Fleet) -> None:
    """Revoke the right to log in from the role of servers, and end its connections."""
    with refused_role(fleet):
        time.sleep(AWAY_SECONDS)


@contextmanager
def refused_role(fleet: Fleet) -> Generator[None]:
    fleet.fetch(f"ALTER ROLE {SERVING} NOLOGIN")
    try:
        fleet.fetch(CUT)
        yield
    finally:
        fleet.fetch(f"ALTER ROLE {SERVING} LOGIN")


def connections_cut(fleet: Fleet) -> None:
    fleet.fetch(CUT)


def database_killed(fleet: Fleet) -> None:
    """Kill PostgreSQL without a shutdown: it recovers from its write-ahead log."""
    fleet["primary"].stop(signal.SIGQUIT)
    fleet["primary"].start()


def database_stands_still(fleet: Fleet) -> None:
    """Stop all processes of PostgreSQL, as on a machine that has lost its disk."""
    with standstill(fleet, "primary"):
        time.sleep(STANDSTILL_SECONDS)


@contextmanager
def standstill(fleet: Fleet, name: str) -> Generator[None]:
    """Stop a server of PostgreSQL and all its processes, until the block ends."""
    postmaster = psutil.Process(fleet[name].pid)
    stopped = [postmaster, *postmaster.children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def pooler_restarted(fleet: Fleet) -> None:
    fleet["pgbouncer"].restart()


def pool_exhausted(fleet: Fleet) -> None:
    """Take every server connection of PgBouncer."""
    asyncio.run(_sleep_at_once(fleet.url(port=fleet.ports.pooler)))


def replica_killed(fleet: Fleet) -> None:
    fleet["replica"].stop(signal.SIGQUIT)
    time.sleep(AWAY_SECONDS)
    fleet["replica"].start()


def replica_hangs(fleet: Fleet) -> None:
    with standstill(fleet, "replica"):
        time.sleep(STANDSTILL_SECONDS)


def replica_behind(fleet: Fleet) -> None:
    """Pause the replay of the replica, which still receives what is written."""
    with replay_paused(fleet):
        time.sleep(AWAY_SECONDS)


@contextmanager
def replay_paused(fleet: Fleet) -> Generator[None]:
    replica = fleet.url(user="postgres", port=fleet.ports.replica)
    fleet.fetch("SELECT pg_wal_replay_pause()::text", url=replica)
    try:
        yield
    finally:
        fleet.fetch("SELECT pg_wal_replay_resume()::text", url=replica)


@dataclass(frozen=True)
class Clock:
    """The system time of processes that were started with its `environment`."""

    environment: dict[str, str]
    offset: Path

    @classmethod
    def make(cls, directory: Path) -> "Clock":
        library, offset = directory / "clock.so", directory / "clock.offset"
        source = Path(__file__).parent / "clock.c"
        run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], seconds=60)
        offset.write_bytes(struct.pack("l", 0))
        return cls({"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(offset)}, offset)

    def set_back(self, _fleet: Fleet) -> None:
        """Set the clock back by an hour, and leave it so."""
        with self.offset.open("r+b") as file:
            file.write(struct.pack("l", -SET_BACK_SECONDS))


@dataclass(frozen=True)
class Disk:
    """A small disk, which can be filled."""

    directory: Path

    @classmethod
    @contextmanager
    def mounted(cls, directory: Path) -> Generator["Disk | None"]:
        """Yields None if this user may not mount one."""
        if os.geteuid() != 0:
            yield None
            return
        directory.mkdir()
        try:
            options = f"size={DISK_BYTES},mode=0755"
            run(["mount", "-t", "tmpfs", "-o", options, "none", str(directory)], seconds=10)
        except BenchmarkFailed:
            yield None
            return
        try:
            yield cls(directory)
        finally:
            run(["umount", str(directory)], seconds=10)

    def full(self, _fleet: Fleet) -> None:
        rest = self.directory / "rest"
        try:
            with suppress(OSError), rest.open("wb", buffering=0) as file:
                while file.write(bytes(1 << 16)):
                    pass
            time.sleep(AWAY_SECONDS)
        finally:
            rest.unlink(missing_ok=True)


def workers_of(fleet: Fleet) -> list[psutil.Process]:
    """Returns the workers of the server that has several, without the resource tracker."""
    children = psutil.Process(fleet["portico-2"].pid).children()
    return [child for child in children if _is_worker(child)]


def _all_started(fleet: Fleet) -> bool:
    workers, log = workers_of(fleet), fleet["portico-2"].logs()
    return len(workers) == WORKERS and all(
        f"Started server process [{worker.pid}]" in log for worker in workers
    )


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("spawn_main" in argument for argument in process.cmdline())
    except psutil.NoSuchProcess:
        return False


async def _sleep_at_once(url: str) -> None:
    await asyncio.gather(*(_sleep(url) for _ in range(POOL)), return_exceptions=True)


async def _sleep(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        await connection.execute(f"SELECT pg_sleep({TAKEN_SECONDS})")
    finally:
        await connection.close(timeout=5)
