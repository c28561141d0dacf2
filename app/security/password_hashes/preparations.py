"""What each system makes of a password before it hashes it."""

import hashlib
import hmac
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

BCRYPT_BYTES = 72
# What PHP's `trim` removes.
PHP_WHITE_SPACE = " \t\n\r\0\x0b"


def normalised(password: str) -> str:
    """Compose it (NFC, as RFC 8265 does), so that two keyboards spell one password alike."""
    return unicodedata.normalize("NFC", password)


def _as_it_is(secret: bytes) -> bytes:
    return secret


@dataclass(frozen=True)
class Preparation:
    """What counts of a password, so that several spellings match, and what of that is hashed."""

    reduce: Callable[[str], bytes] = str.encode
    digest: Callable[[bytes], bytes] = _as_it_is

    def secret(self, password: str) -> bytes:
        """Returns what the function gets that makes the hash."""
        return self.digest(self.reduce(password))

    def keeps(self, password: str) -> bool:
        """Returns whether all of a password counts, as it was typed."""
        return self.reduce(password) == password.encode()


def _composed_for_compatibility(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode()


def _cut(password: str) -> bytes:
    return password.encode()[:BCRYPT_BYTES]


def _trimmed(password: str) -> bytes:
    return password.strip(PHP_WHITE_SPACE).encode()


def _sha_256(secret: bytes) -> bytes:
    return hashlib.sha256(secret).hexdigest().encode()


def _wordpress_hmac(secret: bytes) -> bytes:
    return b64encode(hmac.digest(b"wp-sha384", secret, "sha384"))


AS_UTF8 = Preparation()
AS_NFKC = Preparation(_composed_for_compatibility)
# Without what bcrypt does not read; other systems did so, the library refuses longer passwords.
CUT_TO_72_BYTES = Preparation(_cut)
# What `BCryptSHA256PasswordHasher` gives to bcrypt.
AS_DJANGO_DOES = Preparation(digest=_sha_256)
# What WordPress 6.8 gives to bcrypt: trimmed, as `wp_authenticate` does too.
AS_WORDPRESS_DOES = Preparation(_trimmed, _wordpress_hmac)
