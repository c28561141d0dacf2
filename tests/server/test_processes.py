"""Processes of `portico serve` and `portico worker`: one that hangs, signals, a killed parent."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from app.testing.clients import ME
from tests.cli.test_serve import SECRET, postgres_of, send, workers_of
from tests.support.servers import PORTICO, ROOT, Server, free_port, serving, serving_untested

HANGS = str(ROOT / "tests/support/hangs")
IN_A_CALL, HOLDING_THE_GIL, THREAD = signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH
START_SECONDS = 40
# SHUTDOWN_DELAY_SECONDS and SHUTDOWN_TIMEOUT_SECONDS may be exceeded by 5; the machine may be
# busy.
STOP_SECONDS = 12
WORKER_STOP_SECONDS = 20
TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.fixture
def settings(migrated_url: str) -> dict[str, str]:
    return {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET, "PYTHONPATH": HANGS}


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def started_workers(server: Server, number: int) -> list[psutil.Process]:
    """Wait until a number of workers have started since the server did."""
    until(lambda: server.output.count("Application startup complete") >= number)
    return sorted(workers_of(server), key=lambda each: each.pid)


def hung(server: Server) -> list[str]:
    return [
        line.partition("supervisor: ")[2] for line in server.output.splitlines() if "hung" in line
    ]


def killed(worker: psutil.Process, seconds: int) -> str:
    return f"Worker {worker.pid} hung for {seconds} s and was killed: another one starts"


def test_workers_whose_event_loop_hangs_are_killed_and_replaced(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    address = f"127.0.0.1:{free_port()}"
    settings |= {"WORKER_TIMEOUT_SECONDS": "5", "MANAGEMENT_ADDRESS": address}
    with serving(tmp_path, "--workers", "2", **settings) as server:
        workers = started_workers(server, 2)
        workers[0].send_signal(IN_A_CALL)
        workers[1].send_signal(HOLDING_THE_GIL)
        _, alive = psutil.wait_procs(workers, timeout=START_SECONDS)
        server.wait_until_ready()

        assert alive == []
        assert send(server, ME) == {"me": None}
        assert sorted(hung(server)) == [killed(worker, 5) for worker in workers]
        metrics = httpx.get(f"http://{address}/metrics").text.splitlines()
        assert 'portico_workers_replaced_total{reason="hung"} 2.0' in metrics
        assert 'portico_workers_replaced_total{reason="exited"} 0.0' in metrics


def test_a_worker_that_is_stopped_alone_is_replaced_but_not_one_that_is_stopped_with_its_parent(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    with serving(tmp_path, "--workers", "2", WORKER_TIMEOUT_SECONDS="4", **settings) as server:
        workers = started_workers(server, 2)
        group = [psutil.Process(server.process.pid), *workers]
        for each in group:
            each.suspend()
        time.sleep(6)
        for each in group:
            each.resume()
        time.sleep(2)
        assert hung(server) == []

        workers[0].suspend()
        psutil.wait_procs(workers[:1], timeout=START_SECONDS)
        left = started_workers(server, 3)

        assert hung(server) == [killed(workers[0], 4)]
        assert (workers[1] in left, len(left)) == (True, 2)


@contextmanager
def untested(cwd: Path, _flag: str, number: str, **environment: str) -> Generator[Server]:
    paths = os.pathsep.join([str(ROOT), HANGS])
    with serving_untested(cwd, int(number), **environment | {"PYTHONPATH": paths}) as server:
        yield server


@pytest.mark.parametrize(
    ("serve", "delay", "timeout", "signals"),
    [
        (serving, "60", "1", [TERM, INT]),
        (untested, "0", "60", [INT, INT]),
    ],
)
def test_a_server_ends_in_time_even_if_a_worker_is_stopped(
    tmp_path: Path,
    settings: dict[str, str],
    serve: Any,
    delay: str,
    timeout: str,
    signals: list[signal.Signals],
) -> None:
    settings |= {"SHUTDOWN_DELAY_SECONDS": delay, "SHUTDOWN_TIMEOUT_SECONDS": timeout}
    with serve(tmp_path, "--workers", "2", **settings) as server:
        workers = started_workers(server, 2)
        family = psutil.Process(server.process.pid).children(recursive=True)
        workers[0].suspend()

        for each in signals:
            server.process.send_signal(each)
            time.sleep(0.5)

        assert server.process.wait(STOP_SECONDS) == 0
        assert psutil.wait_procs(family, timeout=STOP_SECONDS)[1] == []


@pytest.mark.parametrize("signals", [[TERM], [INT, INT]])
def test_a_single_process_ends_in_time_even_if_its_event_loop_hangs(
    tmp_path: Path, settings: dict[str, str], signals: list[signal.Signals]
) -> None:
    settings |= {"SHUTDOWN_TIMEOUT_SECONDS": "1" if signals == [TERM] else "60"}
    with serving(tmp_path, **settings) as server:
        server.process.send_signal(IN_A_CALL)
        time.sleep(0.5)

        for each in signals:
            server.process.send_signal(each)
            time.sleep(0.5)

        assert server.process.wait(STOP_SECONDS) == 0


def test_a_server_starts_at_once_on_the_port_and_database_of_one_that_was_killed(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, "--workers", "2") as server:
        workers = started_workers(server, 2)
        workers[0].suspend()
        server.stop(signal.SIGKILL)
        assert psutil.wait_procs(workers, timeout=5)[1] == []

    again = Server(tmp_path, port=server.port)
    again.wait_until_ready()

    assert again.stop() == 0
    assert postgres_of(tmp_path) == []


@contextmanager
def working(cwd: Path, settings: dict[str, str]) -> Generator[subprocess.Popen[str]]:
    """`portico worker`, when it runs jobs."""
    environment = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ
    }
    with subprocess.Popen(
        [PORTICO, "worker"],
        cwd=cwd,
        env=environment | settings,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            while "Running jobs" not in process.stdout.readline():
                assert process.poll() is None
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("hang", "signals"), [(THREAD, [TERM]), (IN_A_CALL, [INT, INT])])
def test_a_worker_of_jobs_ends_in_time_even_if_it_hangs(
    tmp_path: Path,
    settings: dict[str, str],
    hang: signal.Signals,
    signals: list[signal.Signals],
) -> None:
    with working(tmp_path, settings | {"FRONTEND_URL": "https://app.example.com"}) as process:
        process.send_signal(hang)
        time.sleep(0.5)

        for each in signals:
            process.send_signal(each)
            time.sleep(0.5)

        assert process.wait(WORKER_STOP_SECONDS) == 0
