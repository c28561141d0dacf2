"""All formats that are accepted, and what is done with a hash of any of them."""

import re

from app.security.password_hashes.argon2_formats import ARGON2_FORMATS
from app.security.password_hashes.bcrypt_formats import BCRYPT_FORMATS
from app.security.password_hashes.derivations import Derivation
from app.security.password_hashes.passlib_formats import PASSLIB_FORMATS
from app.security.password_hashes.pbkdf2_formats import PBKDF2_FORMATS
from app.security.password_hashes.refusals import NO_SALT, NOT_A_HASH, UNKNOWN_FORMAT, Refused
from app.security.password_hashes.scrypt_formats import SCRYPT_FORMATS
from app.security.password_hashes.spellings import Format

# Of whatever format: no salt or output within it can be longer.
MAX_CHARACTERS = 1000
FORMATS: tuple[Format, ...] = (
    *PASSLIB_FORMATS,
    *BCRYPT_FORMATS,
    *PBKDF2_FORMATS,
    *SCRYPT_FORMATS,
    *ARGON2_FORMATS,
)
# What is known well enough to say why it is not accepted.
KNOWN_REFUSALS = (
    (r"(?i:\{(?:noop|plain|clear|cleartext)\})", "is a password in plain text"),
    (r"(?i:\{(?:sha|md5)\})[^{]", NO_SALT),
    (r"[!*]", "says that there is no password"),
)


def read_or_none(password_hash: str) -> Derivation | None:
    """Returns a hash to verify a password with; None where no password can match."""
    try:
        return read(password_hash)
    except Refused:
        return None


def read(password_hash: str) -> Derivation:
    """Read a hash of any format, and check it.

    Raises:
        Refused: it is of no known format, damaged, or asks for too much work.

    """
    if len(password_hash) > MAX_CHARACTERS or not _is_printable_ascii(password_hash):
        raise Refused(NOT_A_HASH)
    for each in FORMATS:
        if each.identify(password_hash):
            derivation = each.read(password_hash)
            derivation.check()
            return derivation
    raise Refused(_why_unknown(password_hash))


def _is_printable_ascii(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _why_unknown(password_hash: str) -> str:
    known = (why for pattern, why in KNOWN_REFUSALS if re.match(pattern, password_hash))
    return next(known, UNKNOWN_FORMAT)
