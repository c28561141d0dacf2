"""Time-based one-time passwords (RFC 6238), as authenticator apps make them."""

import re
import secrets
from base64 import b32encode
from datetime import datetime

from cryptography.hazmat.primitives import constant_time
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

# 160 bits, the length of the output of the hash (RFC 4226, 4, R6).
SECRET_BYTES = 20
# Apps support no other number of digits, period and hash with certainty.
DIGITS = 6
PERIOD_SECONDS = 30
# Codes of the period before and after are accepted too (RFC 6238, 5.2).
DRIFT_STEPS = 1
FORM = re.compile(rf"[0-9]{{{DIGITS}}}", re.ASCII)


def make_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """Returns the secret in base32, for people who type it into an app."""
    return b32encode(secret).decode()


def otpauth_uri(secret: bytes, account: str, issuer: str) -> str:
    """Returns the URI that is shown as a QR code (Key Uri Format).

    A colon separates the issuer from the account, so the issuer is written without.
    """
    name = " ".join(issuer.replace(":", " ").split())
    uri = _totp(secret).get_provisioning_uri(account, name or None)
    # The library writes spaces as `+`, which apps show as it is. A plus is `%2B`.
    return uri.replace("+", "%20")


def matching_step(secret: bytes, code: str, now: datetime) -> int | None:
    """Returns the time step of a code that is valid now; None if it is wrong.

    A step may match only once: the caller stores it, and accepts later ones only. The work is the
    same for each code.
    """
    current = int(now.timestamp()) // PERIOD_SECONDS
    steps = range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1)
    given = code.encode(errors="replace")
    matching = [each for each in steps if constant_time.bytes_eq(code_at(secret, each), given)]
    return matching[-1] if matching else None


def is_code_of(secret: bytes, step: int, code: str) -> bool:
    """Whether a code is that of a time step."""
    return constant_time.bytes_eq(code_at(secret, step), code.encode(errors="replace"))


def code_at(secret: bytes, step: int) -> bytes:
    """Returns the code of a time step."""
    return _totp(secret).generate(step * PERIOD_SECONDS)


def is_code(text: str) -> bool:
    """Whether a text has the form of a code, so that it may be a guess."""
    return bool(FORM.fullmatch(normalised(text)))


def normalised(code: str) -> str:
    """Remove the spaces with which apps show a code."""
    return "".join(code.split())


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), PERIOD_SECONDS)  # noqa: S303 - what apps compute
