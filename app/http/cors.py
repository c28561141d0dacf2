"""CORS: scripts of which origins may send requests and read the answers (WHATWG Fetch, 3.3)."""

import re
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass

from app.http.origins import pattern_of
from app.http.refusals import refusal_body, send_refusal
from app.http.requests import ASGIApp, Headers, Receive, Scope, Send

Fields = tuple[tuple[bytes, bytes], ...]

CORS = "cors"
METHODS = (b"access-control-allow-methods", b"GET, HEAD, POST")
# What scripts may read beside the few headers that Fetch always shows them.
EXPOSED = (b"access-control-expose-headers", b"allow, date, retry-after, x-request-id")
# How long a browser may remember what a preflight allowed: as long as Chromium does at most.
REMEMBERED = (b"access-control-max-age", b"7200")
# Caches must not give one origin the answer that another one may read, or that none may.
VARIES = (b"vary", b"origin")
VARIES_BY_HEADERS = (b"vary", b"access-control-request-headers")

MAX_REQUESTED_BYTES = 4096
FIELD_NAME = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
FIELD_NAMES = re.compile(rb"%b(?:[ \t]*,[ \t]*%b)*" % (FIELD_NAME, FIELD_NAME))
BAD_NAMES = (
    f"Access-Control-Request-Headers must be names of headers, {MAX_REQUESTED_BYTES:,} bytes long "
    "at most."
)
NOT_ALLOWED = "Scripts of this origin may not ask: it is not in CORS_ORIGINS."


@dataclass(frozen=True, slots=True)
class Cors:
    """Origins whose scripts may ask. Credentials of the browser are never allowed: none are used.

    Of the origins that are compared, browsers write scheme and host in lower case, and no port
    where it is the scheme's own.
    """

    named: frozenset[bytes]
    patterns: tuple[re.Pattern[bytes], ...]

    @classmethod
    def of(cls, origins: Sequence[str]) -> "Cors":
        """Take origins as `origins.read_origin` writes them."""
        return cls(
            frozenset(origin.encode() for origin in origins if "*" not in origin),
            tuple(pattern_of(origin) for origin in origins if "*" in origin),
        )

    def allows(self, origin: bytes) -> bool:
        return origin in self.named or any(each.fullmatch(origin) for each in self.patterns)

    def headers_for(self, origin: bytes | None) -> Fields:
        """Returns what any answer to a request from this origin carries."""
        if not self.named and not self.patterns:
            return ()
        if origin is None or not self.allows(origin):
            return (VARIES,)
        return (VARIES, (b"access-control-allow-origin", origin), EXPOSED)


class Preflights:
    """Answers what browsers ask before a script's request: whether it may be sent.

    The headers that every answer carries are not added here.
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
            await send_refusal(send, 403, refusal_body(NOT_ALLOWED))
            return
        requested = _requested(headers)
        if requested is None:
            await send_refusal(send, 400, refusal_body(BAD_NAMES))
            return
        allowed = [(b"access-control-allow-headers", requested)] if requested else []
        start = [METHODS, *allowed, REMEMBERED, VARIES_BY_HEADERS]
        await send({"type": "http.response.start", "status": 204, "headers": start})
        await send({"type": "http.response.body", "body": b""})


def origin_of(headers: Headers) -> bytes | None:
    """Returns the origin of a request; None where it has none, or several."""
    return None if b"origin" in headers.doubled else headers.values.get(b"origin")


def origin_in(fields: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Returns the same of headers as a parser gives them."""
    origins = [value for name, value in fields if name == b"origin"]
    return origins[0] if len(origins) == 1 else None


def _requested(headers: Headers) -> bytes | None:
    """Returns the names of the headers that a script wants to send; None: these are no names."""
    name = b"access-control-request-headers"
    names = headers.values.get(name, b"")
    if name in headers.doubled or len(names) > MAX_REQUESTED_BYTES:
        return None
    return names if not names or FIELD_NAMES.fullmatch(names) else None
