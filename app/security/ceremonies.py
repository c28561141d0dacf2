"""Ceremonies of passkeys: what a browser signs is bound to a purpose, and to when it was asked."""

import enum
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import NamedTuple

from app.security.keys import Secrets, constant_time_equal, mac

PREFIX = "ppc_"
CHALLENGE_BYTES, TAG_BYTES = 32, 32
# The purpose, when it expires (seconds since 1970), and the challenge. With the tag a multiple of
# three bytes: each token has one spelling in base64, so it cannot be used again in another one.
BODY = Struct(f">BI{CHALLENGE_BYTES}s")
FORM = re.compile(rf"{PREFIX}([A-Za-z0-9_-]{{{(BODY.size + TAG_BYTES) // 3 * 4}}})", re.ASCII)
LIFETIME = timedelta(minutes=5)


class CeremonyPurpose(enum.Enum):
    """What a ceremony is for. One for another purpose is as unknown."""

    REGISTER = 1
    SIGN_IN = 2
    CHALLENGE = 3
    STEP_UP = 4


class Ceremony(NamedTuple):
    """What a browser is asked to sign, and the token that says so."""

    token: str
    challenge: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Ceremonies:
    """Tokens with a MAC, so that beginning costs no row: every view of a sign-in page does it.

    The MAC includes for whom it is: the session or the challenge that began it.
    """

    keys: tuple[bytes, ...]

    @classmethod
    def of(cls, secrets_: Secrets) -> "Ceremonies":
        return cls(tuple(secrets_.derive("passkey-ceremony")))

    def make(self, purpose: CeremonyPurpose, subject: bytes, now: datetime) -> Ceremony:
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        # In whole seconds, as in the token.
        expires_at = (now + LIFETIME).replace(microsecond=0)
        body = BODY.pack(purpose.value, int(expires_at.timestamp()), challenge)
        raw = body + _tag(self.keys[0], body, subject)
        return Ceremony(PREFIX + urlsafe_b64encode(raw).decode(), challenge, expires_at)

    def read(
        self, token: str, purpose: CeremonyPurpose, subject: bytes, now: datetime
    ) -> Ceremony | None:
        """Returns a ceremony of this server for this purpose and subject that has not expired."""
        match = FORM.fullmatch(token)
        if match is None:
            return None
        raw = urlsafe_b64decode(match[1])
        body, tag = raw[: BODY.size], raw[BODY.size :]
        if not any(constant_time_equal(tag, _tag(key, body, subject)) for key in self.keys):
            return None
        number, expires, challenge = BODY.unpack(body)
        expires_at = datetime.fromtimestamp(expires, UTC)
        if number != purpose.value or expires_at <= now:
            return None
        return Ceremony(token, challenge, expires_at)


def _tag(key: bytes, body: bytes, subject: bytes) -> bytes:
    return mac(key, body, subject)
