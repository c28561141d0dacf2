"""Encryption of page cursors: AES-SIV (RFC 5297) under keys derived from SECRET_KEY.

A cursor ends up in the URLs, logs and analytics of frontends, and may hold an email address.
AES-SIV is deterministic: a position always has the same cursor, so clients can cache by it.
"""

from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from app.security.keys import Secrets


class CursorCipher:
    """Encrypts the positions of one order, and decrypts only these.

    The first key encrypts, all of them decrypt: cursors survive a change of SECRET_KEY.
    """

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._ciphers = [AESSIV(key) for key in keys]

    def write(self, position: bytes) -> bytes:
        return self._ciphers[0].encrypt(position, None)

    def read(self, encoded: bytes) -> bytes | None:
        """Returns the position; None if this server did not encrypt it for this order."""
        decrypted = (_decrypted(cipher, encoded) for cipher in self._ciphers)
        return next((position for position in decrypted if position is not None), None)


class CursorCiphers:
    """One cipher for each order, created when first used.

    Each has its own key, so a cursor of one order is invalid in another.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._ciphers: dict[str, CursorCipher] = {}

    def of(self, order: str) -> CursorCipher:
        """Returns the cipher of an order. It is kept, so `order` must not come from a client."""
        cipher = self._ciphers.get(order)
        if cipher is None:
            cipher = CursorCipher(self._secrets.derive(f"cursor/{order}"))
            self._ciphers[order] = cipher
        return cipher


def _decrypted(cipher: AESSIV, encoded: bytes) -> bytes | None:
    try:
        return cipher.decrypt(encoded, None)
    except InvalidTag:
        return None
