"""Device tokens: proof that a device has signed in to an account before. They grant no access."""

import re
import secrets
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from struct import Struct

from app.security.keys import Secrets, constant_time_equal, mac

PREFIX = "pdt_"
FORM = re.compile(rf"{PREFIX}([A-Za-z0-9_-]{{64}})", re.ASCII)
ID_BYTES, TAG_BYTES = 12, 16
# The user, the generation of their device tokens, and the id of this device.
BODY = Struct(f">16sI{ID_BYTES}s")


@dataclass(frozen=True, slots=True)
class Device:
    user_id: uuid.UUID
    generation: int
    id: bytes


@dataclass(frozen=True, slots=True)
class DeviceTokens:
    """A MAC over the user, the generation of their device tokens and a random id.

    Nothing about a device is stored. A new generation revokes all device tokens of a user.
    """

    keys: tuple[bytes, ...]

    @classmethod
    def of(cls, secrets_: Secrets) -> "DeviceTokens":
        return cls(tuple(secrets_.derive("device-token")))

    def issue(self, user_id: uuid.UUID, generation: int) -> str:
        body = BODY.pack(user_id.bytes, generation, secrets.token_bytes(ID_BYTES))
        return PREFIX + urlsafe_b64encode(body + self._tag(self.keys[0], body)).decode()

    def read(self, token: str | None) -> Device | None:
        """Returns the device; None for a token that this server did not issue."""
        match = FORM.fullmatch(token or "")
        if match is None:
            return None
        raw = urlsafe_b64decode(match[1])
        body, tag = raw[: BODY.size], raw[BODY.size :]
        if not any(constant_time_equal(tag, self._tag(key, body)) for key in self.keys):
            return None
        user_id, generation, device_id = BODY.unpack(body)
        return Device(uuid.UUID(bytes=user_id), generation, device_id)

    def _tag(self, key: bytes, body: bytes) -> bytes:
        return mac(key, body)[:TAG_BYTES]
