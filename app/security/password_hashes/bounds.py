"""How much work one verification may take, and what a hash needs to be worth verifying.

The bounds come to about two seconds of one core: whoever brings a hash could otherwise have the
server work for hours.
"""

from app.security.password_hashes.refusals import (
    DAMAGED,
    MIN_OUTPUT_BYTES,
    NO_SALT,
    SHORT_OUTPUT,
    TOO_MUCH_WORK,
    Refused,
)

MAX_BCRYPT_COST = 15
# Of our own hashes, whose cost the operator chooses.
MAX_OWN_BCRYPT_COST = 16
MAX_PBKDF2_ROUNDS = 3_000_000
MAX_MEMORY_KIB = 256 * 1024
# What is written in all passes together.
MAX_WRITTEN_KIB = 2 * 1024 * 1024
MAX_PARALLELISM = 16
# Of scrypt, in which nobody uses more than 32; beyond, its PBKDF2 takes longer than the rest.
MAX_BLOCK_SIZE = 1024


def check_rounds(rounds: int, most: int) -> None:
    if rounds < 1:
        raise Refused(DAMAGED)
    if rounds > most:
        raise Refused(TOO_MUCH_WORK)


def check_memory(memory_kib: int, written_kib: int, parallelism: int) -> None:
    if (
        memory_kib > MAX_MEMORY_KIB
        or written_kib > MAX_WRITTEN_KIB
        or parallelism > MAX_PARALLELISM
    ):
        raise Refused(TOO_MUCH_WORK)


def check_block_size(block_size: int) -> None:
    if block_size > MAX_BLOCK_SIZE:
        raise Refused(TOO_MUCH_WORK)


def check_salt(salt: bytes) -> None:
    if not salt:
        raise Refused(NO_SALT)


def check_output(output: bytes) -> None:
    """Refuse an output of less than 128 bits.

    Of one byte, every 256th password would match. 128 bits are what NIST SP 800-132 (5.3) asks of a
    derived key, and what the shortest hash in use (MD5) has.
    """
    if not output:
        raise Refused(DAMAGED)
    if len(output) < MIN_OUTPUT_BYTES:
        raise Refused(SHORT_OUTPUT)
