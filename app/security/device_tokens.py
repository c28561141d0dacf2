"""Device tokens: proof that a device has signed in to an account before. They open nothing."""

import re
import secrets
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from app.security.keys import Secrets, mac, same

PREFIX = "pdt_"
FORM = re.compile(rf"{PREFIX}([A-Za-z0-9_-]{{64}})", re.ASCII)
PART_BYTES = 16


@dataclass(frozen=True, slots=True)
class Device:
    user_id: uuid.UUID
    id: bytes


@dataclass(frozen=True, slots=True)
class DeviceTokens:
    """HMAC over the account and a random number: nothing about them is stored."""

    keys: tuple[bytes, ...]

    @classmethod
    def of(cls, secrets_: Secrets) -> "DeviceTokens":
        return cls(tuple(secrets_.derive("device-token")))

    def issue(self, user_id: uuid.UUID) -> str:
        body = user_id.bytes + secrets.token_bytes(PART_BYTES)
        tag = mac(self.keys[0], body)[:PART_BYTES]
        return PREFIX + urlsafe_b64encode(body + tag).decode()

    def read(self, token: str | None) -> Device | None:
        """Give the device; None for what we did not issue."""
        match = FORM.fullmatch(token or "")
        if match is None:
            return None
        raw = urlsafe_b64decode(match[1])
        body, tag = raw[: 2 * PART_BYTES], raw[2 * PART_BYTES :]
        if not any(same(tag, mac(key, body)[:PART_BYTES]) for key in self.keys):
            return None
        return Device(uuid.UUID(bytes=body[:PART_BYTES]), body[PART_BYTES:])
