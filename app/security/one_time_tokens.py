"""One-time tokens: random, told apart by a prefix, and kept as a hash."""

import re
import secrets

from app.security import keys

PREFIX = "pot_"
RANDOM_BYTES = 32
FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)


def make() -> str:
    """Give 256 random bits, which nobody guesses: their plain hash is as good as a slow one."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def digest(token: str) -> bytes | None:
    """Give what is stored of a token; None for what was never one."""
    return keys.digest(token) if FORM.fullmatch(token) else None
