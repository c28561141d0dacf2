"""CORS: which origins' scripts may send requests and read the answers (WHATWG Fetch, 3.3)."""

import re
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass

from app.http.asgi import ASGIApp, Receive, Scope, Send
from app.http.headers import Headers
from app.http.refusals import refusal_body, send_refusal
from app.text.origins import LOOPBACK_ORIGINS, pattern_of

Fields = tuple[tuple[bytes, bytes], ...]

CORS = "cors"
ALLOWED_METHODS = (b"access-control-allow-methods", b"GET, HEAD, POST")
# What scripts may read besides the CORS-safelisted response headers.
EXPOSED_HEADERS = (b"access-control-expose-headers", b"allow, date, retry-after, x-request-id")
# How long a browser may cache a preflight: the longest that Chromium does.
MAX_AGE = (b"access-control-max-age", b"7200")
# Scripts may send cookies with their requests, and read the answers to such requests.
ALLOW_CREDENTIALS = (b"access-control-allow-credentials", b"true")
# Caches must not answer one origin with a response for another one.
VARY_ORIGIN = (b"vary", b"origin")
VARY_REQUEST_HEADERS = (b"vary", b"access-control-request-headers")

MAX_REQUESTED_BYTES = 4096
FIELD_NAME = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
FIELD_NAMES = re.compile(rb"%b(?:[ \t]*,[ \t]*%b)*" % (FIELD_NAME, FIELD_NAME))
INVALID_HEADER_NAMES = (
    f"Access-Control-Request-Headers must be names of headers, in at most {MAX_REQUESTED_BYTES:,} "
    "bytes."
)
ORIGIN_NOT_ALLOWED = "This origin is not allowed: it is not in CORS_ORIGINS."


@dataclass(frozen=True, slots=True)
class Cors:
    """The allowed origins.

    Origins are compared as bytes: browsers send scheme and host in lower case, and leave out the
    default port.
    """

    exact: frozenset[bytes]
    loopback: tuple[re.Pattern[bytes], ...]
    patterns: tuple[re.Pattern[bytes], ...]

    @classmethod
    def of(cls, origins: Sequence[str]) -> "Cors":
        """Returns them from origins as `origins.read_origin` normalizes them."""
        loopback = [origin for origin in origins if origin in LOOPBACK_ORIGINS]
        others = [origin for origin in origins if origin not in LOOPBACK_ORIGINS]
        return cls(
            frozenset(origin.encode() for origin in others if "*" not in origin),
            tuple(map(pattern_of, loopback)),
            tuple(pattern_of(origin) for origin in others if "*" in origin),
        )

    def allows(self, origin: bytes) -> bool:
        """Whether scripts of the origin may read answers."""
        return self.allows_credentials(origin) or _matches(origin, self.patterns)

    def allows_credentials(self, origin: bytes) -> bool:
        """Whether they may do so with cookies: never where a `*` stands for a part of the host.

        An attacker may be able to register a host that matches such a pattern.
        """
        return origin in self.exact or _matches(origin, self.loopback)

    def headers_for(self, origin: bytes | None) -> Fields:
        """Returns the headers of every answer to a request from this origin."""
        if not self.exact and not self.loopback and not self.patterns:
            return ()
        if origin is None or not self.allows(origin):
            return (VARY_ORIGIN,)
        allowed = (VARY_ORIGIN, (b"access-control-allow-origin", origin), EXPOSED_HEADERS)
        return (*allowed, ALLOW_CREDENTIALS) if self.allows_credentials(origin) else allowed


class Preflights:
    """ASGI middleware that answers CORS preflight requests.

    `RequestMiddleware` adds the CORS headers that every answer has.
    """

    def __init__(self, app: ASGIApp, cors: Cors) -> None:
        self._app, self._cors = app, cors

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers: Headers = scope["state"]["headers"]
            origin = origin_of(headers)
            if origin is not None and b"access-control-request-method" in headers.values:
                return self._answer(headers, origin, send)
        return self._app(scope, receive, send)

    async def _answer(self, headers: Headers, origin: bytes, send: Send) -> None:
        if not self._cors.allows(origin):
            await send_refusal(send, 403, refusal_body(ORIGIN_NOT_ALLOWED))
            return
        requested = _requested_headers(headers)
        if requested is None:
            await send_refusal(send, 400, refusal_body(INVALID_HEADER_NAMES))
            return
        allowed = [(b"access-control-allow-headers", requested)] if requested else []
        start = [ALLOWED_METHODS, *allowed, MAX_AGE, VARY_REQUEST_HEADERS]
        await send({"type": "http.response.start", "status": 204, "headers": start})
        await send({"type": "http.response.body", "body": b""})


def origin_of(headers: Headers) -> bytes | None:
    """Returns the origin of a request; None if it has none or several."""
    return None if b"origin" in headers.repeated else headers.values.get(b"origin")


def origin_in(fields: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Returns the origin in the header fields of a request; None if there is none or several."""
    origins = [value for name, value in fields if name == b"origin"]
    return origins[0] if len(origins) == 1 else None


def _matches(origin: bytes, patterns: Iterable[re.Pattern[bytes]]) -> bool:
    return any(pattern.fullmatch(origin) for pattern in patterns)


def _requested_headers(headers: Headers) -> bytes | None:
    """Returns the names of the headers that a script wants to send; None if they are invalid."""
    name = b"access-control-request-headers"
    names = headers.values.get(name, b"")
    if name in headers.repeated or len(names) > MAX_REQUESTED_BYTES:
        return None
    return names if not names or FIELD_NAMES.fullmatch(names) else None
