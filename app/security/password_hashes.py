"""Password hashes of other systems: which are read, and how much work one may ask for."""

import warnings
from collections.abc import Mapping
from typing import Any

from passlib.context import CryptContext  # pyright: ignore[reportMissingTypeStubs] - it has none
from passlib.exc import (  # pyright: ignore[reportMissingTypeStubs] - it has none
    PasslibHashWarning,
)

OURS = "bcrypt_sha256"
# Verified once, at the first sign-in, and then replaced by ours. All that passlib reads, but for
# what has no salt, what cannot be told from other formats, and what needs the person's name.
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
    "django_salted_md5",
    "sha512_crypt",
    "sha256_crypt",
    "sha1_crypt",
    "sun_md5_crypt",
    "md5_crypt",
    "apr_md5_crypt",
    "phpass",
    "fshp",
    "ldap_bcrypt",
    "ldap_sha512_crypt",
    "ldap_sha256_crypt",
    "ldap_sha1_crypt",
    "ldap_md5_crypt",
    "ldap_pbkdf2_sha512",
    "ldap_pbkdf2_sha256",
    "ldap_pbkdf2_sha1",
    "ldap_salted_sha512",
    "ldap_salted_sha256",
    "ldap_salted_sha1",
    "ldap_salted_md5",
    "grub_pbkdf2_sha512",
    "cta_pbkdf2_sha1",
    "atlassian_pbkdf2_sha1",
    "mssql2005",
    "oracle11",
)
# Other systems have cut passwords to what bcrypt reads; the library refuses longer ones.
CUT = frozenset({"bcrypt", "django_bcrypt", "ldap_bcrypt"})
BCRYPT_BYTES = 72
# About two seconds of one core each: whoever brings a hash could otherwise have the server work for
# hours. Those that are in Python keep others waiting meanwhile, and may take less.
MOST_ROUNDS: Mapping[str, int] = {
    "bcrypt": 15,
    "bcrypt_sha256": 15,
    "django_bcrypt": 15,
    "django_bcrypt_sha256": 15,
    "ldap_bcrypt": 15,
    "phpass": 20,
    "sun_md5_crypt": 100_000,
    "sha1_crypt": 1_000_000,
    "sha256_crypt": 1_000_000,
    "sha512_crypt": 1_000_000,
    "ldap_sha1_crypt": 1_000_000,
    "ldap_sha256_crypt": 1_000_000,
    "ldap_sha512_crypt": 1_000_000,
    "fshp": 1_000_000,
}
MOST_PBKDF2_ROUNDS = 3_000_000
MOST_MEMORY_KIB = 256 * 1024
# What is written in all passes together.
MOST_WRITTEN_KIB = 2 * 1024 * 1024
MOST_PARALLEL = 16
MAX_CHARACTERS = 1000
# What passlib raises for texts that are none of its hashes after all.
UNREADABLE = (ValueError, TypeError, LookupError, AssertionError)


class Refused(ValueError):
    """A hash that cannot be taken over; why completes the sentence "This hash …"."""


def context_of(rounds: int) -> Any:
    """Everything that is read, ours first: whatever else verifies is replaced by it."""
    return CryptContext(
        schemes=[OURS, *FOREIGN],
        deprecated=list(FOREIGN),
        bcrypt_sha256__rounds=rounds,
        bcrypt__rounds=rounds,
    )


CONTEXT = context_of(4)


def taken_over(password_hash: str) -> str:
    """Give a hash of another system as it can be kept.

    Raises:
        Refused: it is none, is damaged, or asks for too much work.

    """
    if len(password_hash) > MAX_CHARACTERS or not (
        password_hash.isascii() and password_hash.isprintable()
    ):
        raise Refused("is no password hash")
    handler: Any = CONTEXT.identify(password_hash, resolve=True)
    if handler is None:
        raise Refused("is of no known format")
    try:
        kept = _put_right(handler, password_hash)
        parsed = _parsed(handler, kept)
    except (*UNREADABLE, PasslibHashWarning):
        raise Refused("is damaged") from None
    if _asks_too_much(parsed, handler.name):
        raise Refused("would take too long to verify")
    return kept


def matches(context: Any, secret: str, password_hash: str) -> bool:
    """Verify a secret. A hash that cannot be read, after all, matches none."""
    cut = context.identify(password_hash) in CUT
    try:
        return context.verify(secret.encode()[:BCRYPT_BYTES] if cut else secret, password_hash)
    except UNREADABLE:
        return False


def _put_right(handler: Any, password_hash: str) -> str:
    """Clear bits that mean nothing and that some old libraries set."""
    if handler.name != "bcrypt":
        return password_hash
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PasslibHashWarning)
        return handler.normhash(password_hash)


def _parsed(handler: Any, password_hash: str) -> Any:
    """Read a hash, as strictly as verifying it will."""
    # Django's and LDAP's wrap the hash of another format, which says how much work it is.
    wrapped, text = getattr(handler, "wrapped", None), password_hash
    if wrapped is not None:
        text = (handler.orig_prefix or "") + password_hash.removeprefix(handler.prefix)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PasslibHashWarning)
        parsed = (wrapped or handler).from_string(text)
    if parsed.checksum is None:
        raise ValueError("these are settings of a hash and not one")
    if parsed.name == "argon2" and parsed.to_string() != text:
        raise ValueError("the library that verifies it reads no other spelling")
    return parsed


def _asks_too_much(parsed: Any, scheme: str) -> bool:
    rounds, parallel = getattr(parsed, "rounds", 0) or 0, getattr(parsed, "parallelism", 1) or 1
    if parsed.name == "scrypt":
        # RFC 7914: 128 bytes, times the block size, times the cost.
        memory = parsed.block_size << min(rounds, 64) >> 3
        return _too_large(memory, memory * parallel * 4, parallel)
    if parsed.name == "argon2":
        return _too_large(parsed.memory_cost, parsed.memory_cost * rounds, parallel)
    return rounds > MOST_ROUNDS.get(scheme, MOST_PBKDF2_ROUNDS)


def _too_large(memory_kib: int, written_kib: int, parallel: int) -> bool:
    return (
        memory_kib > MOST_MEMORY_KIB or written_kib > MOST_WRITTEN_KIB or parallel > MOST_PARALLEL
    )
