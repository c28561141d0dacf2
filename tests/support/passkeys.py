"""A software authenticator, and what a user does with its passkeys."""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from app.testing.clients import Api

BEGIN_REGISTRATION = "mutation { beginPasskeyRegistration { ceremony publicKey expiresAt } }"
FINISH_REGISTRATION = """
mutation ($input: FinishPasskeyRegistrationInput!) { finishPasskeyRegistration(input: $input) {
  __typename
  ... on FactorAdded { recoveryCodes factor { id ... on Passkey { name isBackedUp } } }
  ... on InvalidInput { issues { path code } }
  ... on Problem { message }
} }
"""
BEGIN_SIGN_IN = "mutation { beginPasskeySignIn { ceremony publicKey expiresAt } }"
SIGN_IN = """
mutation ($input: SignInWithPasskeyInput!) { signInWithPasskey(input: $input) {
  __typename
  ... on SignedIn {
    user { email }
    session { id methods }
    tokens { accessToken refreshToken deviceToken }
  }
  ... on Problem { message }
} }
"""
BEGIN_CHALLENGE = """
mutation ($token: String!) { beginPasskeyChallenge(input: {token: $token}) {
  __typename ... on PasskeyOptions { ceremony publicKey }
} }
"""
BEGIN_STEP_UP = "mutation { beginPasskeyStepUp { ceremony publicKey } }"

# Flags of authenticator data (WebAuthn Level 3, 6.1).
PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40
USUAL = PRESENT | VERIFIED | ELIGIBLE | BACKED_UP
ORIGIN = "http://localhost:8000"
RP_ID = "localhost"
EDDSA, ES256, RS256 = -8, -7, -257

Json = dict[str, Any]


def encode(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "==")


@dataclass(slots=True)
class Credential:
    """A passkey in the authenticator: one of a user, of one site."""

    algorithm: int
    user_handle: bytes
    counter: int = 0
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    key: Any = field(init=False)

    def __post_init__(self) -> None:
        make: dict[int, Callable[[], Any]] = {
            ES256: lambda: ec.generate_private_key(ec.SECP256R1()),
            EDDSA: ed25519.Ed25519PrivateKey.generate,
            RS256: lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        }
        self.key = make[self.algorithm]()

    @property
    def cose_key(self) -> bytes:
        """The public key (RFC 9052, section 7)."""
        public = self.key.public_key()
        if self.algorithm == EDDSA:
            return cbor2.dumps({1: 1, 3: EDDSA, -1: 6, -2: public.public_bytes_raw()})
        numbers = public.public_numbers()
        if self.algorithm == RS256:
            n, e = numbers.n.to_bytes(256, "big"), numbers.e.to_bytes(3, "big")
            return cbor2.dumps({1: 3, 3: RS256, -1: n, -2: e})
        x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
        return cbor2.dumps({1: 2, 3: ES256, -1: 1, -2: x, -3: y})

    def sign(self, data: bytes) -> bytes:
        if self.algorithm == EDDSA:
            return self.key.sign(data)
        if self.algorithm == RS256:
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))


@dataclass(slots=True)
class SoftwareAuthenticator:
    """What a browser and its authenticator do. Each field can be what it should not be."""

    origin: str = ORIGIN
    rp_id: str = RP_ID
    flags: int = USUAL
    algorithm: int = ES256
    aaguid: bytes = bytes(16)
    # Whether its passkeys count their signatures.
    counts: bool = False
    # What else is in the client data, or instead.
    client_data: Json = field(default_factory=Json)
    credentials: list[Credential] = field(default_factory=list[Credential])

    def create(self, options: Json) -> Json:
        """Returns what `toJSON()` gives after `navigator.credentials.create()`."""
        known = {decode(each["id"]) for each in options["excludeCredentials"]}
        assert not known & {each.id for each in self.credentials}, "InvalidStateError"
        credential = Credential(self.algorithm, decode(options["user"]["id"]))
        self.credentials.append(credential)
        attested = self.aaguid + len(credential.id).to_bytes(2, "big") + credential.id
        data = self.data(credential, ATTESTED) + attested + credential.cose_key
        return self.attestation(credential, data, self.client("create", options["challenge"]))

    def attestation(self, credential: Credential, data: bytes, client_data: bytes) -> Json:
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": encode(client_data),
            "attestationObject": encode(attestation),
            "transports": ["internal", "hybrid"],
        }
        return self.public_key_credential(credential, response)

    def get(self, options: Json, credential: Credential | None = None) -> Json:
        """Returns what `toJSON()` gives after `navigator.credentials.get()`."""
        allowed = {decode(each["id"]) for each in options["allowCredentials"]}
        fitting = [each for each in self.credentials if not allowed or each.id in allowed]
        credential = credential or fitting[-1]
        data = self.data(credential)
        return self.assertion(credential, data, self.client("get", options["challenge"]))

    def assertion(self, credential: Credential, data: bytes, client_data: bytes) -> Json:
        response = {
            "clientDataJSON": encode(client_data),
            "authenticatorData": encode(data),
            "signature": encode(credential.sign(data + sha256(client_data).digest())),
            "userHandle": encode(credential.user_handle),
        }
        return self.public_key_credential(credential, response)

    def public_key_credential(self, credential: Credential, response: Json) -> Json:
        name = encode(credential.id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "response": response,
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
        }

    def data(self, credential: Credential, flags: int = 0) -> bytes:
        credential.counter += self.counts
        counter = credential.counter.to_bytes(4, "big")
        return sha256(self.rp_id.encode()).digest() + bytes([self.flags | flags]) + counter

    def client(self, kind: str, challenge: str) -> bytes:
        usual = {"type": f"webauthn.{kind}", "challenge": challenge, "origin": self.origin}
        return json.dumps({**usual, "crossOrigin": False, **self.client_data}).encode()


async def register(client: Api, authenticator: SoftwareAuthenticator, **given: str) -> Json:
    """Register a passkey, and return the answer."""
    begun = (await client(BEGIN_REGISTRATION))["beginPasskeyRegistration"]
    created = authenticator.create(begun["publicKey"])
    sent = {"ceremony": begun["ceremony"], "credential": created, **given}
    return (await client(FINISH_REGISTRATION, input=sent))["finishPasskeyRegistration"]


async def begin_sign_in(guest: Api) -> Json:
    return (await guest(BEGIN_SIGN_IN))["beginPasskeySignIn"]


async def sign_in(guest: Api, authenticator: SoftwareAuthenticator) -> Json:
    """Sign in with the newest passkey, and return the answer."""
    begun = await begin_sign_in(guest)
    return await finish_sign_in(guest, begun["ceremony"], authenticator.get(begun["publicKey"]))


async def finish_sign_in(guest: Api, ceremony: object, credential: object) -> Json:
    sent = {"ceremony": ceremony, "credential": credential}
    return (await guest(SIGN_IN, input=sent))["signInWithPasskey"]
