"""The outermost middleware: request ids, the access log, security and CORS headers."""

import itertools
import re
import secrets
import time
from collections.abc import Awaitable
from typing import Any

from opentelemetry import trace

from app.database.errors import server_message
from app.database.statements import start_counting
from app.engine.errors import internal_error
from app.http.access_log import AccessLog, Line
from app.http.asgi import ASGIApp, Receive, Scope, Send
from app.http.cors import Cors, origin_of
from app.http.headers import Headers
from app.http.refusals import errors_body, send_refusal

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
DENY_ALL_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
HSTS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")


class RequestMiddleware:
    """Pure ASGI middleware. It closes WebSockets before they open, as none are served."""

    def __init__(
        self, app: ASGIApp, *, https: bool, traced: bool, access_log: AccessLog, cors: Cors
    ) -> None:
        self._app, self._access_log, self._traced = app, access_log, traced
        self._cors = cors
        self._headers = (*SECURITY_HEADERS, HSTS) if https else SECURITY_HEADERS

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            return self._http(scope, receive, send)
        if scope["type"] == "websocket":
            return send({"type": "websocket.close", "code": 1008})
        return self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope)
        request_id = _request_id(headers)
        origin = origin_of(headers)
        line = Line(time.time(), scope["method"], scope["path"], request_id, start_counting())
        scope.setdefault("state", {}).update(request_id=request_id, line=line, headers=headers)
        started = time.perf_counter()
        response_has_started = False

        def send_with_headers(message: Any) -> Awaitable[None]:
            nonlocal response_has_started
            if message["type"] == "http.response.start":
                line.status, response_has_started = message["status"], True
                message["headers"] = self._complete(message["headers"], request_id, origin)
                if self._traced:
                    _name_span(line)
            return send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            if response_has_started:
                raise
            body = errors_body(internal_error(error, request_id, server_message))
            await send_refusal(send_with_headers, 500, body)
        finally:
            line.seconds = time.perf_counter() - started
            self._access_log.add(line)

    def _complete(
        self, headers: list[tuple[bytes, bytes]], request_id: str, origin: bytes | None
    ) -> list[tuple[bytes, bytes]]:
        complete = [*headers, (b"x-request-id", request_id.encode()), *self._headers]
        complete += self._cors.headers_for(origin)
        if b"content-security-policy" not in dict(headers):
            complete.append(DENY_ALL_POLICY)
        return complete


def _name_span(line: Line) -> None:
    """Name the span of the server after the operation: its default name is only a POST."""
    span = trace.get_current_span()
    if line.operation is None or not span.is_recording():
        return
    span.update_name(line.operation)
    span.set_attribute("graphql.operation.type", line.operation.partition(" ")[0])
    span.set_attribute("graphql.document.hash", line.document or "")
    span.set_attribute("portico.outcome", line.outcome or "")


# Random once for each process, then counted: unique without a system call for each request.
_PREFIX = secrets.token_hex(5)
_numbers = itertools.count(1)


def _request_id(headers: Headers) -> str:
    """Returns the id in the X-Request-Id header if it is well-formed, or a new one."""
    proposed = headers.values.get(b"x-request-id")
    if proposed is not None and REQUEST_ID.fullmatch(proposed):
        return proposed.decode()
    return f"{_PREFIX}{next(_numbers):06x}"
