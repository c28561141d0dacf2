"""Passkeys (WebAuthn Level 3): verifies new ones, and signatures with them."""

import json
import logging
from hashlib import sha256
from typing import Any, NamedTuple

from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import (
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    parse_attestation_object,
    parse_cbor,
    verify_signature,
)
from webauthn.helpers.structs import (
    AttestationFormat,
    AuthenticationCredential,
    AuthenticatorAssertionResponse,
    AuthenticatorAttestationResponse,
    CredentialDeviceType,
    PublicKeyCredentialType,
    RegistrationCredential,
)

from app.security.authenticator_cbor import NotPlain, check_authenticator_data, check_item
from app.security.passkey_credentials import Assertion, Attestation, text_of
from app.security.passkey_keys import ALGORITHMS, NotAccepted, check_key
from app.security.relying_party import RelyingParty

# In bytes. Shorter ones are not random enough (WebAuthn Level 3, 4, credential ID).
MIN_CREDENTIAL_ID = 16
PUBLIC_KEY = PublicKeyCredentialType.PUBLIC_KEY
log = logging.getLogger(__name__)


class NewPasskey(NamedTuple):
    """What is stored of a passkey."""

    credential_id: bytes
    # As COSE_Key (RFC 9052, section 7).
    public_key: bytes
    sign_count: int
    # The model of the authenticator; zeros if it does not say.
    aaguid: str
    # Whether it may exist on several devices, and whether it does.
    is_backup_eligible: bool
    is_backed_up: bool


class Signature(NamedTuple):
    """What the authenticator says with a valid signature."""

    sign_count: int
    is_backup_eligible: bool
    is_backed_up: bool


def verify_attestation(
    party: RelyingParty, attestation: Attestation, challenge: bytes
) -> NewPasskey | None:
    """Verify a new passkey (WebAuthn Level 3, 7.1); None if it is not accepted.

    The user must have been verified. What authenticators attest about themselves is not asked for
    and not accepted, except with the new key itself, which browsers may pass on.
    """
    try:
        origin = _origin_of(party, attestation.client_data, challenge)
        _check_attestation(attestation.attestation_object, attestation.credential_id)
        response = AuthenticatorAttestationResponse(
            client_data_json=attestation.client_data,
            attestation_object=attestation.attestation_object,
        )
        verified = verify_registration_response(
            credential=RegistrationCredential(
                id=text_of(attestation.credential_id),
                raw_id=attestation.credential_id,
                response=response,
                type=PUBLIC_KEY,
            ),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=origin,
            require_user_verification=True,
            supported_pub_key_algs=list(ALGORITHMS),
        )
    except Exception as refused:  # noqa: BLE001 - the library raises errors of Python, too
        _log(refused)
        return None
    return NewPasskey(
        verified.credential_id,
        verified.credential_public_key,
        verified.sign_count,
        verified.aaguid,
        verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        verified.credential_backed_up,
    )


def verify_assertion(
    party: RelyingParty, assertion: Assertion, public_key: bytes, challenge: bytes
) -> Signature | None:
    """Verify a signature with a passkey (WebAuthn Level 3, 7.2); None if it is not accepted.

    The user must have been verified. The caller compares the user handle, the counter and whether
    the passkey can be backed up with what is stored. The signature is verified first, so that all
    refusals take the same time.
    """
    try:
        _check_signature(assertion, public_key)
        check_authenticator_data(assertion.authenticator_data)
        origin = _origin_of(party, assertion.client_data, challenge)
        response = AuthenticatorAssertionResponse(
            client_data_json=assertion.client_data,
            authenticator_data=assertion.authenticator_data,
            signature=assertion.signature,
        )
        verified = verify_authentication_response(
            credential=AuthenticationCredential(
                id=text_of(assertion.credential_id),
                raw_id=assertion.credential_id,
                response=response,
                type=PUBLIC_KEY,
            ),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=origin,
            credential_public_key=public_key,
            # The counter is compared by the statement that stores the new one.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception as refused:  # noqa: BLE001 - the library raises errors of Python, too
        _log(refused)
        return None
    return Signature(
        verified.new_sign_count,
        verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE,
        verified.credential_backed_up,
    )


def _log(refused: Exception) -> None:
    """Log why a passkey was refused. Texts of the library repeat what clients sent."""
    if isinstance(refused, NotAccepted | NotPlain):
        # For operators whose settings name the wrong pages.
        log.info("A passkey was not accepted: %s", refused)
    else:
        log.debug("A passkey was not accepted: %s", type(refused).__name__)


def _origin_of(party: RelyingParty, client_data: bytes, challenge: bytes) -> str:
    """Returns the page that asked; it must be accepted, and not in a frame of another page.

    The library accepts such frames, other encodings than UTF-8, and other spellings of the
    challenge.
    """
    data: dict[str, Any] = json.loads(client_data.decode())
    if data.get("challenge") != text_of(challenge):
        raise NotAccepted("asked for with another challenge")
    if data.get("crossOrigin", False) is not False or "topOrigin" in data:
        raise NotAccepted("asked for in a frame of another origin")
    origin = data["origin"]
    if not isinstance(origin, str) or not party.accepts(origin):
        raise NotAccepted("asked for by another origin")
    return origin


def _check_attestation(attestation_object: bytes, credential_id: bytes) -> None:
    """Keep from the library what it should not see: CBOR that is not plain, certificates, keys.

    It verifies what was signed with the new key itself before its size can be checked.
    """
    check_item(attestation_object)
    authenticator_data = parse_cbor(attestation_object)["authData"]
    if not isinstance(authenticator_data, bytes):
        raise NotAccepted("no authenticator data")
    check_authenticator_data(authenticator_data)
    parsed = parse_attestation_object(attestation_object)
    self_attested = parsed.fmt == AttestationFormat.PACKED and parsed.att_stmt.x5c is None
    if parsed.fmt != AttestationFormat.NONE and not self_attested:
        raise NotAccepted("attested with certificates")
    attested = parsed.auth_data.attested_credential_data
    if attested is None or attested.credential_id != credential_id:
        raise NotAccepted("another id is attested")
    if len(credential_id) < MIN_CREDENTIAL_ID:
        raise NotAccepted("the id is too short")
    check_key(attested.credential_public_key)


def _check_signature(assertion: Assertion, public_key: bytes) -> None:
    decoded = decode_credential_public_key(public_key)
    verify_signature(
        public_key=decoded_public_key_to_cryptography(decoded),
        signature_alg=decoded.alg,
        signature=assertion.signature,
        data=assertion.authenticator_data + sha256(assertion.client_data).digest(),
    )
