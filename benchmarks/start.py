"""Measures how long `portico serve` takes to be ready, and commands take to print their help."""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from client import Client
from processes import BenchmarkFailed, cpu_seconds, free_port, running, wait_until
from script import run_script
from stage import processor, say, taken, write_result
from tables import grid, report

COMMANDS = (
    ("--version",),
    ("--help",),
    ("users", "show", "--help"),
    ("db", "upgrade", "--help"),
    ("keys", "rotate", "--help"),
    ("settings",),
    ("schema", "export", "--check"),
)
READY_LIMIT, COMMAND_LIMIT = 1.0, 0.3
ROOT = Path(__file__).parent.parent


class Spent(NamedTuple):
    """Seconds until it was ready or had ended, and of CPU."""

    seconds: float
    cpu: float


def main(options: argparse.Namespace) -> None:
    directory = Path(tempfile.mkdtemp(prefix="portico-benchmark-"))
    try:
        # The first start creates the database.
        _ready(directory)
        started = [_ready(directory) for _ in range(options.rounds)]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    spent = {f"portico {' '.join(each)}": _ended(each, options.rounds) for each in COMMANDS}
    text = _report({"portico serve, until it is ready": started, **spent})
    write_result("start.md", text)
    print(text)


def _ready(directory: Path) -> Spent:
    """Start a server on its own database, and wait until `/health/ready` answers 200."""
    port = free_port()
    command = [_portico(), "serve", "--port", str(port)]
    began = time.perf_counter()
    environment = {"MANAGEMENT_ADDRESS": f"127.0.0.1:{free_port()}"}
    with running("portico", command, directory=directory, environment=environment) as child:
        wait_until(lambda: _is_ready(port), child)
        spent = Spent(time.perf_counter() - began, cpu_seconds(child.process.pid))
    say(f"ready after {spent.seconds:.2f} s, {spent.cpu:.2f} s of CPU")
    return spent


def _is_ready(port: int) -> bool:
    try:
        Client(port).get("/health/ready")
    except OSError:
        return False
    return True


def _ended(arguments: Sequence[str], rounds: int) -> list[Spent]:
    return [_run(arguments) for _ in range(rounds)]


def _run(arguments: Sequence[str]) -> Spent:
    before, began = _cpu_of_children(), time.perf_counter()
    done = subprocess.run([_portico(), *arguments], cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        raise BenchmarkFailed(f"portico {' '.join(arguments)} failed")
    return Spent(time.perf_counter() - began, _cpu_of_children() - before)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _report(measured: dict[str, list[Spent]]) -> str:
    rows = [[name, *_cells(each)] for name, each in measured.items()]
    table = grid(("", "median s", "least s", "CPU s, median", "CPU s, least"), rows)
    prose = (
        f"The aim is a server that is ready within {READY_LIMIT:g} s, on a database of its own "
        f"that exists, and help within {COMMAND_LIMIT:g} s. CPU of the server includes that of "
        "PostgreSQL, as far as it is a child of it. On a machine that does other work, the least "
        "says more than the median."
    )
    about = {
        "taken": taken(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }
    return report("Start", table, [prose], about)


def _cells(spent: Sequence[Spent]) -> list[str]:
    seconds, cpu = [each.seconds for each in spent], [each.cpu for each in spent]
    return [f"{value:.2f}" for value in (median(seconds), min(seconds), median(cpu), min(cpu))]


def _portico() -> str:
    return str(Path(sys.executable).parent / "portico")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured")
    run_script(main, parser)
