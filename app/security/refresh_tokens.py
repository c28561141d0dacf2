"""Refresh tokens: opaque, and derived: a generation of a session always has the same token."""

import base64
import binascii
import uuid
from dataclasses import dataclass
from typing import NamedTuple

from app.security.keys import Secrets, constant_time_equal, mac

PREFIX = "prt_"  # For secret scanners to recognise.
ID_BYTES, GENERATION_BYTES, TAG_BYTES = 16, 4, 32


class Presented(NamedTuple):
    """The parts of a token. They are not authenticated until `RefreshTokens.matches` is true."""

    session_id: uuid.UUID
    generation: int
    tag: bytes


@dataclass(frozen=True, slots=True)
class RefreshTokens:
    """Token = session id, generation, and HMAC(SECRET_KEY; id, generation, the session's salt).

    The database holds only the salt, the configuration only the key: neither alone makes a token.
    """

    keys: tuple[bytes, ...]

    @classmethod
    def of(cls, secrets: Secrets) -> "RefreshTokens":
        return cls(tuple(secrets.derive("refresh-token")))

    def issue(self, session_id: uuid.UUID, generation: int, salt: bytes) -> str:
        body = session_id.bytes + generation.to_bytes(GENERATION_BYTES, "big")
        tag = mac(self.keys[0], session_id.bytes, generation, salt)
        return PREFIX + base64.urlsafe_b64encode(body + tag).decode().rstrip("=")

    def read(self, token: str) -> Presented | None:
        """Parse a token; None if it is malformed."""
        if not token.isascii() or not token.startswith(PREFIX) or len(token) != len(PREFIX) + 70:
            return None
        try:
            raw = base64.b64decode(token[len(PREFIX) :] + "==", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        if len(raw) != ID_BYTES + GENERATION_BYTES + TAG_BYTES:
            return None
        end = ID_BYTES + GENERATION_BYTES
        return Presented(
            uuid.UUID(bytes=raw[:ID_BYTES]), int.from_bytes(raw[ID_BYTES:end], "big"), raw[end:]
        )

    def matches(self, presented: Presented, salt: bytes) -> bool:
        session_id, generation = presented.session_id.bytes, presented.generation
        return any(
            constant_time_equal(mac(key, session_id, generation, salt), presented.tag)
            for key in self.keys
        )
