"""The one format in which this server writes hashes: bcrypt of HMAC-SHA-256."""

from typing import Any

from app.security.password_hashes.passlib_formats import OURS
from app.security.password_hashes.preparations import normalised


class OurHashes:
    """Hashes of the cost that is configured, of which each step doubles the work."""

    def __init__(self, cost: int) -> None:
        self._handler: Any = OURS.handler.using(rounds=cost)

    def make(self, password: str) -> str:
        return self._handler.hash(normalised(password))

    def outdated(self, password_hash: str) -> bool:
        """Returns whether a hash is another system's, or ours of another cost."""
        return not OURS.identify(password_hash) or self._handler.needs_update(password_hash)
