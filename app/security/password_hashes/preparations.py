"""What each system does to a password before hashing it."""

import hashlib
import hmac
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

BCRYPT_BYTES = 72
# The characters that PHP's `trim` removes.
PHP_WHITE_SPACE = " \t\n\r\0\x0b"


def normalised(password: str) -> str:
    """Normalise to NFC (RFC 8265, 4.2.2): keyboards differ in how they compose a character."""
    return unicodedata.normalize("NFC", password)


def _unchanged(secret: bytes) -> bytes:
    return secret


@dataclass(frozen=True)
class Preparation:
    """Which bytes of a password count (`reduce`), and how they are hashed beforehand (`digest`)."""

    reduce: Callable[[str], bytes] = str.encode
    digest: Callable[[bytes], bytes] = _unchanged

    def secret(self, password: str) -> bytes:
        """Returns the input of the key derivation function."""
        return self.digest(self.reduce(password))

    def uses_all_of(self, password: str) -> bool:
        """Returns whether every byte of a password counts as it was typed."""
        return self.reduce(password) == password.encode()


def _nfkc(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode()


def _cut(password: str) -> bytes:
    return password.encode()[:BCRYPT_BYTES]


def _trimmed(password: str) -> bytes:
    return password.strip(PHP_WHITE_SPACE).encode()


def _sha_256(secret: bytes) -> bytes:
    return hashlib.sha256(secret).hexdigest().encode()


def _wordpress_hmac(secret: bytes) -> bytes:
    return b64encode(hmac.digest(b"wp-sha384", secret, "sha384"))


UTF8 = Preparation()
NFKC = Preparation(_nfkc)
# bcrypt reads 72 bytes. Other systems cut what is longer, the library refuses it.
CUT_TO_72_BYTES = Preparation(_cut)
# What Django's `BCryptSHA256PasswordHasher` passes to bcrypt.
DJANGO_SHA256 = Preparation(digest=_sha_256)
# What WordPress 6.8 passes to bcrypt; `wp_authenticate` trims the password too.
WORDPRESS_HMAC = Preparation(_trimmed, _wordpress_hmac)
