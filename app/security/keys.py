"""Keys derived from SECRET_KEY, and the ES256 key pairs that sign access tokens."""

import base64
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import constant_time, hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwt.algorithms import ECAlgorithm

from app.errors import Misconfigured


class Secrets:
    """SECRET_KEY, one or several separated by commas: the first encrypts, all of them decrypt.

    Each purpose has its own keys (HKDF, RFC 5869): a value made for one purpose is invalid for
    another. A fingerprint identifies a secret and is not used as a key.
    """

    def __init__(self, text: str) -> None:
        self._keys = [part.strip().encode() for part in text.split(",") if part.strip()]
        self._fernet = self.sealer("signing-key-seal")
        self.fingerprints = [mac(key, "portico") for key in self.derive("secret-fingerprint")]

    @property
    def sealing_fingerprint(self) -> bytes:
        """The fingerprint of the secret that encrypts: the first one."""
        return self.fingerprints[0]

    def derive(self, purpose: str) -> list[bytes]:
        """Returns a key of 32 bytes for each secret, in their order."""
        return [
            HKDF(hashes.SHA256(), 32, salt=None, info=f"portico/{purpose}".encode()).derive(key)
            for key in self._keys
        ]

    def sealer(self, purpose: str) -> MultiFernet:
        """Returns a cipher that encrypts with the first secret and decrypts with any of them."""
        keys = (base64.urlsafe_b64encode(key) for key in self.derive(purpose))
        return MultiFernet([Fernet(key) for key in keys])

    def seal(self, plain: bytes) -> str:
        return self._fernet.encrypt(plain).decode("ascii")

    def open(self, sealed: str) -> bytes | None:
        """Decrypt a sealed value; None if it was sealed with none of these secrets."""
        try:
            return self._fernet.decrypt(sealed)
        # Text that is not ASCII raises a ValueError.
        except (InvalidToken, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public key of a pair. Every server can read it, whatever secrets it has."""

    id: str
    key: ec.EllipticCurvePublicKey
    created_at: datetime
    signs_from: datetime

    def jwk(self) -> dict[str, Any]:
        return _jwk(self.id, self.key)

    @classmethod
    def load(
        cls, key_id: str, jwk: dict[str, Any], created_at: datetime, signs_from: datetime
    ) -> "PublicKey":
        key = ECAlgorithm(ECAlgorithm.SHA256).from_jwk(jwk)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
            key.curve, ec.SECP256R1
        ):
            msg = f"signing key {key_id} is not a public key of P-256"
            raise Misconfigured(msg)
        return cls(key_id, key, created_at, signs_from)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ES256 key pair. Its id is random, and is the `kid` of the public key in the JWKS."""

    id: str
    private: ec.EllipticCurvePrivateKey
    signs_from: datetime

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        return self.private.public_key()

    def jwk(self) -> dict[str, Any]:
        """Returns the public key as a JWK (RFC 7517)."""
        return _jwk(self.id, self.public)

    def private_bytes(self) -> bytes:
        return self.private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @classmethod
    def generate(cls, signs_from: datetime) -> "KeyPair":
        return cls(secrets.token_urlsafe(12), ec.generate_private_key(ec.SECP256R1()), signs_from)

    @classmethod
    def load(cls, key_id: str, private_bytes: bytes, signs_from: datetime) -> "KeyPair":
        private = serialization.load_der_private_key(private_bytes, password=None)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            msg = f"signing key {key_id} is not an elliptic curve key"
            raise Misconfigured(msg)
        return cls(key_id, private, signs_from)


def _jwk(key_id: str, key: ec.EllipticCurvePublicKey) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(ECAlgorithm.to_jwk(key))
    return {"kid": key_id, "use": "sig", "alg": "ES256"} | {
        name: fields[name] for name in ("kty", "crv", "x", "y")
    }


Part = bytes | str | int


def mac(key: bytes, *parts: Part) -> bytes:
    """HMAC-SHA256 (RFC 2104) of a list of parts."""
    tag = hmac.HMAC(key, hashes.SHA256())
    tag.update(encoded(*parts))
    return tag.finalize()


def digest(*parts: Part) -> bytes:
    """SHA-256 of a list of parts."""
    return sha256(encoded(*parts)).digest()


def encoded(*parts: Part) -> bytes:
    """Encode parts so that no two lists of parts have the same encoding.

    Each part is preceded by its type and length. Simply joined, `("ab", "c")` and `("a", "bc")`
    would be the same message, and a client could choose a value that collides with another.
    """
    return b"".join(map(_encoded, parts))


def _encoded(part: Part) -> bytes:
    if isinstance(part, bytes):
        return b"b%d:%b" % (len(part), part)
    if isinstance(part, str):
        # JSON can carry a lone surrogate, which strict UTF-8 cannot encode.
        written = part.encode(errors="surrogatepass")
        return b"s%d:%b" % (len(written), written)
    return b"i%d:" % part


def constant_time_equal(left: bytes, right: bytes) -> bool:
    """Compare in constant time."""
    return constant_time.bytes_eq(left, right)
