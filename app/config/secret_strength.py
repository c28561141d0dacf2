"""Whether a SECRET_KEY could be guessed."""

import gc
from functools import cache

from app.imports import import_private_copy

MIN_SECRET_BYTES = 32
PLACEHOLDERS = (
    "change",
    "secret",
    "example",
    "placeholder",
    "your-",
    "yourkey",
    "password",
    "xxxx",
)
# The key in FastAPI's tutorial, and the prefix of the keys that Django generates for new projects.
KNOWN_SECRETS = (
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "django-insecure",
)
# zxcvbn estimates 10^29 or more for a random key, and 10^12 for alphabets and keyboard rows.
MIN_GUESSES = 10**20
ESTIMATED_CHARACTERS = 72


def check(key: str) -> None:
    """Refuse a secret that could be guessed.

    Raises:
        ValueError: shorter than 32 bytes, a known placeholder, too few different characters, or too
            few guesses in zxcvbn's estimate.

    """
    if len(key.encode()) < MIN_SECRET_BYTES:
        msg = f"must be at least {MIN_SECRET_BYTES} bytes long"
        raise ValueError(msg)
    if any(known in key for known in KNOWN_SECRETS):
        raise ValueError("is printed in a tutorial: generate a random one")
    # Among many different characters such a word is a coincidence.
    has_placeholder = len(set(key)) < 25 and any(word in key.lower() for word in PLACEHOLDERS)
    if has_placeholder or len(set(key)) < MIN_SECRET_BYTES // 4:
        msg = "looks like a placeholder"
        raise ValueError(msg)
    if _estimated_guesses(key[:ESTIMATED_CHARACTERS]) < MIN_GUESSES:
        raise ValueError("can be guessed: generate a random one")


# Settings are read several times at a start, with the same keys.
@cache
def _estimated_guesses(key: str) -> int:
    # zxcvbn's dictionaries take 13 MiB, which a server must not keep for a single estimate.
    guesses = int(import_private_copy("zxcvbn").zxcvbn(key)["guesses"])
    gc.collect()
    return guesses
