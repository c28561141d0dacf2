"""Secrets in files, as Docker, Kubernetes and systemd hand them to a process."""

import stat
from pathlib import Path

# Larger than any list of keys or address, and small enough to be read at once.
MAX_BYTES = 16 * 1024


def file_variable(field: str) -> str:
    """Returns the name of the variable that says in which file a setting is."""
    return f"{field}_file"


def read_secret(path: str) -> str:
    """Returns what is in the file, without white space around it.

    Raises:
        ValueError: says why not. Neither the content nor the path is in the message: who takes the
            variable for the one of the secret itself has put the secret where the path belongs.

    """
    try:
        text = _content(Path(path)).strip()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if not text:
        raise ValueError("is empty")
    return text


def _content(path: Path) -> str:
    # A pipe is empty when it is read again, as each process of a server does; one that nobody
    # writes to would be waited for.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is not a regular file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES // 1024} KiB")
    return content.decode("utf-8-sig")
