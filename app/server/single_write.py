"""Sends an answer whole: its head and its body in one call to the system, one packet.

Written apart, the two would wake the other side twice; that, and a search of each header for what
must not be in it, would be a tenth of what a small query costs.
"""

from collections.abc import Awaitable, Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.http.requests import ASGIApp, Receive, Scope, Send

# What no header may have in it (RFC 9110, 5.5), or it could end early and say something else.
CONTROLS = bytes({*range(32), 127} - {ord("\t")})
# What these say, uvicorn acts upon.
ABOUT_THE_CONNECTION = frozenset({b"connection", b"transfer-encoding"})


class WholeAnswer:
    """An application that answers one request.

    Its head waits for the body, as ASGI asks. What is not one body of the length that the head
    says is uvicorn's to send, and so is what it refuses to.
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
                    # It is unknown whether the body will come (RFC 9110, 10.1.1).
                    cycle.keep_alive = False
            return
        self._start = None
        answer = _whole(cycle, start, message)
        if answer is None:
            await cycle.send(start)
            await cycle.send(message)
            return
        cycle.transport.write(answer)
        # As uvicorn leaves it.
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        cycle.on_response()


def _whole(cycle: RequestResponseCycle, start: Any, message: Any) -> bytes | None:
    """Give the bytes of an answer; None where it is not as simple as that."""
    if cycle.disconnected or cycle.flow.write_paused or not cycle.keep_alive:
        return None
    if cycle.scope["method"] == "HEAD":
        return None
    if message["type"] != "http.response.body" or message.get("more_body"):
        return None
    body: bytes = message.get("body", b"")
    headers = [*cycle.default_headers, *start.get("headers", ())]
    if not _frames(headers, len(body)):
        return None
    lines = b"\r\n".join([b"%b: %b" % header for header in headers])
    if len(lines.translate(None, CONTROLS)) != len(lines) - 2 * (len(headers) - 1):
        return None
    return b"%b%b\r\n\r\n%b" % (STATUS_LINE[start["status"]], lines, body)


def _frames(headers: Iterable[tuple[bytes, bytes]], length: int) -> bool:
    """Whether the headers say where the body ends, and nothing else about the connection."""
    said: bytes | None = None
    for name, value in headers:
        if name == b"content-length":
            said = value
        elif name in ABOUT_THE_CONNECTION:
            return False
    return said == b"%d" % length
