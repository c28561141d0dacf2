"""Limits of connections over real sockets: slow clients, large requests and many connections."""

import contextlib
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from app.testing.clients import ME
from tests.cli.test_serve import SECRET
from tests.support.servers import Server, serving

LIMITS = {
    "HEAD_TIMEOUT_SECONDS": "1",
    "BODY_TIMEOUT_SECONDS": "1",
    "WRITE_TIMEOUT_SECONDS": "1",
    "KEEP_ALIVE_SECONDS": "1.5",
    "MAX_HEAD_BYTES": "2048",
    "MAX_CONNECTIONS": "20",
}
HEAD = b"POST /graphql HTTP/1.1\r\nhost: portico\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
BODY = b'{"query": "{ me { email } }"}'
REQUEST = HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
CLOSING = REQUEST.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
TIMEOUT_SECONDS = 6
MANY_CONNECTIONS = 3000
OTHER_FILES = 300


@pytest.fixture(scope="module")
def server(migrated_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET, **LIMITS}
    with serving(tmp_path_factory.mktemp("connections"), **settings) as running:
        yield running


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT_SECONDS)


def rest(connection: socket.socket) -> bytes:
    """Read until the connection is closed."""
    parts: list[bytes] = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def answer_to(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    received = b""
    while not received.endswith(b"}}"):
        received += connection.recv(65536)
    return received


def is_served(server: Server) -> bool:
    return httpx.post(
        f"{server.url}/graphql", json={"query": ME}, timeout=TIMEOUT_SECONDS
    ).is_success


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"POST /graphql HTTP/1.1\r\nhost: por", b"HTTP/1.1 408 Request Timeout"),
        (HEAD + b"content-length: 100\r\n\r\n{", b"HTTP/1.1 408 Request Timeout"),
        (HEAD + b"x: " + b"a" * 4000 + b"\r\n\r\n", b"HTTP/1.1 431 Request Header"),
        (HEAD + b"x: " + b"a" * 200_000, b"HTTP/1.1 431 Request Header"),
        (b"GET /?" + b"a" * 4000 + b" HTTP/1.1\r\n\r\n", b"HTTP/1.1 431 Request Header"),
        (HEAD + b"x: y\r\n" * 1000 + b"\r\n", b"HTTP/1.1 431 Request Header"),
        (CHUNKED + b"1;" + b"a" * 900_000, b"HTTP/1.1 431 Request Header"),
        (CHUNKED + b"1\r\n{\r\n0\r\n" + b"x: y\r\n" * 200_000, b"HTTP/1.1 431 Request Header"),
        (CHUNKED + b"1\r\n{\r\n0\r\nx: " + b"y" * 900_000, b"HTTP/1.1 431 Request Header"),
        (b"\x16\x03\x01\x02\x00", b"HTTP/1.1 400 Bad Request"),
        (HEAD + b"content-length: x\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
    ],
)
def test_incomplete_and_too_large_requests_are_refused(
    server: Server, sent: bytes, answer: bytes
) -> None:
    with connect(server) as connection:
        connection.sendall(sent)
        began = time.monotonic()

        received = rest(connection)

    assert received.startswith(answer)
    assert bool(received) == bool(answer)
    assert (b'{"errors":[{"message":' in received) == bool(answer)
    assert time.monotonic() - began < TIMEOUT_SECONDS - 1


def test_a_body_in_small_chunks_is_read_whole(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(CHUNKED)
        for byte in BODY:
            connection.sendall(b"1\r\n%c\r\n" % byte)

        assert b"200 OK" in answer_to(connection, b"0\r\n\r\n")


def test_a_trailer_is_not_read_as_a_header(server: Server) -> None:
    trailers = b"x-request-id: of-a-trailer\r\naccept: text/html\r\n"
    with connect(server) as connection:
        answer = answer_to(
            connection, CHUNKED + b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY) + trailers + b"\r\n"
        )

    assert b"200 OK" in answer
    assert b"of-a-trailer" not in answer


def test_sending_bytes_slowly_does_not_extend_the_timeout(server: Server) -> None:
    with connect(server) as connection:
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < TIMEOUT_SECONDS:
                connection.sendall(b"G")
                connection.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    if b"408" in connection.recv(1000):
                        break

    assert time.monotonic() - began < TIMEOUT_SECONDS - 1


def test_a_connection_is_kept_for_the_next_request_and_no_longer(server: Server) -> None:
    with connect(server) as connection:
        assert all(b"200 OK" in answer_to(connection, REQUEST) for _ in range(3))
        began = time.monotonic()

        assert rest(connection) == b""

    assert 1 < time.monotonic() - began < TIMEOUT_SECONDS - 1


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(REQUEST * 5)

        assert rest(connection).count(b"HTTP/1.1 200 OK") == 5


