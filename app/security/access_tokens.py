"""Access tokens: ES256 JWTs as RFC 9068 has them (`at+jwt`), made here and read here, strictly."""

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple, Protocol, cast

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from app.clock import Clock
from app.security.keys import KeyPair

ALGORITHM = "ES256"
TYPE = "at+jwt"
MAX_CHARACTERS = 2048
HEADER = {"alg", "kid", "typ"}
CLOCK_SKEW_SECONDS = 5
# The client that a token was issued to (RFC 9068, 2.2). No clients are registered: users sign in at
# Portico itself, whatever program they use, so Portico is the client of every token.
CLIENT_ID = "portico"
CLAIMS = {"iss", "sub", "aud", "client_id", "sid", "gen", "iat", "auth_time", "exp", "jti"}
# Of tokens that servers of the release before issue, which these stand beside while they are
# replaced. The next release no longer accepts them.
FORMER_CLAIMS = CLAIMS - {"client_id", "auth_time"}


class Claims(NamedTuple):
    """What a verified token says. It opens nothing alone: the session is asked each time.

    So is the key that signed it: one that was deleted verifies nothing any more.
    """

    user_id: uuid.UUID
    session_id: uuid.UUID
    generation: int
    expires_at: int
    key_id: str


class AccessToken(NamedTuple):
    text: str
    expires_at: datetime
    # Seconds from its issue.
    expires_in: int


class Ring(Protocol):
    """Where keys come from: the newest that signs, and any that still verifies."""

    def signing_key(self) -> KeyPair:
        """Returns it, or raises Unavailable if there is none."""
        ...

    async def verifying_key(self, key_id: str) -> ec.EllipticCurvePublicKey | None: ...


class Remembered:
    """A bounded cache of the claims of verified tokens, by a hash of the token.

    Two generations: when the younger is full the elder is dropped, which costs its tokens one more
    check. A flood of valid tokens can be had only by signing in that often.
    """

    def __init__(self, capacity: int = 20_000) -> None:
        self._half = capacity // 2
        self.hits = self.misses = 0
        self._young: dict[bytes, Claims] = {}
        self._old: dict[bytes, Claims] = {}

    def get(self, text: str) -> Claims | None:
        key = _digest(text)
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is not None:
                self._keep(key, found)
        return found

    def put(self, text: str, claims: Claims) -> None:
        self._keep(_digest(text), claims)

    def _keep(self, key: bytes, claims: Claims) -> None:
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        self._young[key] = claims


def _digest(text: str) -> bytes:
    return sha256(text.encode(errors="surrogatepass")).digest()


@dataclass(frozen=True, slots=True)
class AccessTokens:
    ring: Ring
    issuer: str
    audience: str
    lifetime: timedelta
    clock: Clock
    remembered: Remembered = field(default_factory=Remembered)

    def issue(
        self,
        user_id: uuid.UUID,
        session_id: uuid.UUID,
        generation: int,
        authenticated_at: datetime,
        extra: Mapping[str, object],
    ) -> AccessToken:
        """Sign one, with `extra` claims beside its own.

        `gen` ties it to the refresh token beside it: its use shows that both came. `auth_time` is
        when the user last proved who they are, which a refresh does not move (RFC 9068, 2.2.1).
        """
        now, lifetime = int(self.clock().timestamp()), int(self.lifetime.total_seconds())
        key = self.ring.signing_key()
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": str(user_id),
            "aud": self.audience,
            "client_id": CLIENT_ID,
            "sid": str(session_id),
            "gen": generation,
            "iat": now,
            # A clock that was set back must not make a token of what is yet to come.
            "auth_time": min(int(authenticated_at.timestamp()), now),
            "exp": now + lifetime,
            "jti": secrets.token_urlsafe(12),
        }
        if not claims.keys().isdisjoint(extra):
            raise ValueError(f"{sorted(claims.keys() & extra)} are claims of every access token")
        claims |= extra
        text = jwt.encode(claims, key.private, ALGORITHM, headers={"typ": TYPE, "kid": key.id})
        expires_at = datetime.fromtimestamp(now + lifetime, self.clock().tzinfo)
        return AccessToken(text, expires_at, lifetime)

    def check_can_issue(self) -> None:
        """Return if a token could be issued now: to be asked before a session is changed for it.

        Raises:
            Unavailable: there is no key to sign it with.

        """
        self.ring.signing_key()

    def recall(self, text: str) -> Claims | None:
        """Returns the claims of a token whose signature was checked before, if it is valid now."""
        known = self.remembered.get(text)
        if known is None:
            return None
        self.remembered.hits += 1
        return self._unexpired(known)

    def _unexpired(self, claims: Claims) -> Claims | None:
        return claims if claims.expires_at > self.clock().timestamp() else None

    async def verify(self, text: str) -> Claims | None:
        """Read a token; None for anything but one of ours that is valid now.

        A signature that was checked is remembered until the token expires: checking it is most of
        what a small query costs, and the session behind it is asked each time all the same.

        Stricter than RFC 7519 asks: one algorithm, the three header fields we write and no other
        (so no `jwk`, `jku`, `x5u`, `crit`), and all claims we write, each exact and of its JSON
        type. Claims that modules add are not read.
        """
        known = self.remembered.get(text)
        if known is not None:
            return self._unexpired(known)
        if len(text) > MAX_CHARACTERS:
            return None
        self.remembered.misses += 1
        claims = await self._verified(text)
        if claims is not None:
            self.remembered.put(text, claims)
        return claims

    async def _verified(self, text: str) -> Claims | None:
        try:
            header = jwt.get_unverified_header(text)
            if set(header) != HEADER or header["alg"] != ALGORITHM or header["typ"] != TYPE:
                return None
            key = await self.ring.verifying_key(header["kid"])
            if key is None:
                return None
            # Times and types are checked below: the library reads "123" as a number and a missing
            # claim as none.
            claims = jwt.decode(text, key, [ALGORITHM], options=cast("Any", UNCHECKED))
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        return self._checked(claims, header["kid"])

    def _checked(self, claims: dict[str, Any], key_id: str) -> Claims | None:
        if set(claims) == FORMER_CLAIMS:
            claims = {**claims, "client_id": CLIENT_ID, "auth_time": claims["iat"]}
        if not set(claims) >= CLAIMS or not self._are_ours(claims) or not self._are_timely(claims):
            return None
        user_id, session_id = _uuid(claims["sub"]), _uuid(claims["sid"])
        generation = claims["gen"]
        if user_id is None or session_id is None or type(generation) is not int:
            return None
        return Claims(user_id, session_id, generation, claims["exp"], key_id)

    def _are_ours(self, claims: dict[str, Any]) -> bool:
        return (
            claims["iss"] == self.issuer
            and claims["aud"] == self.audience
            and claims["client_id"] == CLIENT_ID
            and isinstance(claims["jti"], str)
        )

    def _are_timely(self, claims: dict[str, Any]) -> bool:
        issued, expires, authenticated = claims["iat"], claims["exp"], claims["auth_time"]
        # Not `isinstance`: a boolean is an integer to it.
        if type(issued) is not int or type(expires) is not int or type(authenticated) is not int:
            return False
        now = self.clock().timestamp()
        lasts = 0 < expires - issued <= self.lifetime.total_seconds()
        return authenticated <= issued <= now + CLOCK_SKEW_SECONDS and now < expires and lasts


UNCHECKED = {
    "verify_aud": False,
    "verify_iss": False,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_sub": False,
    "verify_jti": False,
}


def _uuid(value: object) -> uuid.UUID | None:
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
