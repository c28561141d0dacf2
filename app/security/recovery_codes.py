"""Recovery codes: random, for people to keep on paper; only MACs of them are stored."""

import re
import secrets
import uuid
from collections.abc import Sequence

from app.security.keys import mac

CODES = 10
KEY_BYTES = 32
# 16 characters of 5 bits: 80 bits, which cannot be guessed.
CHARACTERS, GROUP = 16, 4
# Crockford's base32: no character looks like another one, and what people write instead is read.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
READ_AS = str.maketrans("OIL", "011")
FORM = re.compile(rf"[{ALPHABET}]{{{CHARACTERS}}}", re.ASCII)
SEPARATORS = re.compile(r"[\s\-\u2010-\u2015\u2212]+")
# With any separators; a longer text is not read.
MAX_CHARACTERS = 100


def make_key() -> bytes:
    """Returns the key of a set of codes."""
    return secrets.token_bytes(KEY_BYTES)


def make() -> list[str]:
    """Returns a set of codes, such as `3K7Q-8ZFM-11XV-PW0C`."""
    return [_in_groups("".join(map(secrets.choice, [ALPHABET] * CHARACTERS))) for _ in range(CODES)]


def hashes(key: bytes, user_id: uuid.UUID, codes: Sequence[str]) -> list[bytes]:
    """Returns what is stored for codes that `make` has made."""
    return [mac(key, user_id.bytes, read(code) or "") for code in codes]


def read(text: str) -> str | None:
    """Returns a code as it is hashed, however a person typed it; None if it is not a code."""
    if len(text) > MAX_CHARACTERS:
        return None
    code = SEPARATORS.sub("", text).upper().translate(READ_AS)
    return code if FORM.fullmatch(code) else None


def _in_groups(code: str) -> str:
    return "-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP))
