"""The only format in which Portico writes hashes: bcrypt of HMAC-SHA-256."""

from typing import Any

from app.security.password_hashes.passlib_formats import OWN_FORMAT
from app.security.password_hashes.preparations import normalised


class OwnHashes:
    """Hashes with the configured cost; each step of the cost doubles the work."""

    def __init__(self, cost: int) -> None:
        self._handler: Any = OWN_FORMAT.handler.using(rounds=cost)

    def make(self, password: str) -> str:
        return self._handler.hash(normalised(password))

    def outdated(self, password_hash: str) -> bool:
        """Returns whether a hash is in the format of another system, or has another cost."""
        return not OWN_FORMAT.identify(password_hash) or self._handler.needs_update(password_hash)
