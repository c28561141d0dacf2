"""One HTTP connection, with limits on the time and size of heads, bodies and answers.

`ConnectionLimiter` limits the number of connections.
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
from app.server.connection_limits import LIMITER, ConnectionLimiter
from app.server.framing import StrictHttpProtocol
from app.server.head_rules import UNSUPPORTED_VERSION
from app.server.single_write import SingleWriteResponse

# How long to wait for a request that was sent before the server stops, or for a client to read a
# refusal.
LINGER_SECONDS = 0.5
# How long the rest of a body is read and discarded after an answer that closes the connection.
BODY_LINGER_SECONDS = 2.0
# The value of SO_LINGER with which `close` resets a connection and discards what was not sent.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class LingeringTransport:
    """The transport that an answer is written to. The protocol decides when to close it."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write, self.is_closing, self.close = transport.write, transport.is_closing, close


class LimitedHttpProtocol(StrictHttpProtocol):
    """One connection: it waits for a request, reads its head or its body, or is being answered."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limiter: ConnectionLimiter = app_state[LIMITER]
        self._cors: Cors = app_state[CORS]
        self._limits = self._limiter.limits
        self._head_bytes = 0
        # Received after the head, and not part of the body: sizes of chunks and trailers.
        self._framing_bytes = 0
        self._expects_body = False
        # Written instead of the application's answer, after all earlier requests are answered.
        self._refusal: bytes | None = None
        # The last request that was passed to the application.
        self._running: RequestResponseCycle | None = None
        self._is_stopping = self._is_lost = self._is_lingering = False
        # When the client has taken too long to send; None while the application answers.
        self._deadline: float | None = None
        # When the client has taken too long to read; None while it keeps up.
        self._read_deadline: float | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._lingering_transport: Any = LingeringTransport(transport, self.close_lingering)
        if self._limiter.admit(self):
            self._wait(self._limits.head_seconds)
        else:
            self.refuse(503, "Too many connections. Try again.", Code.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._limiter.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ignores_input or self._is_lost:
            return
        if self.is_reading_head:
            if self._head_bytes == 0 and self._running is not None:
                # The next request of a connection that was kept alive.
                self._deadline = self.loop.time() + self._limits.head_seconds
            self._head_bytes += len(data)
        else:
            self._framing_bytes += len(data)
        self.feed(data)
        if self._expects_body and not self._ignores_input:
            # Clients that never send it must not take the places of others. Most bodies arrive
            # with their heads.
            self._expects_body = False
            self._wait(self._limits.body_seconds)
        max_bytes = self._limits.head_bytes
        if self._framing_bytes > max_bytes or (
            self.is_reading_head and self._head_bytes > max_bytes
        ):
            self._refuse_large_head()
        elif self.is_reading_head and self._head_bytes and self.has_unsupported_version():
            # Such a client may wait for an answer before it has sent the end of a head.
            self.refuse(*UNSUPPORTED_VERSION)

    def on_head_read(self) -> None:
        self._expects_body = True
        if self._is_stopping or self._limiter.shutdown.has_begun:
            self.cycle.keep_alive = False

    def refuses_head(self) -> bool:
        max_bytes = self._limits.head_bytes
        if self._head_bytes > max_bytes and self._head_size() > max_bytes:
            self._refuse_large_head()
        return self._ignores_input

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        cycle.transport = self._lingering_transport
        response: Any = SingleWriteResponse(app, cycle)
        super()._start_asgi_task(cycle, response)

    def on_body(self, body: bytes) -> None:
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_request_read(self) -> None:
        self._head_bytes, self._framing_bytes = 0, 0
        self._expects_body = False
        if not self.cycle.response_complete:
            self._deadline = None
            self._limiter.remove_waiting(self)
        elif self._ignores_input:
            self.transport.close()

    def on_response_complete(self) -> None:
        # As in uvicorn, but without its keep-alive timer.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        if self._is_lingering:
            return
        if self.transport.is_closing():
            # It closes when the client has read the whole answer.
            self._deadline = self.loop.time() + self._limits.write_seconds
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
        self._read_deadline = self.loop.time() + self._limits.write_seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_deadline = None

    def shutdown(self) -> None:
        """Answer current requests, and one that is being sent at this moment, then close."""
        self._is_stopping = True
        if self._is_idle():
            self.loop.call_later(LINGER_SECONDS, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def has_timed_out(self, now: float) -> bool:
        deadlines = (self._deadline, self._read_deadline)
        return any(deadline is not None and now >= deadline for deadline in deadlines)

    def close_for_timeout(self) -> None:
        """Close the connection, with a 408 if the client has begun a request."""
        if self.transport.get_write_buffer_size():
            # The client does not read the last answer: it would not read this one either.
            self.abort()
        elif self._head_bytes or not self._is_idle():
            self.refuse(408, "The request took too long to arrive.", Code.BAD_REQUEST)
        else:
            self.abort()

    def close_lingering(self) -> None:
        """Close after an answer, but keep reading for a while if the client still sends a body.

        If it was closed at once, the kernel would reset the connection when more of the body
        arrives, and the client would lose what it has not read yet (RFC 9112, 9.6).
        """
        running = self._running
        if running is None or not running.more_body or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._is_lingering = self._ignores_input = True
        self.transport.write_eof()
        self.loop.call_later(BODY_LINGER_SECONDS, self.abort)

    def abort(self) -> None:
        """Reset the connection, and free its memory here and in the kernel."""
        if self._is_lost:
            return
        self._limiter.remove(self)
        connected: Any = self.transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()

    def _wait(self, seconds: float) -> None:
        """Wait for a request or its body for some seconds, as the newest waiting connection."""
        self._deadline = self.loop.time() + seconds
        self._limiter.add_waiting(self)

    def _is_idle(self) -> bool:
        running = self._running
        return not self.pipeline and (running is None or running.response_complete)

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse_large_head(self) -> None:
        kib = self._limits.head_bytes // 1024
        self.refuse(431, f"The head of a request, and its trailers, have at most {kib} KiB.")

    def refuse(self, status: int, message: str, code: Code = Code.BAD_REQUEST) -> None:
        """Answer once instead of the application; what is received later is discarded.

        Earlier requests are answered first (RFC 9112, 9.3.2), and one that was already answered
        gets no second answer.
        """
        if self._ignores_input:
            return
        self._ignores_input, self._deadline = True, None
        self._limiter.add_waiting(self)
        self._refusal = self._refusal_bytes(status, message, code)
        if not self.is_reading_head:
            self._abandon(self.cycle)
        if self._is_idle():
            self._write_refusal()

    def _refusal_bytes(self, status: int, message: str, code: Code) -> bytes:
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
        """Returns the headers of the request that is being read. At first uvicorn has None."""
        headers: list[tuple[bytes, bytes]] | None = self.headers
        return headers or []

    def _abandon(self, cycle: RequestResponseCycle) -> None:
        """Stop answering a request whose body is being read; the application sees a disconnect."""
        if self.pipeline and self.pipeline[0][0] is cycle:
            # It has not been started: earlier ones are still running.
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
        # If it was closed at once, bytes that still arrive would make the kernel reset the
        # connection, and the client would lose the answer.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.abort)
