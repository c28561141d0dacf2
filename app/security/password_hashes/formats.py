"""All accepted formats, and the function that parses a hash in any of them."""

import re

from app.security.password_hashes.argon2_formats import ARGON2_FORMATS
from app.security.password_hashes.bcrypt_formats import BCRYPT_FORMATS
from app.security.password_hashes.derivations import Derivation
from app.security.password_hashes.passlib_formats import PASSLIB_FORMATS
from app.security.password_hashes.pbkdf2_formats import PBKDF2_FORMATS
from app.security.password_hashes.refusals import NO_SALT, NOT_A_HASH, UNKNOWN_FORMAT, UnusableHash
from app.security.password_hashes.regex_format import Format
from app.security.password_hashes.scrypt_formats import SCRYPT_FORMATS

# Longer than any hash in use. Salt and output are bounded by it too.
MAX_CHARACTERS = 1000
FORMATS: tuple[Format, ...] = (
    *PASSLIB_FORMATS,
    *BCRYPT_FORMATS,
    *PBKDF2_FORMATS,
    *SCRYPT_FORMATS,
    *ARGON2_FORMATS,
)
# Texts that are recognised, and why they are not accepted.
KNOWN_REFUSALS = (
    (r"(?i:\{(?:noop|plain|clear|cleartext)\})", "is a password in plain text"),
    (r"(?i:\{(?:sha|md5)\})[^{]", NO_SALT),
    (r"[!*]", "says that there is no password"),
)


def read_or_none(password_hash: str) -> Derivation | None:
    """Returns the parsed hash; None if it is unusable, so that no password can match."""
    try:
        return read(password_hash)
    except UnusableHash:
        return None


def read(password_hash: str) -> Derivation:
    """Parse a hash in any accepted format, and check it.

    Raises:
        UnusableHash: its format is unknown, it is damaged, or it takes too much work.

    """
    if len(password_hash) > MAX_CHARACTERS or not _is_printable_ascii(password_hash):
        raise UnusableHash(NOT_A_HASH)
    for each in FORMATS:
        if each.identify(password_hash):
            derivation = each.read(password_hash)
            derivation.check()
            return derivation
    raise UnusableHash(_why_unknown(password_hash))


def _is_printable_ascii(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _why_unknown(password_hash: str) -> str:
    known = (why for pattern, why in KNOWN_REFUSALS if re.match(pattern, password_hash))
    return next(known, UNKNOWN_FORMAT)
