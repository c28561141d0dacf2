"""Fake poolers: one refuses start-up parameters as PgBouncer does, the other ends connections late.

Everything else is forwarded unchanged. `.ci/environments/databases.py` tests PgBouncer itself.
"""

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.database.libpq.hosts import Host
from tests.support.servers import free_port

# The parameters that PgBouncer 1.18 tracks, and those that are always sent.
KNOWN = {
    b"user",
    b"database",
    b"client_encoding",
    b"datestyle",
    b"timezone",
    b"standard_conforming_strings",
    b"application_name",
}
TLS_REQUEST = 80877103
LENGTH = 4


@asynccontextmanager
async def refusing_pooler(server: Host) -> AsyncGenerator[int]:
    """Yields the port on which it listens on 127.0.0.1."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _serve(server, reader, writer)

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield port


@asynccontextmanager
async def late_pooler(server: Host) -> AsyncGenerator[int]:
    """Forwards why the server ends a connection, and leaves the end of it to the client."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await _connect(server)
        forwarding = asyncio.create_task(_forward(there[0], writer))
        await _pass(reader, there[1])
        await forwarding
        writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        yield port


async def _serve(server: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    packet = await _packet(reader)
    while _kind(packet) == TLS_REQUEST:
        writer.write(b"N")
        packet = await _packet(reader)
    names = packet[2 * LENGTH :].split(b"\0")[::2]
    refused = [name for name in names if name and name.lower() not in KNOWN]
    if refused:
        writer.write(_error(b"unsupported startup parameter: " + refused[0]))
        await writer.drain()
        writer.close()
        return
    there = await _connect(server)
    there[1].write(packet)
    await asyncio.gather(_pass(reader, there[1]), _pass(there[0], writer))


async def _connect(server: Host) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if server.is_socket:
        return await asyncio.open_unix_connection(f"{server.address}/.s.PGSQL.{server.port}")
    return await asyncio.open_connection(server.address, server.port)


async def _packet(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(LENGTH)
    return length + await reader.readexactly(struct.unpack("!i", length)[0] - LENGTH)


def _kind(packet: bytes) -> int:
    return struct.unpack("!i", packet[LENGTH : 2 * LENGTH])[0]


def _error(message: bytes) -> bytes:
    fields = b"SFATAL\0C08P01\0M" + message + b"\0\0"
    return b"E" + struct.pack("!i", len(fields) + LENGTH) + fields


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _forward(reader, writer)
    writer.close()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
