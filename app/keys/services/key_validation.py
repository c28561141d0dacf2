"""Validates rows of the signing keys.

An attacker who can write to the table can add a row. So a row is valid only if its contents
require a secret to create.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from jwt.exceptions import InvalidKeyError

from app.errors import Misconfigured
from app.keys.models import SigningKey
from app.security.keys import KeyPair, PublicKey, Secrets


class ValidKey(NamedTuple):
    """A valid key; without its pair if it is sealed with a secret that this process lacks."""

    public: PublicKey
    pair: KeyPair | None


class InvalidKey(NamedTuple):
    """An invalid row: it is not published, and its tokens are refused."""

    id: str
    created_at: datetime
    signs_from: datetime


def validated(
    row: SigningKey,
    secrets: Secrets,
    accepted: AbstractSet[bytes],
    opened: KeyPair | None = None,
) -> ValidKey | None:
    """Returns the key of a row; None if the row is invalid.

    A private half that one of our secrets opens must match the public half. A row that none of
    them opens is valid if it names an accepted secret that this process lacks: its private half
    cannot be verified here.

    Args:
        row: The row.
        secrets: Those of this process.
        accepted: The fingerprints of all secrets that are announced and not revoked.
        opened: The pair, if it was opened before.

    """
    public = _public(row)
    if public is None:
        return None
    pair = opened or _open(row, secrets)
    if pair is not None:
        return ValidKey(public, pair) if pair.jwk() == public.jwk() else None
    is_foreign = row.sealed_with in accepted and row.sealed_with not in secrets.fingerprints
    return ValidKey(public, None) if is_foreign else None


def _public(row: SigningKey) -> PublicKey | None:
    try:
        return PublicKey.load(row.id, row.public_jwk, row.created_at, row.signs_from)
    except (Misconfigured, InvalidKeyError, TypeError, ValueError):
        return None


def _open(row: SigningKey, secrets: Secrets) -> KeyPair | None:
    private = secrets.open(row.sealed_private_key)
    return None if private is None else KeyPair.load(row.id, private, row.signs_from)
