"""Metrics of all workers at one address: of one worker by itself, of several by their files."""

import os
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import psutil
from prometheus_client import CollectorRegistry, Counter, Metric, multiprocess

from app.cli.ports import check_port
from app.errors import Misconfigured
from app.http.management import METRICS, OFF, host_and_port, management
from app.server.replaced_workers import replaced_workers

DEFAULT = "127.0.0.1:9464"
OF_A_PROCESS = re.compile(r"_(\d+)\.db$")


@dataclass(frozen=True, slots=True)
class Managed:
    """Where metrics are, and the one that only the parent of several workers can count."""

    address: str
    replaced: Counter


@contextmanager
def managed(address: str | None, workers: int) -> Generator[Managed]:
    """Open the management address, or leave that to the only worker.

    Raises:
        Misconfigured: the address that was set cannot be had.

    """
    address = settled(address)
    registry = CollectorRegistry()
    if workers == 1 or address == OFF:
        os.environ["MANAGEMENT_ADDRESS"] = address
        yield Managed(address, replaced_workers(registry))
        return
    with TemporaryDirectory(prefix="portico-metrics-") as directory:
        # Read by the library in each worker, when it is imported there.
        os.environ |= {"PROMETHEUS_MULTIPROC_DIR": directory, "MANAGEMENT_ADDRESS": OFF}
        registry.register(cast("Any", Living(directory)))
        with management(address, registry):
            yield Managed(address, replaced_workers(registry))


def settled(address: str | None) -> str:
    """Return where one can listen: the address that is set, or the default one, or `off`.

    Raises:
        Misconfigured: the address that was set cannot be had.

    """
    address = address or _default()
    if address != OFF:
        check_port(
            *host_and_port(address), change=f"MANAGEMENT_ADDRESS={address.rpartition(':')[0]}:{{}}"
        )
    return address


def announced(address: str, given: str | None) -> str:
    """Return the line that says where metrics are. `given` is the setting, `address` what is so."""
    if address != OFF:
        return f"Metrics   http://{address}{METRICS}"
    if given is None:
        return f"Metrics   nowhere: {DEFAULT} is in use. MANAGEMENT_ADDRESS names another."
    return "Metrics   nowhere (MANAGEMENT_ADDRESS)"


class Living:
    """Adds up the workers, and forgets the gauges of those that died."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        # Neither is typed.
        self._all: Any = cast("Any", multiprocess).MultiProcessCollector(None, directory)
        self._forget: Any = cast("Any", multiprocess).mark_process_dead

    def collect(self) -> Iterable[Metric]:
        found = (OF_A_PROCESS.search(path.name) for path in Path(self._directory).iterdir())
        for pid in {int(match.group(1)) for match in found if match}:
            if not psutil.pid_exists(pid):
                self._forget(pid, self._directory)
        return self._all.collect()


def _default() -> str:
    try:
        check_port(*host_and_port(DEFAULT))
    except Misconfigured:
        # Another Portico has it: that must not keep this one from starting.
        return OFF
    return DEFAULT
