"""Finds a password in libpq's password file (PostgreSQL manual, 34.16)."""

import logging
import re
import stat
from pathlib import Path

FIELD = re.compile(r"((?:\\.|[^\\:])*):")
OTHERS = stat.S_IRWXG | stat.S_IRWXO

log = logging.getLogger(__name__)


def password_from(path: Path, host: str, port: int, database: str, user: str) -> str | None:
    """Give the password of the first line that fits; None too where the file is not for use.

    libpq leaves a file aside that others than its owner may read, and so does this.
    """
    wanted = (host, str(port), database, user)
    for line in _lines(path):
        # The colon ends the password too, as it would end a field that followed.
        fields = FIELD.findall(f"{line}:")
        if len(fields) > len(wanted) and all(map(_fits, fields, wanted)):
            return _unescaped(fields[len(wanted)])
    return None


def _lines(path: Path) -> list[str]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and not mode & OTHERS:
            return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return []
    log.warning("The password file %s is not read: others than its owner may read it.", path)
    return []


def _fits(field: str, wanted: str) -> bool:
    return field == "*" or _unescaped(field) == wanted


def _unescaped(field: str) -> str:
    return re.sub(r"\\(.)", r"\1", field)
