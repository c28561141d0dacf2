"""Reads what a browser's `toJSON()` gives for a passkey (WebAuthn Level 3, 5.1.8).

Anybody may send anything: shapes, sizes and the one canonical encoding are checked before a byte is
decoded further.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

# In bytes. WebAuthn allows ids of 1023 bytes and user handles of 64; the other bounds are several
# times what browsers send.
MAX_ID = 1023
MAX_HANDLE = 64
MAX_CLIENT_DATA = 4096
MAX_AUTHENTICATOR_DATA = 4096
MAX_SIGNATURE = 1024
MAX_ATTESTATION = 8192
# The transports of WebAuthn Level 3, 5.8.4. Others that a browser names are left out.
TRANSPORTS = ("ble", "hybrid", "internal", "nfc", "smart-card", "usb")

BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Assertion(NamedTuple):
    """A signature with a passkey."""

    credential_id: bytes
    client_data: bytes
    authenticator_data: bytes
    signature: bytes
    # Whose passkey the authenticator says it is.
    user_handle: bytes | None


class Attestation(NamedTuple):
    """A new passkey."""

    credential_id: bytes
    client_data: bytes
    attestation_object: bytes
    transports: list[str]


def read_assertion(given: object) -> Assertion | None:
    """Returns the parts of an `AuthenticationResponseJSON`; None if it is none."""
    try:
        credential_id, response = _read(given)
        has_handle = response.get("userHandle") is not None
        return Assertion(
            credential_id,
            _bytes(response, "clientDataJSON", MAX_CLIENT_DATA),
            _bytes(response, "authenticatorData", MAX_AUTHENTICATOR_DATA),
            _bytes(response, "signature", MAX_SIGNATURE),
            _bytes(response, "userHandle", MAX_HANDLE) if has_handle else None,
        )
    except ValueError:
        return None


def read_attestation(given: object) -> Attestation | None:
    """Returns the parts of a `RegistrationResponseJSON`; None if it is none."""
    try:
        credential_id, response = _read(given)
        named = response.get("transports")
        return Attestation(
            credential_id,
            _bytes(response, "clientDataJSON", MAX_CLIENT_DATA),
            _bytes(response, "attestationObject", MAX_ATTESTATION),
            [each for each in TRANSPORTS if isinstance(named, list) and each in named],
        )
    except ValueError:
        return None


def text_of(value: bytes) -> str:
    """Encode bytes as WebAuthn does in JSON: base64url without padding."""
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _read(given: object) -> tuple[bytes, Mapping[str, Any]]:
    credential = _object(given)
    credential_id = _bytes(credential, "id", MAX_ID)
    if credential.get("rawId", credential["id"]) != credential["id"]:
        raise ValueError("rawId is not the id")
    if credential.get("type") != "public-key":
        raise ValueError("not a public key")
    return credential_id, _object(credential.get("response"))


def _object(given: Any) -> Mapping[str, Any]:
    if isinstance(given, dict):
        return cast("dict[str, Any]", given)
    raise ValueError("not an object")


def _bytes(given: Mapping[str, Any], name: str, maximum: int) -> bytes:
    text = given.get(name)
    # Four characters for three bytes.
    if not isinstance(text, str) or len(text) > maximum * 4 // 3 + 1:
        raise ValueError(f"{name} is not a string, or too long")
    if not BASE64URL.fullmatch(text):
        raise ValueError(f"{name} is not base64url")
    value = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # The last character may have bits that decoding ignores: two texts for the same bytes.
    if text_of(value) != text:
        raise ValueError(f"{name} is not canonical base64url")
    return value
