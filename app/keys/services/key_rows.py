"""Which rows of the signing keys count.

Whoever can write to the table could add a row of their own. A row is believed because of what only
the owner of a secret can have made, and not because of what it says about itself.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from jwt.exceptions import InvalidKeyError

from app.errors import Misconfigured
from app.keys.models import SigningKey
from app.security.keys import KeyPair, PublicKey, Secrets


class Halves(NamedTuple):
    """A key that counts; without its pair if another server's secret has sealed it."""

    public: PublicKey
    pair: KeyPair | None


class InvalidKey(NamedTuple):
    """A row that does not count: it is not published and verifies nothing."""

    id: str
    created_at: datetime
    signs_from: datetime


def halves(
    row: SigningKey,
    secrets: Secrets,
    accepted: AbstractSet[bytes],
    known: KeyPair | None = None,
) -> Halves | None:
    """Returns the key of a row; None if the row does not count.

    `known` is the pair that an earlier look at the row has opened.
    What one of our secrets opens must have the public half that the row shows. What none of them
    opens counts if it names an accepted secret which is none of ours: that cannot be checked here.
    """
    public = _public(row)
    if public is None:
        return None
    pair = known or _opened(row, secrets)
    if pair is not None:
        return Halves(public, pair) if pair.jwk() == public.jwk() else None
    is_foreign = row.sealed_with in accepted and row.sealed_with not in secrets.fingerprints
    return Halves(public, None) if is_foreign else None


def _public(row: SigningKey) -> PublicKey | None:
    try:
        return PublicKey.load(row.id, row.public_jwk, row.created_at, row.signs_from)
    except (Misconfigured, InvalidKeyError, TypeError, ValueError):
        return None


def _opened(row: SigningKey, secrets: Secrets) -> KeyPair | None:
    private = secrets.open(row.sealed_private_key)
    return None if private is None else KeyPair.load(row.id, private, row.signs_from)
