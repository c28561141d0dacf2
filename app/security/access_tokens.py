"""Issues and strictly verifies access tokens: ES256 JWTs of type `at+jwt` (RFC 9068)."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
# The client that a token was issued to (RFC 9068, 2.2). Clients are not registered: users sign in
# to Portico itself with any program, so Portico is the client of every token.
CLIENT_ID = "portico"
CLAIMS = {"iss", "sub", "aud", "client_id", "sid", "gen", "iat", "auth_time", "exp", "jti"}
# The claims of tokens from the previous release, whose servers still run during a rolling update.
# The next release no longer accepts them.
PREVIOUS_CLAIMS = CLAIMS - {"client_id", "auth_time"}


class Claims(NamedTuple):
    """The claims of a verified token. They grant no access alone.

    Each request also checks that the session is active and the signing key was not deleted.
    """

    user_id: uuid.UUID
    session_id: uuid.UUID
    generation: int
    expires_at: int
    key_id: str


class Authentication(NamedTuple):
    """When, by what and how strongly the user proved who they are."""

    at: datetime
    # `amr` (RFC 8176).
    references: Sequence[str]
    # `acr`.
    context: str


class AccessToken(NamedTuple):
    text: str
    expires_at: datetime
    # In seconds, from when it was issued.
    expires_in: int


class KeySource(Protocol):
    """Provides the current key to sign with, and every key that still verifies."""

    def signing_key(self) -> KeyPair:
        """Returns the key to sign with.

        Raises:
            Unavailable: there is none.

        """
        ...

    async def verifying_key(self, key_id: str) -> ec.EllipticCurvePublicKey | None: ...


class VerifiedTokens:
    """The claims of verified tokens, by the token: a cache that is bounded by its characters.

    It has two generations: when the younger is full, the older is dropped, and its tokens are
    verified once more. To flood it with valid tokens, a client would have to sign in that often.

    A cryptographic hash of the token as the key would cost a twentieth of a small query.
    """

    def __init__(self, capacity: int = 10_000_000) -> None:
        self._half = capacity // 2
        self.hits = self.misses = 0
        self._characters = 0
        self._younger: dict[str, Claims] = {}
        self._older: dict[str, Claims] = {}

    def get(self, text: str) -> Claims | None:
        found = self._younger.get(text)
        if found is None:
            found = self._older.pop(text, None)
            if found is not None:
                self.put(text, found)
        return found

    def put(self, text: str, claims: Claims) -> None:
        if self._characters >= self._half:
            self._younger, self._older, self._characters = {}, self._younger, 0
        self._younger[text] = claims
        self._characters += len(text)


@dataclass(frozen=True, slots=True)
class AccessTokens:
    ring: KeySource
    issuer: str
    audience: str
    lifetime: timedelta
    clock: Clock
    verified_tokens: VerifiedTokens = field(default_factory=VerifiedTokens)

    def issue(
        self,
        user_id: uuid.UUID,
        session_id: uuid.UUID,
        generation: int,
        authentication: Authentication,
        extra: Mapping[str, object],
    ) -> AccessToken:
        """Sign a token, with the `extra` claims of modules added.

        `gen` is the generation of the refresh token issued with it: a client that uses the access
        token has received both. `auth_time` is when the user last authenticated; a refresh does not
        change it (RFC 9068, 2.2.1).
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
            # If the clock was set back, `auth_time` must still not be in the future.
            "auth_time": min(int(authentication.at.timestamp()), now),
            "amr": list(authentication.references),
            "acr": authentication.context,
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
        """Check that a token can be issued now, before a session is changed for it.

        Raises:
            Unavailable: there is no key to sign it with.

        """
        self.ring.signing_key()

    def cached_claims(self, text: str) -> Claims | None:
        """Returns the claims of a token that was verified before, if it has not expired."""
        known = self.verified_tokens.get(text)
        if known is None:
            return None
        self.verified_tokens.hits += 1
        return self._unexpired(known)

    def _unexpired(self, claims: Claims) -> Claims | None:
        return claims if claims.expires_at > self.clock().timestamp() else None

    async def verify(self, text: str) -> Claims | None:
        """Returns the claims of a token that Portico issued and that is valid now, otherwise None.

        Verified tokens are cached until they expire: checking the signature is most of the cost of
        a small query. The session is looked up on every request regardless.

        Stricter than RFC 7519: one algorithm, exactly the three header fields that `issue` writes
        (so no `jwk`, `jku`, `x5u`, `crit`), and all its claims, each with the exact value or JSON
        type. Claims that modules add are not read.
        """
        known = self.verified_tokens.get(text)
        if known is not None:
            return self._unexpired(known)
        if len(text) > MAX_CHARACTERS:
            return None
        self.verified_tokens.misses += 1
        claims = await self._verified(text)
        if claims is not None:
            self.verified_tokens.put(text, claims)
        return claims

    async def _verified(self, text: str) -> Claims | None:
        try:
            header = jwt.get_unverified_header(text)
            if set(header) != HEADER or header["alg"] != ALGORITHM or header["typ"] != TYPE:
                return None
            key = await self.ring.verifying_key(header["kid"])
            if key is None:
                return None
            # Times and types are checked below: the library accepts "123" as a number, and does not
            # require claims.
            claims = jwt.decode(text, key, [ALGORITHM], options=cast("Any", UNCHECKED))
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        return self._checked(claims, header["kid"])

    def _checked(self, claims: dict[str, Any], key_id: str) -> Claims | None:
        if set(claims) == PREVIOUS_CLAIMS:
            claims = {**claims, "client_id": CLIENT_ID, "auth_time": claims["iat"]}
        if not set(claims) >= CLAIMS or not self._are_ours(claims) or not self._are_current(claims):
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

    def _are_current(self, claims: dict[str, Any]) -> bool:
        issued, expires, authenticated = claims["iat"], claims["exp"], claims["auth_time"]
        # Not `isinstance`: a boolean is an instance of int.
        if type(issued) is not int or type(expires) is not int or type(authenticated) is not int:
            return False
        now = self.clock().timestamp()
        bounded = 0 < expires - issued <= self.lifetime.total_seconds()
        return authenticated <= issued <= now + CLOCK_SKEW_SECONDS and now < expires and bounded


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
