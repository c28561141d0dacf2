"""An application that echoes requests, behind the protocols that are fuzzed."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from http.client import HTTPResponse
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from app.http.cors import CORS, Cors
from app.server.connection_limits import LIMITER, ConnectionLimiter, ConnectionLimits
from app.server.head_checks import HeadChecks
from app.server.protocol import LimitedHttpProtocol
from tests.wire.second_parser import EARLY, Request

MODES = ("ours", "h11")
LIMITS = ConnectionLimits(head_seconds=3, body_seconds=3, keep_alive_seconds=3)
SLOW_SECONDS = 0.003
NO_ORIGINS = Cors.of(())


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Echo the request: `/early` without reading the body, `/slow` after a delay."""
    body = b"" if scope["path"].startswith(EARLY.decode()) else await _body(receive)
    if body is None:
        return
    if scope["path"].startswith("/slow"):
        await asyncio.sleep(SLOW_SECONDS)
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    label = label_of(scope["method"].encode(), target, body)
    headers = [(b"content-length", b"0"), (b"x-asked", label)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _body(receive: Any) -> bytes | None:
    """Read a body; returns None if the client disconnected."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


def label_of(method: bytes, target: bytes, body: bytes) -> bytes:
    """Returns a value of a header that identifies a request."""
    return b"%b %b %b" % (method, target, hashlib.sha256(body).hexdigest().encode())


def label_of_echo(response: HTTPResponse) -> bytes | None:
    said = response.getheader("x-asked")
    return None if said is None else said.encode("latin-1")


def echo_of(request: Request) -> bytes:
    """Returns the label that `echo` sends for a request."""
    body = b"" if request.origin.startswith(EARLY) else request.body
    path, _, query = request.origin.partition(b"?")
    return label_of(request.method, path + b"?" + query if query else path, body)


class _Faults(logging.Handler):
    """Collects errors that a server logs, and exceptions of the event loop."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


@contextmanager
def _without_faults() -> Generator[None]:
    faults = _Faults()
    loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
    for logger in loggers:
        logger.addHandler(faults)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(faults)
    assert faults.found == [], faults.found


@asynccontextmanager
async def echoing(mode: str) -> AsyncGenerator[int]:
    """Serve `echo` in this process; yields the port."""
    application: Any = HeadChecks(echo, NO_ORIGINS) if mode == "h11" else echo
    config = uvicorn.Config(
        application, interface="asgi3", http="h11", log_config=None, ws="none", server_header=False
    )
    config.load()
    limiter = ConnectionLimiter(LIMITS)
    make: Any = LimitedHttpProtocol if mode == "ours" else config.http_protocol_class
    state, of_app = ServerState(), {LIMITER: limiter, CORS: NO_ORIGINS}
    listening = await asyncio.get_running_loop().create_server(
        lambda: make(config=config, server_state=state, app_state=of_app), "127.0.0.1", 0
    )
    timeouts = asyncio.create_task(limiter.enforce_timeouts())
    # The logs of uvicorn's own protocol are not checked.
    try:
        with _without_faults() if mode == "ours" else nullcontext():
            yield listening.sockets[0].getsockname()[1]
    finally:
        timeouts.cancel()
        listening.close()
