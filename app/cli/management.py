"""The management address: one worker serves it itself; for several, their parent adds up files."""

import os
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, cast

import psutil
from prometheus_client import CollectorRegistry, Counter, Metric, multiprocess

from app.cli.ports import check_port
from app.errors import Misconfigured
from app.http.management import METRICS, OFF, host_and_port, management
from app.server.replaced_workers import replaced_workers

DEFAULT = "127.0.0.1:9464"
METRICS_FILE = re.compile(r"_(\d+)\.db$")


@dataclass(frozen=True, slots=True)
class Managed:
    """The management address, and the counter that only the parent of workers can count."""

    address: str
    replaced: Counter


@contextmanager
def managed(address: str | None, workers: int) -> Generator[Managed]:
    """Open the management address, or let the only worker open it.

    Raises:
        Misconfigured: the address that was set cannot be had.

    """
    address = usable_address(address)
    registry = CollectorRegistry()
    if workers == 1 or address == OFF:
        os.environ["MANAGEMENT_ADDRESS"] = address
        yield Managed(address, replaced_workers(registry))
        return
    with TemporaryDirectory(prefix="portico-metrics-") as directory:
        # Read by the library in each worker, when it is imported there.
        os.environ |= {"PROMETHEUS_MULTIPROC_DIR": directory, "MANAGEMENT_ADDRESS": OFF}
        registry.register(cast("Any", LiveWorkers(directory)))
        with management(address, registry):
            yield Managed(address, replaced_workers(registry))


def usable_address(address: str | None) -> str:
    """Returns the address to listen on: the one that is set, the default one, or `off`.

    Raises:
        Misconfigured: the address that was set cannot be had.

    """
    address = address or _default()
    if address != OFF:
        check_port(
            *host_and_port(address), change=f"MANAGEMENT_ADDRESS={address.rpartition(':')[0]}:{{}}"
        )
    return address


def metrics_line(address: str, given: str | None) -> str:
    """Returns the line about metrics. `given` is the setting, `address` the one in use."""
    if address != OFF:
        return f"Metrics   http://{address}{METRICS}"
    if given is None:
        return f"Metrics   nowhere: {DEFAULT} is in use. Set MANAGEMENT_ADDRESS to another address."
    return "Metrics   nowhere (MANAGEMENT_ADDRESS)"


class LiveWorkers:
    """Adds up the metrics of workers, without the gauges of those that died."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)
        # Neither is typed.
        self._sum_of: Any = cast("Any", multiprocess).MultiProcessCollector.merge
        self._forget: Any = cast("Any", multiprocess).mark_process_dead
        self._lock = Lock()

    def collect(self) -> Iterable[Metric]:
        # Each request has a thread: two of them would remove the same files.
        with self._lock:
            self._forget_the_dead()
            return self._sum_of([str(path) for path in self._files() if path.stat().st_size])

    def _forget_the_dead(self) -> None:
        found = (METRICS_FILE.search(path.name) for path in self._files())
        for pid in {int(match.group(1)) for match in found if match}:
            if not psutil.pid_exists(pid):
                self._forget(pid, self._directory)

    def _files(self) -> list[Path]:
        """Returns the file of each worker and kind of metric.

        It is empty for a moment, while a worker starts: the library cannot read it then.
        """
        return [*self._directory.glob("*.db")]


def _default() -> str:
    try:
        check_port(*host_and_port(DEFAULT))
    except Misconfigured:
        # Another Portico uses it, which must not prevent this one from starting.
        return OFF
    return DEFAULT
