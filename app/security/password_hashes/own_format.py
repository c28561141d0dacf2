"""The only format in which Portico writes hashes: bcrypt of HMAC-SHA-256."""

import os
from typing import Any

from app.security.password_hashes.passlib_formats import OWN_FORMAT
from app.security.password_hashes.passlib_handlers import bcrypt64
from app.security.password_hashes.preparations import normalised

# bcrypt keeps 23 of the 24 bytes that it computes.
DIGEST_BYTES = 23


class OwnHashes:
    """Hashes with the configured cost; each step of the cost doubles the work."""

    def __init__(self, cost: int) -> None:
        self._handler: Any = OWN_FORMAT.handler.using(rounds=cost)

    def make(self, password: str) -> str:
        return self._handler.hash(normalised(password))

    def unmatchable(self) -> str:
        """Returns a hash that no password has, but that takes the same time to verify.

        Its digest is random, and so it is made at once.
        """
        # Not at the first sign-in: the library tests its backend.
        self._handler.set_backend()
        digest = bcrypt64.encode_bytes(os.urandom(DIGEST_BYTES)).decode()
        return self._handler(use_defaults=True, checksum=digest).to_string()

    def outdated(self, password_hash: str) -> bool:
        """Returns whether a hash is in the format of another system, or has another cost."""
        return not OWN_FORMAT.identify(password_hash) or self._handler.needs_update(password_hash)
