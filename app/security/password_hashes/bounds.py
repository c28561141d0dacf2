"""How much work one verification may take, and what a hash needs to be secure enough to accept.

The bounds allow about two seconds of one core: an imported hash could otherwise make the server
work for hours.
"""

from app.security.password_hashes.refusals import (
    DAMAGED,
    MIN_OUTPUT_BYTES,
    NO_SALT,
    SHORT_OUTPUT,
    TOO_MUCH_WORK,
    UnusableHash,
)

MAX_BCRYPT_COST = 15
# For Portico's own hashes, whose cost the operator chooses.
MAX_OWN_BCRYPT_COST = 16
MAX_PBKDF2_ROUNDS = 3_000_000
MAX_MEMORY_KIB = 256 * 1024
# The memory written in all passes together.
MAX_WRITTEN_KIB = 2 * 1024 * 1024
MAX_PARALLELISM = 16
# Of scrypt; in practice at most 32 is used. Above 1024 its PBKDF2 takes longer than the rest.
MAX_BLOCK_SIZE = 1024


def check_rounds(rounds: int, maximum: int) -> None:
    if rounds < 1:
        raise UnusableHash(DAMAGED)
    if rounds > maximum:
        raise UnusableHash(TOO_MUCH_WORK)


def check_memory(memory_kib: int, written_kib: int, parallelism: int) -> None:
    if (
        memory_kib > MAX_MEMORY_KIB
        or written_kib > MAX_WRITTEN_KIB
        or parallelism > MAX_PARALLELISM
    ):
        raise UnusableHash(TOO_MUCH_WORK)


def check_block_size(block_size: int) -> None:
    if block_size > MAX_BLOCK_SIZE:
        raise UnusableHash(TOO_MUCH_WORK)


def check_salt(salt: bytes) -> None:
    if not salt:
        raise UnusableHash(NO_SALT)


def check_output(output: bytes) -> None:
    """Refuse an output of less than 128 bits.

    With an output of one byte, every 256th password would match. 128 bits are what NIST SP 800-132
    (5.3) requires of a derived key, and the length of the shortest hash in use (MD5).
    """
    if not output:
        raise UnusableHash(DAMAGED)
    if len(output) < MIN_OUTPUT_BYTES:
        raise UnusableHash(SHORT_OUTPUT)
