"""How audit events are hashed into chains, and how the heads of the chains are signed."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

CHECKPOINT_PREFIX = b"portico audit checkpoint\n"
ES256 = ec.ECDSA(hashes.SHA256())


def encoded_part(text: str | None) -> str:
    """Encode one part of an event with its length before it, as `audit_part` in the database."""
    return "-" if text is None else f"{len(text.encode())}:{text}"


def event_hash(previous: bytes, parts: Sequence[str | None]) -> bytes:
    return sha256(previous + "".join(map(encoded_part, parts)).encode()).digest()


def address_digest(salt: bytes, address: str) -> bytes:
    return sha256(salt + address.encode()).digest()


def first_hash(chain: str) -> bytes:
    """Returns the previous hash of the first event of a chain."""
    return sha256(chain.encode()).digest()


def retention_text(before: str | None, chains: str | None, events: str | None) -> bytes:
    """Returns the input of the MAC of an announced removal."""
    return "".join(map(encoded_part, (before, chains, events))).encode()


def checkpoint_text(
    number: int,
    at_microseconds: int,
    previous: bytes,
    heads: Mapping[str, Sequence[int | str]],
    *,
    begins_epoch: bool,
) -> bytes:
    """Returns the signed text of a checkpoint; the prefix sets it apart from other signed texts."""
    body: dict[str, Any] = {
        "number": number,
        "at": at_microseconds,
        "previous": previous.hex(),
        "heads": dict(heads),
    }
    if begins_epoch:
        body["epoch"] = True
    return CHECKPOINT_PREFIX + orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def sign(key: ec.EllipticCurvePrivateKey, text: bytes) -> bytes:
    return key.sign(text, ES256)


def is_valid_signature(key: ec.EllipticCurvePublicKey, signature: bytes, text: bytes) -> bool:
    try:
        key.verify(signature, text, ES256)
    except InvalidSignature:
        return False
    return True
