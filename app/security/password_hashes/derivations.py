"""The key derivation functions, each with the settings, salt and output of one parsed hash.

Each `check` refuses settings out of bounds, each `matches` verifies a password. OpenSSL,
argon2-cffi and bcrypt do the work and release the interpreter lock meanwhile.
"""

import hashlib
from dataclasses import dataclass
from hmac import compare_digest
from typing import Protocol

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR

from app.security.password_hashes.bounds import (
    MAX_BCRYPT_COST,
    MAX_PBKDF2_ROUNDS,
    check_block_size,
    check_memory,
    check_output,
    check_rounds,
    check_salt,
)
from app.security.password_hashes.passlib_handlers import UNREADABLE, handler_of
from app.security.password_hashes.preparations import UTF8, Preparation
from app.security.password_hashes.refusals import DAMAGED, UnusableHash

DIGESTS = ("sha1", "sha224", "sha256", "sha384", "sha512")
BCRYPT = handler_of("bcrypt")
ARGON2_MIN_SALT_BYTES = 8
ARGON2_VERSIONS = (0x10, 0x13)


class Derivation(Protocol):
    """A parsed hash."""

    def check(self) -> None:
        """Refuse a hash that must not be verified.

        Raises:
            UnusableHash: it takes too much work, or its output is too short.

        """
        ...

    def matches(self, password: str) -> bool:
        """Verify a password the way the system that made the hash does."""
        ...

    def uses_all_of(self, password: str) -> bool:
        """Returns whether the hash depends on every byte of the password as it was typed."""
        ...


class WholePassword:
    """A hash that depends on every byte of the password, whatever the password is."""

    def uses_all_of(self, password: str) -> bool:  # noqa: ARG002 - true of any password
        return True


@dataclass(frozen=True)
class Pbkdf2(WholePassword):
    """PBKDF2 with HMAC (RFC 8018, section 5.2)."""

    digest: str
    rounds: int
    salt: bytes
    output: bytes

    def check(self) -> None:
        if self.digest not in DIGESTS:
            raise UnusableHash("uses a digest that is not supported")
        check_rounds(self.rounds, MAX_PBKDF2_ROUNDS)
        check_salt(self.salt)
        check_output(self.output)

    def matches(self, password: str) -> bool:
        # Each further block takes all rounds again and adds nothing to the check of the first one.
        block = self.output[: hashlib.new(self.digest).digest_size]
        derived = hashlib.pbkdf2_hmac(
            self.digest, password.encode(), self.salt, self.rounds, len(block)
        )
        return compare_digest(derived, block)


@dataclass(frozen=True)
class ScryptSettings:
    """The cost (N), block size (r) and parallelism (p) of scrypt (RFC 7914, section 2)."""

    cost: int
    block_size: int
    parallelism: int

    def check(self) -> None:
        if self.cost < 2 or self.cost.bit_count() != 1 or not self.block_size * self.parallelism:
            raise UnusableHash(DAMAGED)
        if self.cost.bit_length() > 16 * self.block_size:
            raise UnusableHash("has a cost that scrypt does not allow for its block size")
        check_block_size(self.block_size)
        memory = self.block_size * max(self.cost, self.parallelism) >> 3
        check_memory(memory, memory * self.parallelism * 4, self.parallelism)

    def derive(self, secret: bytes, salt: bytes, length: int) -> bytes:
        return hashlib.scrypt(
            secret,
            salt=salt,
            n=self.cost,
            r=self.block_size,
            p=self.parallelism,
            # The exact amount that OpenSSL computes.
            maxmem=128 * self.block_size * (self.cost + self.parallelism + 2),
            dklen=length,
        )


@dataclass(frozen=True)
class Scrypt:
    settings: ScryptSettings
    salt: bytes
    output: bytes
    preparation: Preparation = UTF8

    def check(self) -> None:
        self.settings.check()
        check_salt(self.salt)
        check_output(self.output)

    def matches(self, password: str) -> bool:
        secret = self.preparation.secret(password)
        return compare_digest(
            self.settings.derive(secret, self.salt, len(self.output)), self.output
        )

    def uses_all_of(self, password: str) -> bool:
        return self.preparation.uses_all_of(password)


@dataclass(frozen=True)
class FirebaseScrypt(WholePassword):
    """Firebase's variant: the key that scrypt derives encrypts the project's signer key.

    Reference: the repository firebase/scrypt.
    """

    settings: ScryptSettings
    salt: bytes
    signer_key: bytes
    output: bytes

    def check(self) -> None:
        self.settings.check()
        check_salt(self.salt)
        check_output(self.output)
        if len(self.output) != len(self.signer_key):
            raise UnusableHash(DAMAGED)

    def matches(self, password: str) -> bool:
        key = self.settings.derive(password.encode(), self.salt, 32)
        encryptor = Cipher(AES256(key), CTR(bytes(16))).encryptor()
        return compare_digest(encryptor.update(self.signer_key), self.output)


@dataclass(frozen=True)
class Argon2(WholePassword):
    """Argon2 (RFC 9106); memory in KiB."""

    variant: Type
    version: int
    memory: int
    passes: int
    parallelism: int
    salt: bytes
    output: bytes

    def check(self) -> None:
        if self.version not in ARGON2_VERSIONS or not self.passes * self.parallelism:
            raise UnusableHash(DAMAGED)
        if self.memory < 8 * self.parallelism:
            raise UnusableHash("has less memory than Argon2 allows for its parallelism")
        check_memory(self.memory, self.memory * self.passes, self.parallelism)
        check_salt(self.salt)
        if len(self.salt) < ARGON2_MIN_SALT_BYTES:
            raise UnusableHash(f"has a salt of less than {ARGON2_MIN_SALT_BYTES} bytes")
        check_output(self.output)

    def matches(self, password: str) -> bool:
        derived = hash_secret_raw(
            password.encode(),
            self.salt,
            time_cost=self.passes,
            memory_cost=self.memory,
            parallelism=self.parallelism,
            hash_len=len(self.output),
            type=self.variant,
            version=self.version,
        )
        return compare_digest(derived, self.output)


@dataclass(frozen=True)
class Bcrypt:
    """bcrypt; `text` is `$2b$…` with the unused bits of salt and output cleared."""

    text: str
    preparation: Preparation

    def check(self) -> None:
        try:
            parsed = BCRYPT.from_string(self.text)
        except UNREADABLE:
            raise UnusableHash(DAMAGED) from None
        check_rounds(parsed.rounds, MAX_BCRYPT_COST)

    def matches(self, password: str) -> bool:
        secret = self.preparation.secret(password)
        # Implementations differ in how they treat a NUL; no keyboard types one.
        return b"\0" not in secret and BCRYPT.verify(secret, self.text)

    def uses_all_of(self, password: str) -> bool:
        return self.preparation.uses_all_of(password)
