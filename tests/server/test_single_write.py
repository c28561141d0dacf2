"""Answers on the wire: nothing is lost or smuggled, in whatever parts an application sends them."""

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.http.cors import CORS, Cors
from app.server.connection_limits import LIMITER, ConnectionLimiter, ConnectionLimits
from app.server.protocol import LimitedHttpProtocol

GET = b"GET / HTTP/1.1\r\nhost: portico\r\n\r\n"
LENGTH = (b"content-length", b"5")
LAST = {"type": "http.response.body", "body": b"whole"}


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def answer(*messages: dict[str, Any], request: bytes = GET) -> bytes:
    """Returns the bytes of an application that sends these messages."""

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    config = uvicorn.Config(application, interface="asgi3", log_config=None, ws="none")
    config.load()
    state = {LIMITER: ConnectionLimiter(ConnectionLimits()), CORS: Cors.of(())}
    listening = await asyncio.get_running_loop().create_server(
        lambda: LimitedHttpProtocol(config, ServerState(), state), "127.0.0.1", 0
    )
    async with listening:
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        writer.write(request)
        received = await _until_quiet(reader)
        writer.close()
    return received


async def _until_quiet(reader: asyncio.StreamReader) -> bytes:
    received = b""
    while True:
        try:
            more = await asyncio.wait_for(reader.read(65536), 0.2)
        except TimeoutError:
            return received
        if not more:
            return received + b"(closed)"
        received += more


async def test_a_complete_answer_has_its_head_and_its_body() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-odd: a\tb\r\n\r\n"

    assert await answer(start(LENGTH, (b"x-odd", b"a\tb")), LAST) == head + b"whole"


async def test_an_answer_in_parts_is_sent_in_parts() -> None:
    parts = part(b"wh", more=True), part(b"ole", more=False)
    chunks = b"2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n"

    assert (await answer(start(LENGTH), *parts)).endswith(b"\r\n\r\nwhole")
    assert (await answer(start(), *parts)).endswith(b"chunked\r\n\r\n" + chunks)


async def test_an_answer_to_head_has_no_body() -> None:
    head = await answer(start(LENGTH), LAST, request=GET.replace(b"GET", b"HEAD"))

    assert head == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


async def test_an_answer_may_close_the_connection() -> None:
    closing = start(LENGTH, (b"connection", b"close"))
    old = GET.replace(b"1.1", b"1.0")

    assert (await answer(closing, LAST)).endswith(b"\r\n\r\nwhole(closed)")
    assert b"connection: close" in await answer(start(LENGTH), LAST, request=old)


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\0b"])
async def test_a_header_cannot_inject_another_one(value: bytes) -> None:
    refused = await answer(start(LENGTH, (b"x-odd", value)), LAST)

    assert refused.startswith(b"HTTP/1.1 500") or refused == b"(closed)"
    assert value not in refused


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([], id="nothing"),
        pytest.param([start(LENGTH)], id="no body"),
        pytest.param([start(LENGTH), start(LENGTH), LAST], id="two heads"),
        pytest.param([start((b"content-length", b"6")), LAST], id="a longer length"),
        pytest.param([start((b"content-length", b"4")), LAST], id="a shorter length"),
        pytest.param([LAST], id="no head"),
    ],
)
async def test_invalid_messages_are_not_sent_as_an_answer(messages: list[dict[str, Any]]) -> None:
    received = await answer(*messages)

    assert received.startswith(b"HTTP/1.1 500") or received.endswith(b"(closed)")
    assert not received.endswith(b"whole")


async def test_what_follows_an_answer_is_not_sent() -> None:
    received = await answer(start(LENGTH), LAST, LAST)

    assert (received.count(b"HTTP/1.1 200"), received.count(b"whole")) == (1, 1)
