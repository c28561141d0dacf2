"""Behaviour of a real server over raw sockets."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.servers import Server, serving

ASK = json.dumps({"query": "{ __typename }"}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("wire")
    with serving(folder) as running:
        yield running


def exchange(server: Server, request: bytes) -> bytes:
    """Send bytes as they are, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while b"}" not in answer and (received := connection.recv(65536)):
                answer += received
        except TimeoutError:
            pass
        return answer


def test_a_websocket_is_refused_before_it_opens(server: Server) -> None:
    answer = exchange(
        server,
        b"GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 4")
    assert b"101 Switching" not in answer


def test_a_declared_length_that_is_too_large_is_refused_unread(server: Server) -> None:
    answer = exchange(
        server,
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 1000000000\r\n\r\n{",
    )

    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"BAD_REQUEST"' in answer


def test_a_chunked_body_that_grows_too_large_is_refused(server: Server) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 4096

    answer = httpx.post(
        f"{server.url}/graphql", content=endless(), headers={"content-type": "application/json"}
    )

    assert answer.status_code == 413


def test_a_chunked_body_is_read_whole(server: Server) -> None:
    answer = httpx.post(
        f"{server.url}/graphql",
        content=iter([ASK[:5], ASK[5:9], ASK[9:]]),
        headers={"content-type": "application/json"},
    )

    assert answer.json() == {"data": {"__typename": "Query"}}


def test_there_is_no_server_banner(server: Server) -> None:
    answer = httpx.get(f"{server.url}/health/live")

    assert "server" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
