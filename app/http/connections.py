"""What one connection may take: time for a head, a body and to read answers, and bytes of a head.

uvicorn bounds none of these. How many connections there may be is the gate's.
"""

import asyncio
import socket
import struct
from typing import Any

import httptools
import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from app.errors import Code
from app.graphql.errors import coded
from app.http.gate import GATE, Gate
from app.http.whole import WholeAnswer

# Whoever is sending a request while the server stops is answered, and a refusal can be read.
LINGER_SECONDS = 0.5
FORGET = struct.pack("ii", 1, 0)


class BoundedConnection(HttpToolsProtocol):
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
        self._limits = self._gate.limits
        self._head_bytes = 0
        # What came after the head and is no part of the body: sizes of chunks, and trailers.
        self._other_bytes = 0
        self._reads_head, self._owes_body = True, False
        self._refused = self._stopping = self._lost = False
        # When the other side has taken too long to send, or to read; None while it is our turn.
        self._until: float | None = None
        self._read_until: float | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self._gate.admit(self):
            self._wait(self._limits.head_seconds)
        else:
            self._refuse(503, "Too many connections. Try again.", Code.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._gate.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        parser = self.parser
        if self._refused or parser is None:
            return
        if self._reads_head:
            if self._head_bytes == 0 and self._current() is not None:
                # The next request of a connection that was kept.
                self._until = self.loop.time() + self._limits.head_seconds
            self._head_bytes += len(data)
        else:
            self._other_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Nothing of ours speaks another protocol: it is answered as the request that it is.
            return
        except httptools.HttpParserError:
            self._refuse(400, "This is not HTTP.", Code.BAD_REQUEST)
        if self._owes_body and not self._refused:
            # A crowd that never sends it must not keep others out; most came with their heads.
            self._owes_body = False
            self._wait(self._limits.body_seconds)
        most = self._limits.head_bytes
        if self._other_bytes > most or (self._reads_head and self._head_bytes > most):
            self._refuse_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer is no header (RFC 9110, 6.5.1): whoever stands before us has not looked at it.
        if self._reads_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._reads_head = False
        if self._head_bytes > self._limits.head_bytes and self._has_too_big_a_head():
            self._refuse_head()
            return
        self._owes_body = True
        super().on_headers_complete()
        if self._stopping or self._gate.stopping.begun:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        whole: Any = WholeAnswer(app, cycle)
        super()._start_asgi_task(cycle, whole)

    def on_body(self, body: bytes) -> None:
        self._other_bytes -= len(body)
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._head_bytes, self._other_bytes, self._reads_head = 0, 0, True
        self._owes_body = False
        if not self.cycle.response_complete:
            self._until = None
            self._gate.waiting.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        # As in uvicorn, but for its timer.
        self.server_state.total_requests += 1
        if self._refused:
            return
        if self.transport.is_closing():
            # It is, as soon as the other side has read all of it.
            self._until = self.loop.time() + self._limits.write_seconds
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
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
            self._refuse(408, "The request took too long to arrive.", Code.BAD_REQUEST)
        else:
            self.drop()

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
        cycle = self._current()
        return cycle is None or cycle.response_complete

    def _current(self) -> RequestResponseCycle | None:
        # Declared as always there, it is None until the first head is complete.
        return self.cycle

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _has_too_big_a_head(self) -> bool:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        return size > self._limits.head_bytes

    def _refuse_head(self) -> None:
        kib = self._limits.head_bytes // 1024
        words = f"The head of a request, and its trailers, have at most {kib} KiB."
        self._refuse(431, words, Code.BAD_REQUEST)

    def _refuse(self, status: int, message: str, code: Code) -> None:
        """Answer in the application's stead, once; what else is sent is read and forgotten."""
        if self._refused:
            return
        self._refused, self._until = True, None
        self._gate.wait_for(self)
        cycle = self._current()
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        body = orjson.dumps({"errors": [coded(message, code)]})
        head = b"content-type: application/json; charset=utf-8\r\ncontent-length: %d\r\n"
        self.transport.write(STATUS_LINE[status] + head % len(body) + b"connection: close\r\n\r\n")
        self.transport.write(body)
        # Closed at once, what is still on its way here would make the system take the answer back.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.drop)
