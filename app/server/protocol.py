"""What one connection may take: time for a head, a body and to read answers, and bytes of a head.

How many connections there may be is the gate's.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from app.errors import Code
from app.http.cors import CORS, Cors, origin_in
from app.http.refusals import CONTENT_TYPE, refusal_body
from app.server.connection_limits import GATE, Gate
from app.server.framing import FramedConnection
from app.server.head_rules import NO_VERSION
from app.server.single_write import WholeAnswer

# Whoever is sending a request while the server stops is answered, and a refusal can be read.
LINGER_SECONDS = 0.5
# How long the rest of a body is read and forgotten behind an answer that closes the connection.
BODY_LINGER_SECONDS = 2.0
FORGET = struct.pack("ii", 1, 0)


class ClosingGently:
    """The transport of a connection as an answer sees it: closing it is left to the connection."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write, self.is_closing, self.close = transport.write, transport.is_closing, close


class BoundedConnection(FramedConnection):
    """One connection: it waits for a request, reads its head, reads its body, or is answered."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._gate: Gate = app_state[GATE]
        self._cors: Cors = app_state[CORS]
        self._limits = self._gate.limits
        self._head_bytes = 0
        # What came after the head and is no part of the body: sizes of chunks, and trailers.
        self._other_bytes = 0
        self._owes_body = False
        # What is written in the application's stead, once it is clear to which request.
        self._refusal: bytes | None = None
        # The request that the application has begun to answer last.
        self._running: RequestResponseCycle | None = None
        self._stopping = self._lost = self._lingers = False
        # When the other side has taken too long to send, or to read; None while it is our turn.
        self._until: float | None = None
        self._read_until: float | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._closing_gently: Any = ClosingGently(transport, self.close_gently)
        if self._gate.admit(self):
            self._wait(self._limits.head_seconds)
        else:
            self.refuse(503, "Too many connections. Try again.", Code.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._gate.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ignores_input or self._lost:
            return
        if self.reads_head:
            if self._head_bytes == 0 and self._running is not None:
                # The next request of a connection that was kept.
                self._until = self.loop.time() + self._limits.head_seconds
            self._head_bytes += len(data)
        else:
            self._other_bytes += len(data)
        self.feed(data)
        if self._owes_body and not self._ignores_input:
            # A crowd that never sends it must not keep others out; most came with their heads.
            self._owes_body = False
            self._wait(self._limits.body_seconds)
        most = self._limits.head_bytes
        if self._other_bytes > most or (self.reads_head and self._head_bytes > most):
            self._refuse_head()
        elif self.reads_head and self._head_bytes and self.has_bad_version():
            # Such a client may wait for an answer without having sent the end of a head.
            self.refuse(*NO_VERSION)

    def head_was_read(self) -> None:
        self._owes_body = True
        if self._stopping or self._gate.stopping.begun:
            self.cycle.keep_alive = False

    def refuses_head(self) -> bool:
        limit = self._limits.head_bytes
        if self._head_bytes > limit and self._size_of_head() > limit:
            self._refuse_head()
        return self._ignores_input

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        cycle.transport = self._closing_gently
        whole: Any = WholeAnswer(app, cycle)
        super()._start_asgi_task(cycle, whole)

    def on_body(self, body: bytes) -> None:
        self._other_bytes -= len(body)
        super().on_body(body)

    def request_was_read(self) -> None:
        self._head_bytes, self._other_bytes = 0, 0
        self._owes_body = False
        if not self.cycle.response_complete:
            self._until = None
            self._gate.waiting.pop(self, None)
        elif self._ignores_input:
            self.transport.close()

    def on_response_complete(self) -> None:
        # As in uvicorn, but for its timer.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        if self._lingers:
            return
        if self.transport.is_closing():
            # It is, as soon as the other side has read all of it.
            self._until = self.loop.time() + self._limits.write_seconds
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._refusal is not None:
            self._write_refusal()
        else:
            self._wait(self._limits.keep_alive_seconds)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._read_until = self.loop.time() + self._limits.write_seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_until = None

    def shutdown(self) -> None:
        """Answer what is under way, and what is being sent at this moment, then close."""
        self._stopping = True
        if self._is_idle():
            self.loop.call_later(LINGER_SECONDS, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def is_late(self, now: float) -> bool:
        return any(until is not None and now >= until for until in (self._until, self._read_until))

    def time_out(self) -> None:
        """Close it. Whoever has begun a request is told why."""
        if self.transport.get_write_buffer_size():
            # They do not read what they were sent: nor would they read this.
            self.drop()
        elif self._head_bytes or not self._is_idle():
            self.refuse(408, "The request took too long to arrive.", Code.BAD_REQUEST)
        else:
            self.drop()

    def close_gently(self) -> None:
        """Close behind an answer, and let it arrive though the body of its request still does.

        Closed at once, the system would answer the rest of the body by resetting the connection,
        and with it take back what the other side has not read yet (RFC 9112, 9.6).
        """
        running = self._running
        if running is None or not running.more_body or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._lingers = self._ignores_input = True
        self.transport.write_eof()
        self.loop.call_later(BODY_LINGER_SECONDS, self.drop)

    def drop(self) -> None:
        """Close it, and keep nothing for it: neither here nor in the system's buffers."""
        if self._lost:
            return
        self._gate.leave(self)
        connected: Any = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, FORGET)
        self.transport.abort()

    def _wait(self, seconds: float) -> None:
        """Wait for a request, or its body, behind those that wait already."""
        self._until = self.loop.time() + seconds
        self._gate.wait_for(self)

    def _is_idle(self) -> bool:
        running = self._running
        return not self.pipeline and (running is None or running.response_complete)

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse_head(self) -> None:
        kib = self._limits.head_bytes // 1024
        self.refuse(431, f"The head of a request, and its trailers, have at most {kib} KiB.")

    def refuse(self, status: int, message: str, code: Code = Code.BAD_REQUEST) -> None:
        """Answer in the application's stead, once; what else is sent is read and forgotten.

        Requests that came before are answered first (RFC 9112, 9.3.2), and one that has had its
        answer gets no other.
        """
        if self._ignores_input:
            return
        self._ignores_input, self._until = True, None
        self._gate.wait_for(self)
        self._refusal = self._refusal_of(status, message, code)
        if not self.reads_head:
            self._give_up(self.cycle)
        if self._is_idle():
            self._write_refusal()

    def _refusal_of(self, status: int, message: str, code: Code) -> bytes:
        body = refusal_body(message, code)
        headers = (
            (b"content-type", CONTENT_TYPE),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *self._cors.headers_for(origin_in(self._headers_so_far())),
        )
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        content = b"" if self.parser.get_method() == b"HEAD" else body
        return STATUS_LINE[status] + lines + b"\r\n" + content

    def _headers_so_far(self) -> list[tuple[bytes, bytes]]:
        """Returns those of the request that is being read; uvicorn has no list before the first."""
        headers: list[tuple[bytes, bytes]] | None = self.headers
        return headers or []

    def _give_up(self, cycle: RequestResponseCycle) -> None:
        """Answer a request, whose body is being read, no more; the application hears of it."""
        if self.pipeline and self.pipeline[0][0] is cycle:
            # It has not begun: those before it still run.
            self.pipeline.popleft()
            return
        if cycle.response_started:
            self._refusal = b""
        cycle.disconnected, cycle.waiting_for_100_continue = True, False
        cycle.message_event.set()
        self._running = None

    def _write_refusal(self) -> None:
        if self._refusal:
            self.transport.write(self._refusal)
        # Closed at once, what is still on its way here would make the system take the answer back.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.drop)
