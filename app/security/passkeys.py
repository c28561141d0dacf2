"""Passkeys (WebAuthn Level 3): verifies new ones, and signatures with them."""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.helpers import (
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    encode_cbor,
    parse_attestation_object,
    parse_cbor,
    verify_signature,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.decode_credential_public_key import DecodedEC2PublicKey
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
from app.text.hosts import is_address, is_loopback
from app.text.origins import origin_of_url, scheme_and_host

EDDSA = COSEAlgorithmIdentifier.EDDSA
ES256 = COSEAlgorithmIdentifier.ECDSA_SHA_256
RS256 = COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256
# In the order of preference.
ALGORITHMS = (EDDSA, ES256, RS256)
# In bits. A key of 16,384 bits would take a hundred times as long to verify with.
RSA_BITS = range(2048, 4097)
RSA_EXPONENT = 65537
ED25519_PRIME = 2**255 - 19
# The y of the eight points whose order divides 8.
ED25519_SMALL_ORDER = frozenset(
    {
        0,
        1,
        ED25519_PRIME - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)
# In bytes. Shorter ones are not random enough (WebAuthn Level 3, 4, credential ID).
MIN_CREDENTIAL_ID = 16
P256_BYTES = 32
PUBLIC_KEY = PublicKeyCredentialType.PUBLIC_KEY
# The x of a point of P-256 is the SHA-256 of this text, so nobody knows its private key.
NO_KEY_TEXT = b"Portico: nobody has the private key of this point, 0"

LOCALHOST = "localhost"
# Nobody else can serve a page on the machine of the browser.
ANY_LOCALHOST = "http://localhost:*"
LOCAL_PAGE = re.compile(r"http://localhost(:[0-9]{1,5})?", re.ASCII)

log = logging.getLogger(__name__)


class NotAccepted(Exception):
    """A check that the library does not make has failed."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """For whom passkeys are made: a domain, and the origins of the pages that may use them."""

    id: str
    # Shown by browsers.
    name: str
    origins: tuple[str, ...]

    @classmethod
    def of(
        cls, name: str, urls: Sequence[str], rp_id: str | None, origins: Sequence[str]
    ) -> "RelyingParty":
        """Returns that of the frontend and the server at these URLs, unless it is given.

        Browsers accept no IP addresses; those of loopback are also called `localhost`.
        """
        hosts = [urlsplit(url).hostname or "" for url in urls]
        domain = rp_id or (LOCALHOST if is_loopback(hosts[0]) else hosts[0])
        own = [ANY_LOCALHOST] if domain == LOCALHOST else []
        own += [
            origin_of_url(url)
            for url, host in zip(urls, hosts, strict=True)
            if not (is_loopback(host) and is_address(host))
        ]
        if domain == LOCALHOST:
            own = [each for each in own if not LOCAL_PAGE.fullmatch(each)]
        return cls(domain, name, tuple(dict.fromkeys(origins or own)))

    def accepts(self, origin: str) -> bool:
        """Whether pages of this origin may use passkeys."""
        if origin == ANY_LOCALHOST:
            return False
        is_local = ANY_LOCALHOST in self.origins and LOCAL_PAGE.fullmatch(origin) is not None
        return origin in self.origins or is_local

    @property
    def is_usable(self) -> bool:
        """Whether browsers accept it: a domain, and pages of it that nobody can change on the way.

        Secure Contexts, W3C.
        """
        is_secure = any(
            each.startswith("https:") and self._is_within(each) for each in self.origins
        )
        return self.id == LOCALHOST or (is_secure and not is_address(self.id))

    @property
    def pages(self) -> tuple[str, ...]:
        """The origins that are websites with a name."""
        return tuple(each for each in self.origins if scheme_and_host(each)[0])

    @property
    def unrelated_origins(self) -> tuple[str, ...]:
        """The pages outside of the domain, which browsers accept only if a file there names them.

        WebAuthn Level 3, 5.11.
        """
        return tuple(each for each in self.pages if not self._is_within(each))

    @property
    def listed_origins(self) -> tuple[str, ...]:
        """The pages that this file names: none where no page needs it."""
        return self.pages if len(self.pages) > 1 or self.unrelated_origins else ()

    def _is_within(self, origin: str) -> bool:
        return f".{scheme_and_host(origin)[1]}".endswith(f".{self.id}")


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


def _no_key() -> bytes:
    """Returns a key that nobody has, as COSE_Key."""
    compressed = b"\x02" + sha256(NO_KEY_TEXT).digest()
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), compressed)
    numbers = point.public_numbers()
    x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
    return encode_cbor({1: 2, 3: int(ES256), -1: 1, -2: x, -3: y})


# Unknown passkeys are refused after the same work as wrong signatures.
NO_KEY = _no_key()


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
    _check_key(attested.credential_public_key)


def _check_key(public_key: bytes) -> None:
    """Check that a key is what its algorithm says, which the library finds out when it is used.

    With an attestation of `none` nothing has been signed with it yet.
    """
    decoded = decode_credential_public_key(public_key)
    key = decoded_public_key_to_cryptography(decoded)
    match decoded.alg:
        case COSEAlgorithmIdentifier.EDDSA:
            fits = isinstance(key, ed25519.Ed25519PublicKey) and _is_strong(key)
        case COSEAlgorithmIdentifier.ECDSA_SHA_256:
            # Others are accepted by the library modulo the prime: keys with two spellings.
            fits = (
                isinstance(decoded, DecodedEC2PublicKey)
                and isinstance(key, ec.EllipticCurvePublicKey)
                and isinstance(key.curve, ec.SECP256R1)
                and len(decoded.x) == len(decoded.y) == P256_BYTES
            )
        case COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256:
            fits = (
                isinstance(key, rsa.RSAPublicKey)
                and key.key_size in RSA_BITS
                and key.public_numbers().e == RSA_EXPONENT
            )
        case _:
            fits = False
    if not fits:
        raise NotAccepted("the key does not fit its algorithm")


def _is_strong(key: ed25519.Ed25519PublicKey) -> bool:
    """Whether a signature needs the private key: with points of a small order anybody makes some.

    `cryptography` accepts these, and numbers that are not reduced (RFC 8032, 5.1.3).
    """
    # The highest bit is the sign of the other coordinate.
    y = int.from_bytes(key.public_bytes_raw(), "little") & ~(1 << 255)
    return y < ED25519_PRIME and y not in ED25519_SMALL_ORDER


def _check_signature(assertion: Assertion, public_key: bytes) -> None:
    decoded = decode_credential_public_key(public_key)
    verify_signature(
        public_key=decoded_public_key_to_cryptography(decoded),
        signature_alg=decoded.alg,
        signature=assertion.signature,
        data=assertion.authenticator_data + sha256(assertion.client_data).digest(),
    )


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
