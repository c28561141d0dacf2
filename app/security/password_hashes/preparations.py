"""What each system makes of a password before it hashes it."""

import hashlib
import hmac
import unicodedata
from base64 import b64encode
from collections.abc import Callable

Prepare = Callable[[str], bytes]

BCRYPT_BYTES = 72
# What PHP's `trim` removes.
PHP_WHITE_SPACE = " \t\n\r\0\x0b"


def normalised(password: str) -> str:
    """Compose it (NFC, as RFC 8265 does), so that two keyboards spell one password alike."""
    return unicodedata.normalize("NFC", password)


def as_utf8(password: str) -> bytes:
    return password.encode()


def as_nfkc(password: str) -> bytes:
    return unicodedata.normalize("NFKC", password).encode()


def cut_to_72_bytes(password: str) -> bytes:
    """Drop what bcrypt does not read; other systems did, the library refuses longer passwords."""
    return password.encode()[:BCRYPT_BYTES]


def as_django_does(password: str) -> bytes:
    """Returns what `BCryptSHA256PasswordHasher` gives to bcrypt."""
    return hashlib.sha256(password.encode()).hexdigest().encode()


def as_wordpress_does(password: str) -> bytes:
    """Returns what WordPress 6.8 gives to bcrypt: trimmed, as `wp_authenticate` does too."""
    trimmed = password.strip(PHP_WHITE_SPACE).encode()
    return b64encode(hmac.digest(b"wp-sha384", trimmed, "sha384"))
