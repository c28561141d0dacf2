"""Where a request ends and the next one begins, and which heads are refused, on a real server."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import Server, serving

JSON = b"Content-Type: application/json\r\n"
UPGRADES = {
    "any protocol": b"Connection: Upgrade\r\nUpgrade: x\r\n",
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n",
    "websocket": b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
}
LAST = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ALIVE = (200, {"status": "alive"})
Answer = tuple[int, object]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("framing")
    with serving(folder) as running:
        yield running


def query(name: str) -> bytes:
    return json.dumps({"query": f"{{ {name}: __typename }}"}).encode()


def answer_to(name: str) -> Answer:
    return 200, {"data": {name: "Query"}}


def post(body: bytes, *, head: bytes = b"", chunked: bool = False) -> bytes:
    start = b"POST /graphql HTTP/1.1\r\nHost: x\r\n" + JSON + head
    if not chunked:
        return b"%bContent-Length: %d\r\n\r\n%b" % (start, len(body), body)
    half = len(body) // 2
    parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]))
    return start + b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\nX-Trailer: y\r\n\r\n"


def exchange(server: Server, *parts: bytes, pause: float = 0.02) -> list[Answer]:
    """Send the parts one after the other, and read answers until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        received = b""
        with contextlib.suppress(ConnectionError):
            while more := connection.recv(65536):
                received += more
    return answers_in(received)


def answers_in(received: bytes) -> list[Answer]:
    answers: list[Answer] = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        fields = {
            name.lower(): value for name, _, value in (line.partition(b": ") for line in lines[1:])
        }
        length = int(fields.get(b"content-length", len(rest) if b"close" in head else 0))
        status = int(lines[0].split()[1])
        answers.append((status, json.loads(rest[:length]) if b"json" in head else None))
        received = rest[length:]
    return answers


def refused(answers: list[Answer], status: int) -> bool:
    """Whether there is one answer: this status, with a coded error in it."""
    [(found, body)] = answers
    return found == status and json.dumps(body).endswith('"extensions": {"code": "BAD_REQUEST"}}]}')


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
def test_a_request_that_offers_an_upgrade_keeps_its_body_and_its_order(
    server: Server, upgrade: bytes, *, chunked: bool
) -> None:
    first = post(query("first"), head=upgrade, chunked=chunked)
    second = post(query("second"), head=upgrade, chunked=chunked)
    head, end, body = first.partition(b"\r\n\r\n")
    expected = [answer_to("first"), answer_to("second"), answer_to("third"), ALIVE]
    others = (second, post(query("third")), LAST)

    assert exchange(server, b"".join((first, *others))) == expected
    assert exchange(server, head + end, body, *others) == expected
    assert exchange(server, head + end + body[:1], body[1:] + b"".join(others)) == expected


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_a_request_that_offers_an_upgrade_may_be_split_anywhere(
    server: Server, *, chunked: bool
) -> None:
    sent = post(query("first"), head=UPGRADES["h2c"], chunked=chunked)
    expected = [answer_to("first"), answer_to("second"), ALIVE]

    for at in range(1, len(sent)):
        parts = (sent[:at], sent[at:] + post(query("second")) + LAST)
        assert exchange(server, *parts, pause=0.001) == expected, at


def test_a_body_is_not_read_as_a_request(server: Server) -> None:
    hidden = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = post(hidden, head=UPGRADES["any protocol"])
    head, end, body = sent.partition(b"\r\n\r\n")

    for parts in ((sent,), (head + end, body)):
        [(status, _), last] = exchange(server, *parts, LAST)
        assert (status, last) == (400, ALIVE)


def test_an_offered_upgrade_does_not_change_expectations_and_closing(server: Server) -> None:
    body = query("first")
    closing = post(body, head=b"Connection: close, upgrade\r\nUpgrade: x\r\n")
    waiting = post(body, head=UPGRADES["h2c"] + b"Expect: 100-continue\r\n")
    head, end, _ = waiting.partition(b"\r\n\r\n")

    assert exchange(server, closing + post(query("second"))) == [answer_to("first")]
    assert exchange(server, head + end, body, LAST) == [(100, None), answer_to("first"), ALIVE]


def test_an_offered_upgrade_does_not_hide_a_body_that_is_too_large(server: Server) -> None:
    sent = post(b"", head=UPGRADES["h2c"])
    [answer] = exchange(server, sent.replace(b"Length: 0", b"Length: 1000000000"))

    assert answer[0] == 413


def test_many_offered_upgrades_in_one_read_are_answered_in_order(server: Server) -> None:
    names = [f"q{number}" for number in range(40)]
    sent = b"".join(post(query(name), head=UPGRADES["any protocol"]) for name in names)

    assert exchange(server, sent, LAST) == [*map(answer_to, names), ALIVE]


