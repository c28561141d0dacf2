"""Reads libpq's password file (PostgreSQL manual, 34.16)."""

import logging
import re
import stat
from pathlib import Path

FIELD = re.compile(r"((?:\\.|[^\\:])*):")
OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO

log = logging.getLogger(__name__)


def find_password(path: Path, host: str, port: int, database: str, user: str) -> str | None:
    """Returns the password of the first line that matches; None if there is none.

    As in libpq, a file that others than its owner can access is ignored.
    """
    wanted = (host, str(port), database, user)
    for line in _lines(path):
        # The added colon ends the last field, the password, as it ends the others.
        fields = FIELD.findall(f"{line}:")
        if len(fields) > len(wanted) and all(map(_matches, fields, wanted)):
            return _unescaped(fields[len(wanted)])
    return None


def _lines(path: Path) -> list[str]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and not mode & OPEN_TO_OTHERS:
            return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return []
    log.warning("The password file %s is ignored: others than its owner can access it.", path)
    return []


def _matches(field: str, wanted: str) -> bool:
    return field == "*" or _unescaped(field) == wanted


def _unescaped(field: str) -> str:
    return re.sub(r"\\(.)", r"\1", field)
