"""Secrets of factors, sealed under SECRET_KEY: they are needed again, so they cannot be hashed."""

from dataclasses import dataclass
from typing import NamedTuple

from cryptography.fernet import InvalidToken, MultiFernet

from app.errors import Unavailable
from app.security.keys import Secrets

MISSING_SECRET = "a factor is sealed with a SECRET_KEY that this server lacks"  # noqa: S105 - a message


class Sealed(NamedTuple):
    """An encrypted secret, and the fingerprint of the SECRET_KEY that encrypted it."""

    text: str
    sealed_with: bytes


@dataclass(frozen=True, slots=True)
class FactorSecrets:
    cipher: MultiFernet
    # Of the secret that seals.
    fingerprint: bytes
    # Of all secrets that open.
    fingerprints: tuple[bytes, ...]

    @classmethod
    def of(cls, secrets: Secrets) -> "FactorSecrets":
        fingerprints = tuple(secrets.fingerprints)
        return cls(secrets.sealer("factor-seal"), secrets.sealing_fingerprint, fingerprints)

    def seal(self, plain: bytes) -> Sealed:
        return Sealed(self.cipher.encrypt(plain).decode("ascii"), self.fingerprint)

    def open(self, sealed: str) -> bytes:
        """Decrypt a secret.

        Raises:
            Unavailable: this server lacks the secret that sealed it. Another one may have it.

        """
        try:
            return self.cipher.decrypt(sealed)
        except InvalidToken:
            raise Unavailable(MISSING_SECRET) from None
