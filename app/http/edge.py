"""The outermost layer: request ids, one line in the log, security headers on everything."""

import logging
import re
import secrets
import time
from typing import Any

from app.http.requests import ASGIApp, Receive, Scope, Send

log = logging.getLogger("portico.access")

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
CLOSED_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
ONLY_HTTPS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")


class Edge:
    """Pure ASGI. WebSockets end here, before they open: nothing of ours speaks over one."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = (*SECURITY_HEADERS, ONLY_HTTPS) if https else SECURITY_HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 500

        async def send_with_headers(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    *self._headers,
                ]
                if not any(name == b"content-security-policy" for name, _ in message["headers"]):
                    headers.append(CLOSED_POLICY)
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            milliseconds = (time.perf_counter() - started) * 1000
            log.info(
                "%s %s %d %.1fms %s",
                scope["method"],
                _printable(scope["path"]),
                status,
                milliseconds,
                request_id,
            )


def _request_id(scope: Scope) -> str:
    """Take over the id of whoever stands before us, if it is well formed."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
            return value.decode()
    return secrets.token_hex(8)


def _printable(path: str) -> str:
    # A path is the client's text: it must not write lines of its own into the log.
    return "".join(c if c.isprintable() else "?" for c in path[:200])


class Straight:
    """Takes the requests of one path past the router, which costs more than it decides."""

    def __init__(self, app: ASGIApp, *, path: str, to: ASGIApp) -> None:
        self._app, self._path, self._to = app, path, to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == self._path:
            await self._to(scope, receive, send)
        else:
            await self._app(scope, receive, send)