def test_a_tunnel_is_refused(server: Server) -> None:
    tunnel = b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n"

    assert refused(exchange(server, tunnel + LAST), 501)


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Host: x\r\nHost: x\r\n",
        b"Host: x\r\nhost: y\r\n",
        b"Host: x y\r\n",
        b"Host: x/y\r\n",
        b"Host: user@x\r\n",
        b"Host: x:y\r\n",
        b"Host: :80\r\n",
        b"Host: [::1\r\n",
        b"Host: [::1::2]\r\n",
        b"Host: x, y\r\n".replace(b", ", b"#"),
        b"Host: %zz\r\n",
        b"Host: \xc3\xa9\r\n",
    ],
)
def test_a_host_that_is_missing_doubled_or_malformed_is_refused(
    server: Server, lines: bytes
) -> None:
    assert refused(exchange(server, b"GET /health/live HTTP/1.1\r\n" + lines + b"\r\n" + LAST), 400)


@pytest.mark.parametrize(
    "host",
    [b"x", b"X.example:8000", b"127.0.0.1", b"[::1]:80", b"[v1.a:b]", b"", b"x:", b"a_b%20c \t"],
)
def test_a_host_in_any_form_of_the_rfc_is_served(server: Server, host: bytes) -> None:
    sent = b"GET /health/live HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"

    assert exchange(server, sent + LAST) == [ALIVE, ALIVE]


def test_http_1_0_needs_no_host_but_accepts_only_one(server: Server) -> None:
    old = b"GET /health/live HTTP/1.0\r\n"

    assert exchange(server, old + b"\r\n") == [ALIVE]
    assert refused(exchange(server, old + b"Host: x\r\nHost: x\r\n\r\n"), 400)


@pytest.mark.parametrize(
    "line",
    [
        b"GET /health/live",
        b"GET /health/live HTTP/0.9",
        b"GET /health/live HTTP/1.2",
        b"GET /health/live HTTP/2.0",
        b"GET /health/live HTTP/3.0",
        b"PRI * HTTP/2.0",
    ],
)
def test_another_version_is_refused_with_505(server: Server, line: bytes) -> None:
    assert refused(exchange(server, line + b"\r\nHost: x\r\n\r\n"), 505)


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0"])
def test_another_version_is_refused_before_the_head_has_ended(
    server: Server, version: bytes
) -> None:
    assert refused(exchange(server, b"GET / HTTP/" + version + b"\r\n"), 505)


def test_the_preface_of_http_2_is_refused_as_another_version(server: Server) -> None:
    assert refused(exchange(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505)


@pytest.mark.parametrize(
    "target",
    [b"http://x/health/live", b"HTTPS://x:8000/health/live?a=b", b"http://[::1]/health/live"],
)
def test_a_target_with_a_host_in_it_is_served(server: Server, target: bytes) -> None:
    sent = b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n"

    assert exchange(server, sent + LAST) == [ALIVE, ALIVE]


@pytest.mark.parametrize("target", [b"http://x", b"http://x?a=b", b"http://x/"])
def test_a_target_without_a_path_is_the_root(server: Server, target: bytes) -> None:
    root, absolute = (
        exchange(server, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)
        for path in (b"/", target)
    )

    assert absolute == root


@pytest.mark.parametrize("target", [b"http://u@x/", b"http:///a", b"ftp://x/", b"x:80", b"*", b"a"])
def test_an_invalid_target_is_refused(server: Server, target: bytes) -> None:
    assert refused(exchange(server, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n" + LAST), 400)


@pytest.mark.parametrize(
    ("version", "coding", "status"),
    [
        (b"1.1", b"Transfer-Encoding: gzip, chunked\r\n", 501),
        (b"1.1", b"Transfer-Encoding: xchunked\r\n", 501),
        (b"1.1", b"Transfer-Encoding: chunked, gzip\r\n", 400),
        (b"1.1", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
        (b"1.0", b"Transfer-Encoding: chunked\r\n", 400),
    ],
)
def test_an_unsupported_transfer_coding_is_refused(
    server: Server, version: bytes, coding: bytes, status: int
) -> None:
    head = b"POST /graphql HTTP/" + version + b"\r\nHost: x\r\n" + JSON + coding + b"\r\n"

    assert refused(exchange(server, head + b"5\r\nhello\r\n0\r\n\r\n" + LAST), status)


def test_a_refusal_comes_after_earlier_answers(server: Server) -> None:
    bad = b"GET / HTTP/1.1\r\n\r\n"
    expected = [answer_to("first"), answer_to("second")]

    *answers, refusal = exchange(
        server, post(query("first")) + post(query("second")) + bad + post(query("third"))
    )

    assert (answers, refused([refusal], 400)) == (expected, True)


def test_a_request_that_was_answered_early_is_not_answered_again(server: Server) -> None:
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    [(status, _)] = exchange(server, head, b"1\r\na\r\n", b"not a chunk\r\n")

    assert status == 404


def test_nothing_is_read_after_a_request_that_closes(server: Server) -> None:
    assert exchange(server, LAST + post(query("second"))) == [ALIVE]
    assert exchange(server, LAST + b"\x00\x00") == [ALIVE]


def test_an_answer_to_head_has_no_content_even_if_it_is_a_refusal(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))

    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"\r\n\r\n")


def test_space_after_a_value_is_not_part_of_it(server: Server) -> None:
    sent = post(query("first")).replace(b"\r\n\r\n", b" \t\r\n\r\n")

    assert exchange(server, sent, LAST) == [answer_to("first"), ALIVE]
