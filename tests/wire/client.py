"""Sends a stream in its parts, and reads until the server has answered."""

import asyncio
import contextlib
import socket

from tests.wire.second_parser import End, Reading
from tests.wire.streams import Stream
from tests.wire.verdict import Application, Received, answers_in

# How long a server may wait for the rest of a request.
PATIENCE_SECONDS = 6
# How long to wait for answers that should not come.
QUIET_SECONDS = 0.3


async def exchange(
    port: int, stream: Stream, reading: Reading, application: Application
) -> Received:
    """Send and read."""
    quiet = reading.end is End.INCOMPLETE and not application.gives_up
    with socket.socket() as connection:
        connection.setblocking(False)  # noqa: FBT003 - the socket's own interface
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        sending = asyncio.create_task(_send(connection, stream))
        if quiet:
            await sending
        received, closed = await _receive(connection, QUIET_SECONDS if quiet else PATIENCE_SECONDS)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    methods = [request.method for request in reading.requests]
    answers, rest = answers_in(received, methods, application)
    return Received(answers, closed, rest)


async def _send(connection: socket.socket, stream: Stream) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        for part in stream.parts():
            await loop.sock_sendall(connection, part)
            await asyncio.sleep(stream.pause)


async def _receive(connection: socket.socket, patience: float) -> tuple[bytes, bool]:
    """Returns the received bytes, and whether the server closed."""
    loop = asyncio.get_running_loop()
    received = b""
    while True:
        try:
            more = await asyncio.wait_for(loop.sock_recv(connection, 65536), patience)
        except TimeoutError:
            return received, False
        except OSError:
            return received, True
        if not more:
            return received, True
        received += more
