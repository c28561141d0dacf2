"""The metrics of several workers, while some start and some have died."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest, mmap_dict

from app.cli.management import LiveWorkers

SCRAPES = 8
# Above the highest that Linux gives.
DEAD = range(1 << 23, (1 << 23) + 300)


@pytest.fixture
def registry(tmp_path: Path) -> CollectorRegistry:
    registry, workers = CollectorRegistry(), LiveWorkers(str(tmp_path))
    registry.register(workers)
    return registry


def write(path: Path, name: str, value: float) -> None:
    # The library has no types for it.
    module: Any = mmap_dict
    file = module.MmapedDict(str(path))
    file.write_value(module.mmap_key(name, name, [], [], "A metric."), value, 0.0)
    file.close()


def test_a_worker_whose_file_is_still_empty_is_left_out(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    write(tmp_path / f"gauge_livesum_{os.getpid()}.db", "portico_workers", 3)
    (tmp_path / f"counter_{os.getpid()}.db").touch()

    assert b"\nportico_workers 3.0\n" in generate_latest(registry)


def test_scrapes_at_the_same_time_forget_a_dead_worker_once(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    write(tmp_path / f"gauge_livesum_{os.getpid()}.db", "portico_workers", 3)
    for pid in DEAD:
        write(tmp_path / f"gauge_livesum_{pid}.db", "portico_workers", 5)
    together = Barrier(SCRAPES)

    def scrape(_number: int) -> bytes:
        together.wait()
        return generate_latest(registry)

    with ThreadPoolExecutor(SCRAPES) as threads:
        pages = [*threads.map(scrape, range(SCRAPES))]

    assert all(b"\nportico_workers 3.0\n" in page for page in pages)
