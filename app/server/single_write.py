"""Sends the head and the body of a response in one write: one system call, one packet.

Two writes would wake the client twice. That, and checking each header for forbidden characters,
would be a tenth of what a small query costs.
"""

from collections.abc import Awaitable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.http.asgi import ASGIApp, Receive, Scope, Send

# Not allowed in headers (RFC 9110, 5.5): a header could end early and inject another one.
CONTROL_CHARACTERS = bytes({*range(32), 127} - {ord("\t")})
# uvicorn handles these itself.
CONNECTION_HEADERS = frozenset({b"connection", b"transfer-encoding"})


class SingleWriteResponse:
    """An ASGI application that runs another one for one request, and writes its response.

    The head is kept until the body comes, as ASGI requires. A response that is not one body of the
    length in its head is left to uvicorn, which sends or rejects it.
    """

    __slots__ = ("_app", "_cycle", "_start")

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app, self._cycle = app, cycle
        self._start: Any = None

    def __call__(self, scope: Scope, receive: Receive, _send: Send) -> Awaitable[None]:
        return self._app(scope, receive, self.send)

    async def send(self, message: Any) -> None:
        start, cycle = self._start, self._cycle
        if start is None:
            if cycle.response_started or message["type"] != "http.response.start":
                await cycle.send(message)
            else:
                self._start = message
                if cycle.waiting_for_100_continue:
                    # The client may send the body or not (RFC 9110, 10.1.1).
                    cycle.keep_alive = False
            return
        self._start = None
        response = _complete_response(cycle, start, message)
        if response is None:
            await cycle.send(start)
            await cycle.send(message)
            return
        cycle.transport.write(response)
        # The state in which uvicorn leaves a cycle.
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        cycle.on_response()


def _complete_response(cycle: RequestResponseCycle, start: Any, message: Any) -> bytes | None:
    """Returns the bytes of a response; None if it takes more than one write."""
    if cycle.disconnected or cycle.flow.write_paused or not cycle.keep_alive:
        return None
    if cycle.scope["method"] == "HEAD":
        return None
    if message["type"] != "http.response.body" or message.get("more_body"):
        return None
    body: bytes = message.get("body", b"")
    headers = [*cycle.default_headers, *start.get("headers", ())]
    named = dict(headers)
    # uvicorn writes a response that says another length, or anything else about the connection.
    if named.get(b"content-length") != b"%d" % len(body) or CONNECTION_HEADERS & named.keys():
        return None
    lines = b"\r\n".join([b"%b: %b" % header for header in headers])
    if len(lines.translate(None, CONTROL_CHARACTERS)) != len(lines) - 2 * (len(headers) - 1):
        return None
    return b"%b%b\r\n\r\n%b" % (STATUS_LINE[start["status"]], lines, body)
