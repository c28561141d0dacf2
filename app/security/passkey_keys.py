"""The public keys of passkeys: the accepted algorithms, and a key without a known private key."""

from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from webauthn.helpers import (
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    encode_cbor,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.decode_credential_public_key import DecodedEC2PublicKey

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
P256_BYTES = 32
# The x-coordinate of `NO_KEY` is the SHA-256 of this text: its private key is unknown.
NO_KEY_TEXT = b"Portico: nobody has the private key of this point, 0"


class NotAccepted(Exception):
    """A check that the library does not make has failed."""


def check_key(public_key: bytes) -> None:
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
    """Whether a signature needs the private key: points of small order allow forged signatures.

    `cryptography` accepts these, and numbers that are not reduced (RFC 8032, 5.1.3).
    """
    # The highest bit is the sign of the other coordinate.
    y = int.from_bytes(key.public_bytes_raw(), "little") & ~(1 << 255)
    return y < ED25519_PRIME and y not in ED25519_SMALL_ORDER


def _no_key() -> bytes:
    """Returns a public key whose private key is unknown, as COSE_Key (RFC 9052, section 7)."""
    compressed = b"\x02" + sha256(NO_KEY_TEXT).digest()
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), compressed)
    numbers = point.public_numbers()
    x, y = (number.to_bytes(32, "big") for number in (numbers.x, numbers.y))
    return encode_cbor({1: 2, 3: int(ES256), -1: 1, -2: x, -3: y})


# Unknown passkeys are refused after the same work as wrong signatures.
NO_KEY = _no_key()
