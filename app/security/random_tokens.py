"""One-time tokens: random, with a prefix, and stored as a hash."""

import re
import secrets

from app.security import keys

PREFIX = "pot_"
RANDOM_BYTES = 32
FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)


def make() -> str:
    """Returns a token of 256 random bits. It cannot be guessed, so a fast hash of it is stored."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def digest(token: str) -> bytes | None:
    """Returns the hash that is stored for a token; None if the text is not a token."""
    return keys.digest(token) if FORM.fullmatch(token) else None
