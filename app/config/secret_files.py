"""Secrets in files, as Docker, Kubernetes and systemd provide them."""

import stat
from pathlib import Path

# Larger than any list of keys or database URL, and small enough to be read at once.
MAX_BYTES = 16 * 1024


def file_variable(field: str) -> str:
    """Returns the name of the variable that names the file of a setting."""
    return f"{field}_file"


def read_secret(path: str) -> str:
    """Returns the content of the file, without surrounding white space.

    Raises:
        ValueError: it cannot be used; the message says why. It contains neither the content nor the
            path, since an operator may have put the secret itself where the path belongs.

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
    # Each process of a server reads the file, and a pipe is empty the second time; opening a pipe
    # that has no writer would block.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("is not a regular file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES // 1024} KiB")
    return content.decode("utf-8-sig")
