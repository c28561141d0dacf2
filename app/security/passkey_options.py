"""What browsers are asked to do with passkeys (WebAuthn Level 3, 5.4 and 5.5)."""

from collections.abc import Sequence
from typing import Any

from app.security.passkey_credentials import text_of
from app.security.passkey_keys import ALGORITHMS
from app.security.relying_party import RelyingParty


def creation_options(
    party: RelyingParty,
    challenge: bytes,
    user: tuple[bytes, str, str],
    excluded: Sequence[dict[str, Any]],
    timeout_seconds: int,
) -> dict[str, Any]:
    """Returns what the browser's `parseCreationOptionsFromJSON` takes (WebAuthn Level 3, 5.4).

    `user`: the user handle, the name of the account, and the name of the person.
    """
    handle, name, display_name = user
    return {
        "rp": {"id": party.id, "name": party.name},
        "user": {"id": text_of(handle), "name": name, "displayName": display_name},
        "challenge": text_of(challenge),
        "pubKeyCredParams": [{"type": "public-key", "alg": int(each)} for each in ALGORITHMS],
        "timeout": timeout_seconds * 1000,
        "excludeCredentials": list(excluded),
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
    }


def request_options(
    party: RelyingParty,
    challenge: bytes,
    allowed: Sequence[dict[str, Any]],
    timeout_seconds: int,
) -> dict[str, Any]:
    """Returns what `parseRequestOptionsFromJSON` takes. No passkey allowed: whichever fits."""
    return {
        "challenge": text_of(challenge),
        "timeout": timeout_seconds * 1000,
        "rpId": party.id,
        "allowCredentials": list(allowed),
        "userVerification": "required",
    }


def descriptor(credential_id: bytes, transports: Sequence[str]) -> dict[str, Any]:
    """Returns what names a passkey to browsers."""
    return {
        "type": "public-key",
        "id": text_of(credential_id),
        "transports": list(transports),
    }
