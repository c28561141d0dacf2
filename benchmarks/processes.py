"""Processes of a benchmark: pinned to a core, measured through /proc, ended by their pid."""

import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# Under valgrind, on a busy machine.
START_SECONDS = 120
END_SECONDS = 15
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class BenchmarkFailed(Exception):
    """States in one line why there is no result."""


@dataclass(frozen=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def log_tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    core: int | None = None,
    user: str | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> Generator[Child]:
    """Run a server until the block ends, then end it with all its children."""
    pinned = [*(() if core is None else ("taskset", "-c", str(core))), *command]
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            pinned,
            cwd=directory,
            env={**_inherited(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user,
            # A group of its own: Ctrl-C reaches only this script, which then ends each in turn.
            start_new_session=True,
        )
    try:
        yield Child(name, process, log)
    finally:
        _end(process, stop_signal)


def wait_until(ready: Callable[[], bool], child: Child) -> None:
    """Wait for a server to answer.

    Raises:
        BenchmarkFailed: it ended, or took longer than two minutes.

    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if child.process.poll() is not None:
            break
        if ready():
            return
        time.sleep(0.05)
    raise BenchmarkFailed(f"{child.name} did not start:\n{child.log_tail()}")


def run(
    command: Sequence[str],
    *,
    seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
) -> str:
    """Run a command to its end; returns its output.

    Raises:
        BenchmarkFailed: it failed, or took longer than `seconds`.

    """
    done = attempt(command, seconds=seconds, cwd=cwd, env=env, user=user)
    if done.returncode != 0:
        raise BenchmarkFailed(f"{' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def attempt(
    command: Sequence[str],
    *,
    seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whether it fails or not.

    Raises:
        BenchmarkFailed: it took longer than `seconds`.

    """
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            cwd=cwd,
            env=env,
            user=user,
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkFailed(f"{command[0]} took longer than {seconds:.0f} s") from None


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time, user and system, of a process and all its descendants."""
    ticks = 0
    for fields in _family(pid).values():
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Returns the resident memory of a process and all its descendants."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(fields[21]) * page for fields in _family(pid).values())


class Memory(NamedTuple):
    """The memory of a process and all its descendants, in bytes."""

    # With pages that others share, such as libraries.
    resident: int
    # The same, but of a page that several share each has its part.
    proportional: int
    # What would be free if it ended.
    private: int


def memory_of(pid: int) -> Memory:
    """Returns the memory of a process and all its descendants."""
    kinds: Counter[str] = Counter()
    for each in _family(pid):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii").splitlines():
            name, _, size = line.partition(":")
            if size.endswith(" kB"):
                kinds[name] += int(size.removesuffix(" kB")) * 1024
    private = kinds["Private_Clean"] + kinds["Private_Dirty"]
    return Memory(kinds["Rss"], kinds["Pss"], private)


def idle_share(*, seconds: float) -> float:
    """Returns the idle share of all cores over some seconds."""
    idle_before, all_before = _ticks()
    time.sleep(seconds)
    idle_after, all_after = _ticks()
    return (idle_after - idle_before) / max(1, all_after - all_before)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end_on_sigterm() -> None:
    """Exit normally on SIGTERM too, so that every server is ended."""

    def leave(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)


def _ticks() -> tuple[int, int]:
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    user, nice, system, idle, waiting, *rest = (int(field) for field in first.split()[1:9])
    return idle + waiting, user + nice + system + idle + waiting + sum(rest)


def _family(pid: int) -> dict[int, list[str]]:
    """/proc/<pid>/stat of a process and its descendants, from the field after the name on."""
    stats: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text(encoding="ascii", errors="replace")
            except OSError:
                continue
            stats[int(entry.name)] = text.rpartition(")")[2].split()
    members, found = {pid}, True
    while found:
        more = {child for child, fields in stats.items() if int(fields[1]) in members} - members
        members |= more
        found = bool(more)
    return {member: stats[member] for member in members if member in stats}


def _end(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(stop_signal)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(END_SECONDS)


def _inherited() -> dict[str, str]:
    # Servers get none of the caller's settings, so that runs are comparable.
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
