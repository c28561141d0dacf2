"""Password hashes of other systems: which are read, and how much work one may ask for."""

import warnings
from collections.abc import Mapping
from typing import Any, cast

from passlib.context import CryptContext  # pyright: ignore[reportMissingTypeStubs] - it has none
from passlib.exc import PasslibHashWarning  # pyright: ignore[reportMissingTypeStubs] - it has none

OURS = "bcrypt_sha256"
# Verified once, at the first sign-in, and then replaced by ours.
FOREIGN = (
    "bcrypt",
    "argon2",
    "scrypt",
    "pbkdf2_sha256",
    "pbkdf2_sha512",
    "pbkdf2_sha1",
    "django_pbkdf2_sha256",
    "django_pbkdf2_sha1",
    "django_bcrypt_sha256",
    "django_bcrypt",
    "django_argon2",
    "django_salted_sha1",
    "sha512_crypt",
    "sha256_crypt",
    "phpass",
    "ldap_salted_sha1",
    "ldap_salted_sha512",
    "grub_pbkdf2_sha512",
    "cta_pbkdf2_sha1",
    "atlassian_pbkdf2_sha1",
)
# Some seconds at most: whoever brings a hash could otherwise have the server work for hours.
MOST_ROUNDS: Mapping[str, int] = {
    "bcrypt": 15,
    "bcrypt_sha256": 15,
    "django_bcrypt": 15,
    "django_bcrypt_sha256": 15,
    "argon2": 20,
    "django_argon2": 20,
    "scrypt": 18,
    "phpass": 20,
}
MOST_OTHER_ROUNDS = 5_000_000
MOST_MEMORY_KIB = 256 * 1024
MOST_PARALLEL = 16
MOST_BLOCK_SIZE = 16
MAX_CHARACTERS = 1000


def context_of(rounds: int) -> Any:
    """Everything that is read, ours first: whatever else verifies is replaced by it."""
    return CryptContext(
        schemes=[OURS, *FOREIGN],
        deprecated=list(FOREIGN),
        bcrypt_sha256__rounds=rounds,
        bcrypt__rounds=rounds,
    )


CONTEXT = context_of(4)


def fault_of(password_hash: str) -> str | None:
    """Say why a hash cannot be taken over; None where it can."""
    if len(password_hash) > MAX_CHARACTERS or not password_hash.isprintable():
        return "is no password hash"
    with warnings.catch_warnings():
        # What it finds odd about a hash that it can read does not matter here.
        warnings.simplefilter("ignore", PasslibHashWarning)
        return _fault_of(password_hash)


def _fault_of(password_hash: str) -> str | None:
    handler: Any = CONTEXT.identify(password_hash, resolve=True)
    if handler is None:
        return "is of no known format"
    try:
        # Django's wrap the hash of another format, which says how much work it is.
        wrapped = getattr(handler, "wrapped", None)
        text = handler._unwrap_hash(password_hash) if wrapped else password_hash  # noqa: SLF001
        parsed = (wrapped or handler).from_string(text)
    except (ValueError, TypeError):
        return "is damaged"
    return "would take too long to verify" if _asks_too_much(parsed, handler.name) else None


def _asks_too_much(parsed: Any, scheme: str) -> bool:
    most = {
        "rounds": MOST_ROUNDS.get(scheme, MOST_OTHER_ROUNDS),
        "memory_cost": MOST_MEMORY_KIB,
        "parallelism": MOST_PARALLEL,
        "block_size": MOST_BLOCK_SIZE,
    }
    return any(cast("int", getattr(parsed, name, 0) or 0) > limit for name, limit in most.items())
