"""Real servers and workers on loopback ports."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import httpx

from app.testing.leaks import SECRETS

ROOT = Path(__file__).parents[2]
PORTICO = Path(sys.executable).parent / "portico"
START_SECONDS = 40
AServer = TypeVar("AServer", bound="Server")
# The logs of started processes, and how far `logged` has read each.
_logs: dict[Path, int] = {}
# A server that is started again writes files of its own.
_starts = itertools.count()


def logged() -> dict[str, str]:
    """Returns what servers and commands have logged since the last call."""
    texts: dict[str, str] = {}
    for path, start in _logs.items():
        with path.open("rb") as log:
            log.seek(start)
            texts[path.name] = log.read().decode()
            _logs[path] = log.tell()
    return texts


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def portico(
    *arguments: str, cwd: Path, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; `stdin` is its standard input."""
    result = subprocess.run(
        [PORTICO, *arguments],
        cwd=cwd,
        env=_environment(environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )
    log = cwd / f"command-{uuid4().hex}.log"
    log.write_text(result.stderr)
    _logs[log] = 0
    return result


class Server:
    """`portico serve`, in a folder of its own."""

    def __init__(
        self,
        cwd: Path,
        *arguments: str,
        opened_at: str = "127.0.0.1",
        port: int | None = None,
        **environment: str,
    ) -> None:
        self.host = opened_at
        self.port = port or free_port()
        command = [PORTICO, "serve", "--port", str(self.port), *arguments]
        self._start(cwd, command, environment)

    def _start(self, cwd: Path, command: list[str | Path], environment: dict[str, str]) -> None:
        self._started_as = cwd, command, environment
        self.url = f"http://{self.host}:{self.port}"
        # Its output, which includes emails, and its log.
        name = f"server-{self.port}-{next(_starts)}"
        self._output, self.log = cwd / f"{name}.out", cwd / f"{name}.log"
        _logs[self.log] = 0
        with self._output.open("w") as output, self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                env=_environment({"LOG_LEVEL": "DEBUG"} | environment),
                stdout=output,
                stderr=log,
            )

    @property
    def output(self) -> str:
        return self._output.read_text() + self.log.read_text()

    def wait_until_ready(self) -> float:
        """Returns the seconds that it took."""
        started = time.monotonic()
        while time.monotonic() - started < START_SECONDS:
            assert self.process.poll() is None, self.output
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/health/ready").status_code == 200:
                    return time.monotonic() - started
            time.sleep(0.05)
        raise TimeoutError(self.output)

    def restart(self) -> None:
        """Stop it and start it again, on the same port."""
        assert self.stop() == 0, self.output
        self._start(*self._started_as)
        self.wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(START_SECONDS)


class Worker(Server):
    """`portico worker`, with its readiness at its management address."""

    def __init__(self, cwd: Path, **environment: str) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        address = {"MANAGEMENT_ADDRESS": f"{self.host}:{self.port}"}
        self._start(cwd, [PORTICO, "worker"], address | environment)


class UntestedServer(Server):
    """`portico serve` on uvicorn and httptools of other versions than it is tested with."""

    def __init__(self, cwd: Path, workers: int = 1, **environment: str) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        program = [
            sys.executable,
            "-m",
            "tests.support.untested_server",
            str(self.port),
            str(workers),
        ]
        self._start(cwd, [*program], {"PYTHONPATH": str(ROOT)} | environment)


@contextlib.contextmanager
def serving(
    cwd: Path, *arguments: str, opened_at: str = "127.0.0.1", **environment: str
) -> Generator[Server]:
    with _until_stopped(
        Server(cwd, *arguments, opened_at=opened_at, port=None, **environment)
    ) as server:
        yield server


@contextlib.contextmanager
def working(cwd: Path, **environment: str) -> Generator[Worker]:
    with _until_stopped(Worker(cwd, **environment)) as worker:
        yield worker


@contextlib.contextmanager
def serving_untested(cwd: Path, workers: int = 1, **environment: str) -> Generator[Server]:
    with _until_stopped(UntestedServer(cwd, workers, **environment)) as server:
        yield server


@contextlib.contextmanager
def _until_stopped(server: AServer) -> Generator[AServer]:
    try:
        server.wait_until_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def _environment(changes: dict[str, str]) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    settings = {"BCRYPT_ROUNDS": "4", "MANAGEMENT_ADDRESS": "off"} | changes
    for name in ("SECRET_KEY", "FIRST_ADMIN_PASSWORD"):
        SECRETS.add(settings.get(name, ""))
    return kept | settings
