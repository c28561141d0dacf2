"""One-time tokens: random, with a prefix, and stored as a hash."""

import re
import secrets

from app.security import keys

PREFIX = "pot_"
RANDOM_BYTES = 32
FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)


def make() -> str:
    """Returns 256 random bits: unguessable, so a fast hash is enough to store them."""
    return PREFIX + secrets.token_urlsafe(RANDOM_BYTES)


def digest(token: str) -> bytes | None:
    """Returns the stored hash of a token; None if it is not one."""
    return keys.digest(token) if FORM.fullmatch(token) else None
