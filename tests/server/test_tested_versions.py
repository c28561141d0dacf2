"""The tested versions of uvicorn and httptools, and what Portico does on others."""

import tomllib
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from app.server.tested_versions import TESTED, installed_versions
from tests.cli.test_serve import SECRET
from tests.server.test_request_framing import LAST, answer_to, exchange, post, query, refused
from tests.support.servers import ROOT, Server, serving_untested
from tests.wire import portico
from tests.wire.applications import PORTICO
from tests.wire.fuzzing import Fuzzing

WARNING = (
    "portico: uvicorn 0.0.0 and httptools 0.0.0 are installed, this release is tested with "
    f"{TESTED}: serving on uvicorn's h11 protocol, slower, without time limits for requests and "
    "without SHUTDOWN_DELAY_SECONDS.\n"
)
ALIVE = (200, {"status": "alive"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving_untested(tmp_path_factory.mktemp("untested"), ACCESS_LOG="false") as running:
        yield running


def pinned(name: str) -> set[str]:
    """Returns every version of a package in the project and its locks."""
    project: Any = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    lines = [*project["project"]["dependencies"], *lock]
    return {line.split()[0] for line in lines if line.startswith((f"{name}=", f"{name}>"))}


def test_the_tested_versions_are_installed() -> None:
    assert installed_versions() == TESTED
    assert pinned("uvicorn") == {f"uvicorn=={TESTED.uvicorn}"}
    assert pinned("httptools") == {f"httptools=={TESTED.httptools}"}


def test_other_versions_are_named_in_one_line(server: Server) -> None:
    assert server.output.count(WARNING) == 1


def test_on_other_versions_requests_that_offer_an_upgrade_keep_their_bodies(server: Server) -> None:
    offers = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    first = post(query("first"), head=offers)
    second = post(query("second"), head=offers, chunked=True)

    assert exchange(server, first + second, LAST) == [
        answer_to("first"),
        answer_to("second"),
        ALIVE,
    ]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: x/y\r\n\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
def test_on_other_versions_invalid_heads_are_refused_too(
    server: Server, sent: bytes, status: int
) -> None:
    assert refused(exchange(server, sent), status)


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"]
)
def test_on_other_versions_a_host_that_is_missing_or_doubled_is_refused(
    server: Server, head: bytes
) -> None:
    [(status, _)] = exchange(server, head + LAST)

    assert status == 400


def test_on_other_versions_a_target_with_a_host_in_it_is_served(server: Server) -> None:
    sent = b"GET http://x/health/live?a HTTP/1.1\r\nHost: x\r\n\r\n"

    assert exchange(server, sent, LAST) == [ALIVE, ALIVE]


async def test_on_other_versions_each_request_of_a_stream_is_answered_in_order(
    server: Server,
) -> None:
    fuzzing = Fuzzing(server.port, PORTICO, partial(portico.stream_of, "untested"))

    await fuzzing.run(lambda sent: sent < 200)

    assert fuzzing.sent == 200


def test_on_other_versions_several_workers_serve_and_stop(
    migrated_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET}
    with serving_untested(tmp_path_factory.mktemp("workers"), 2, **settings) as server:
        assert httpx.get(f"{server.url}/health/live").json() == {"status": "alive"}
        assert server.stop() == 0
