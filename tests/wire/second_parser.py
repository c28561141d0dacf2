"""How h11, the second parser, reads a stream: its requests, and how it ends."""

from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlsplit

import h11

MOST_BYTES = 1 << 20
# A path that is answered before the body is read.
EARLY = b"/early"


class End(Enum):
    CLOSED = "a request closes the connection"
    REFUSED = "what follows is not HTTP"
    INCOMPLETE = "more is to come"


@dataclass
class Request:
    """A request, and its position in the bytes."""

    method: bytes
    target: bytes
    fields: dict[bytes, bytes]
    expects: bool
    start: int
    head_end: int = 0
    end: int = 0
    body: bytes = b""
    complete: bool = False

    @property
    def origin(self) -> bytes:
        """Returns the target without scheme and host."""
        if self.target.startswith((b"/", b"*")):
            return self.target
        parts = urlsplit(self.target.decode("latin-1"))
        query = "?" + parts.query if parts.query else ""
        return ((parts.path or "/") + query).encode("latin-1")


@dataclass
class Reading:
    requests: list[Request] = field(default_factory=list[Request])
    end: End = End.INCOMPLETE
    why: str = ""

    @property
    def complete(self) -> list[Request]:
        return [request for request in self.requests if request.complete]


def read(stream: bytes) -> Reading:
    """Read as many requests as there are, each by a parser of its own.

    Empty lines before a request (RFC 9112, 2.2) are left out: h11 refuses them.
    """
    reading = Reading()
    rest: bytes | None = stream
    while rest and rest.lstrip(b"\r\n") and reading.end is End.INCOMPLETE:
        rest = _read_one(rest, len(stream), reading)
    return reading


def _read_one(rest: bytes, size: int, reading: Reading) -> bytes | None:
    """Read a request; returns what follows it, or None if it is incomplete."""
    connection = h11.Connection(h11.SERVER, MOST_BYTES)
    connection.receive_data(rest.lstrip(b"\r\n"))
    start = size - len(rest)
    try:
        while _read_event(connection, reading, start, size):
            pass
    except h11.RemoteProtocolError as error:
        reading.end, reading.why = End.REFUSED, str(error)
        return None
    if connection.their_state in {h11.IDLE, h11.SEND_BODY}:
        return None
    if _closes(connection, reading.requests[-1]):
        reading.end = End.CLOSED
    return bytes(connection.trailing_data[0])


def _closes(connection: h11.Connection, request: Request) -> bool:
    """Whether h11 closes the connection after the answer."""
    status = 501 if request.method == b"CONNECT" else 200
    connection.send(h11.Response(status_code=status, headers=[(b"Content-Length", b"0")]))
    connection.send(h11.EndOfMessage())
    return connection.our_state is h11.MUST_CLOSE


def _read_event(connection: h11.Connection, reading: Reading, start: int, size: int) -> bool:
    """Read an event; returns whether there may be more."""
    event = connection.next_event()
    at = size - len(connection.trailing_data[0])
    if isinstance(event, h11.Request):
        expects = connection.they_are_waiting_for_100_continue
        fields = dict(event.headers)
        reading.requests.append(
            Request(event.method, event.target, fields, expects, start, at, size)
        )
    elif isinstance(event, h11.Data):
        reading.requests[-1].body += event.data
    elif isinstance(event, h11.EndOfMessage):
        reading.requests[-1].end = at
        reading.requests[-1].complete = True
    return isinstance(event, h11.Request | h11.Data)