def test_an_answer_is_one_packet(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(REQUEST)

        assert connection.recv(65536).endswith(b'{"data":{"me":null}}')


@pytest.mark.parametrize(
    ("line", "more", "status"),
    [
        (b"POST /graphql HTTP/1.1", b"content-type: application/json\r\n", b"413"),
        (b"POST /graphql HTTP/1.1", b"content-type: text/plain\r\nconnection: close\r\n", b"415"),
        (b"POST /nowhere HTTP/1.0", b"", b"404"),
    ],
)
def test_an_early_answer_that_closes_arrives_while_the_body_is_still_sent(
    server: Server, line: bytes, more: bytes, status: bytes
) -> None:
    body = b" " * 3_000_000
    head = line + b"\r\nhost: portico\r\n" + more + b"content-length: %d\r\n\r\n" % len(body)
    for _ in range(10):
        with connect(server) as connection:
            connection.sendall(head + body)

            assert rest(connection).startswith(b"HTTP/1.1 " + status)


def test_an_answer_without_a_body_is_not_held_back(server: Server) -> None:
    with connect(server) as connection:
        connection.sendall(b"HEAD /nowhere HTTP/1.1\r\nhost: portico\r\n\r\n")
        head = connection.recv(65536)

        assert (head.startswith(b"HTTP/1.1 404"), head.endswith(b"\r\n\r\n")) == (True, True)
        assert b"200 OK" in answer_to(connection, REQUEST)


def test_a_client_that_expects_100_continue_gets_it(server: Server) -> None:
    with connect(server) as connection:
        length = b"content-length: %d\r\nexpect: 100-continue\r\n\r\n" % len(BODY)
        connection.sendall(HEAD + length)

        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert b"200 OK" in answer_to(connection, BODY)


def test_a_client_that_does_not_read_is_disconnected(server: Server) -> None:
    with connect(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(0)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 2 * TIMEOUT_SECONDS:
                with contextlib.suppress(BlockingIOError):
                    connection.send(REQUEST * 100)
                time.sleep(0.002)

    assert time.monotonic() - began < 2 * TIMEOUT_SECONDS - 1
    assert is_served(server)


@pytest.fixture
def connection_count() -> int:
    """Returns how many connections to open, after raising the limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MANY_CONNECTIONS + OTHER_FILES
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
    return limit - OTHER_FILES


@pytest.mark.parametrize(
    "first_bytes",
    [b"", HEAD, HEAD + b"content-length: 100\r\n\r\n{", REQUEST, b"\x16\x03\x01\x02\x00"],
    ids=["nothing", "half a head", "half a body", "one request", "nonsense"],
)
def test_many_connections_do_not_block_new_clients(
    server: Server, connection_count: int, first_bytes: bytes
) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(connection_count):
            connection = stack.enter_context(connect(server))
            with contextlib.suppress(ConnectionError):
                connection.sendall(first_bytes)
            assert number % 200 or is_served(server)
        assert all(is_served(server) for _ in range(20))
        assert len(psutil.Process(server.process.pid).net_connections("tcp")) < 40


def test_a_current_request_is_answered_while_the_server_stops(
    migrated_url: str, tmp_path: Path
) -> None:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET, "SHUTDOWN_DELAY_SECONDS": "1"}
    with serving(tmp_path, **settings) as server, connect(server) as kept:
        assert b"200 OK" in answer_to(kept, REQUEST)

        server.process.send_signal(signal.SIGTERM)
        stops = time.monotonic() + 1
        time.sleep(0.3)

        health = httpx.get(f"{server.url}/health/ready")
        assert (health.status_code, health.json()["reason"]) == (503, "The server is stopping.")
        assert is_served(server)
        time.sleep(max(0, stops + 0.2 - time.monotonic()))
        kept.sendall(REQUEST)
        assert b"connection: close" in rest(kept)
        assert server.process.wait(TIMEOUT_SECONDS) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_clients_that_connected_before_the_server_stopped_are_answered(
    migrated_url: str, tmp_path: Path, workers: str
) -> None:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET, "SHUTDOWN_DELAY_SECONDS": "1"}
    with serving(tmp_path, "--workers", workers, **settings) as server:
        answers: list[bytes] = []
        clients = [
            threading.Thread(target=ask_until_refused, args=(server, answers)) for _ in range(8)
        ]
        for each in clients:
            each.start()
        time.sleep(0.5)

        server.process.send_signal(signal.SIGTERM)

        for each in clients:
            each.join(TIMEOUT_SECONDS)
        assert server.process.wait(TIMEOUT_SECONDS) == 0
    assert len(answers) > 100
    assert [answer for answer in answers if b"200 OK" not in answer] == []


def ask_until_refused(server: Server, answers: list[bytes]) -> None:
    """Send each request on a new connection, until connections are refused."""
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            with connect(server) as connection:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(CLOSING)
                answers.append(rest(connection))
