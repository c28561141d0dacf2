"""CORS: what scripts of other origins may send, and what they can read of every answer."""

import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from app.testing.clients import Api
from app.testing.settings import settings_for
from app.text.origins import LOOPBACK_ORIGINS
from tests.cli.test_serve import SECRET
from tests.support.servers import Server, serving, serving_untested

ORIGINS = "https://app.example, http://localhost:5173, https://*.preview.example"
ORIGIN = "https://app.example"
PREVIEW = "https://a.preview.example"
STRANGER = "https://evil.example"
ASK = json.dumps({"query": "{ __typename }"})
JSON = {"content-type": "application/json"}
EXPOSED = "allow, date, retry-after, x-request-id"
# Headers that Sentry, OpenTelemetry, Datadog and Apollo add.
INSTRUMENTED = (
    "authorization,baggage,content-type,sentry-trace,traceparent,tracestate,"
    "x-datadog-origin,x-datadog-trace-id,apollographql-client-name"
)
OF_CORS = ("access-control-", "vary")


@pytest.fixture(scope="module")
async def site(settings: Settings) -> AsyncIterator[Api]:
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    app = create_app(settings_for(url, cors_origins=ORIGINS))
    async with app.router.lifespan_context(app), Api.of(app) as api:
        yield api


def of_cors(response: httpx.Response) -> dict[str, str]:
    return {name: text for name, text in response.headers.items() if name.startswith(OF_CORS)}


async def preflight(site: Api, origin: str, headers: str | None, method: str = "POST") -> Any:
    asked = {"origin": origin, "access-control-request-method": method}
    if headers is not None:
        asked["access-control-request-headers"] = headers
    return await site.http.options("/graphql", headers=asked)


@pytest.mark.parametrize(
    "headers", [None, "content-type", INSTRUMENTED, "x-whatever, X-Other", "x" * 4096]
)
async def test_an_allowed_origin_may_send_all_headers_that_it_requests(
    site: Api, headers: str | None
) -> None:
    response = await preflight(site, ORIGIN, headers)

    allowed = {} if headers is None else {"access-control-allow-headers": headers}
    assert (response.status_code, response.content) == (204, b"")
    assert of_cors(response) == allowed | {
        "access-control-allow-origin": ORIGIN,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, HEAD, POST",
        "access-control-max-age": "7200",
        "access-control-expose-headers": EXPOSED,
        "vary": "access-control-request-headers, origin",
    }


@pytest.mark.parametrize("headers", ["a b", "a,", ",a", "a,,b", "a:b", "ä", "x" * 4097, "a\x01b"])
async def test_invalid_names_of_headers_are_not_echoed(site: Api, headers: str) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
    names: list[tuple[bytes, bytes]] = [
        *((name.encode(), value.encode()) for name, value in asked.items()),
        (b"access-control-request-headers", headers.encode("latin-1")),
    ]

    response = await site.http.options("/graphql", headers=names)

    assert response.status_code == 400
    assert "access-control-allow-headers" not in response.headers
    assert response.headers["access-control-allow-origin"] == ORIGIN


async def test_names_in_two_headers_are_not_echoed(site: Api) -> None:
    names = [
        ("origin", ORIGIN),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "a"),
        ("access-control-request-headers", "b"),
    ]

    response = await site.http.options("/graphql", headers=names)

    assert (response.status_code, "access-control-allow-headers" in response.headers) == (
        400,
        False,
    )


async def test_a_preflight_of_another_origin_allows_nothing(site: Api) -> None:
    response = await preflight(site, STRANGER, INSTRUMENTED)

    assert (response.status_code, of_cors(response)) == (403, {"vary": "origin"})
    assert response.json()["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}


async def test_an_answer_can_be_read_by_an_allowed_origin_and_varies_for_caches(site: Api) -> None:
    async def ask(**headers: str) -> dict[str, str]:
        answer = await site.http.post("/graphql", content=ASK, headers=JSON | headers)
        assert answer.json() == {"data": {"__typename": "Query"}}
        return of_cors(answer)

    assert await ask(origin=ORIGIN) == {
        "access-control-allow-origin": ORIGIN,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": EXPOSED,
        "vary": "accept, origin",
    }
    assert await ask(origin=STRANGER) == {"vary": "accept, origin"}
    assert await ask() == {"vary": "accept, origin"}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.preview.example", True),
        ("https://feature-12--web.preview.example", True),
        ("http://localhost:5173", True),
        ("https://preview.example", False),
        ("https://.preview.example", False),
        ("https://a.b.preview.example", False),
        ("https://evil.com/.preview.example", False),
        ("https://evil.com#.preview.example", False),
        ("https://evil.com?.preview.example", False),
        ("https://evil.com:80.preview.example", False),
        ("https://user@a.preview.example", False),
        ("https://a.preview.example:8443", False),
        ("https://a.preview.example:443", False),
        ("https://a.preview.example.evil.com", False),
        ("https://a.preview.example\n", False),
        ("https://a.previewXexample", False),
        ("https://%61.preview.example", False),
        ("https://A.preview.example", False),
        ("HTTPS://a.preview.example", False),
        ("http://a.preview.example", False),
        ("http://localhost", False),
        ("http://localhost:51730", False),
        ("https://app.example.evil.com", False),
        ("https://evilapp.example", False),
        ("https://app.example, https://app.example", False),
        ("null", False),
        ("", False),
        ("*", False),
    ],
)
async def test_a_wildcard_matches_one_label_only(site: Api, origin: str, *, allowed: bool) -> None:
    headers: Any = [(b"content-type", b"application/json"), (b"origin", origin.encode())]
    response = await site.http.post("/graphql", content=ASK, headers=headers)

    expected = origin if allowed else None
    assert response.headers.get("access-control-allow-origin") == expected


async def test_a_request_with_two_origins_is_treated_as_one_without(site: Api) -> None:
    headers = [*JSON.items(), ("origin", ORIGIN), ("origin", ORIGIN)]
    response = await site.http.post("/graphql", content=ASK, headers=headers)

    assert of_cors(response) == {"vary": "accept, origin"}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/graphql", "{", {}, 400),
        ("GET", "/nowhere", None, {}, 404),
        ("PUT", "/graphql", "{}", {}, 405),
        ("POST", "/graphql", ASK, {"accept": "text/html"}, 406),
        ("POST", "/graphql", "{}" + " " * 70_000, {}, 413),
        ("GET", "/graphql?query=" + "a" * 20_000, None, {}, 414),
        ("POST", "/graphql", ASK, {"content-type": "text/plain"}, 415),
        ("POST", "/graphql", "{}", {}, 422),
        ("GET", "/health/live", None, {}, 200),
        ("GET", "/.well-known/jwks.json", None, {}, 200),
    ],
)
async def test_refusals_can_be_read_by_an_allowed_origin_only(
    site: Api, method: str, path: str, body: str | None, headers: dict[str, str], status: int
) -> None:
    async def ask(origin: str) -> Any:
        sent = JSON | {"origin": origin} | headers
        return await site.http.request(method, path, content=body, headers=sent)

    friend, stranger = await ask(ORIGIN), await ask(STRANGER)

    assert (friend.status_code, stranger.status_code) == (status, status)
    assert friend.headers["access-control-allow-origin"] == ORIGIN
    assert friend.headers["access-control-expose-headers"] == EXPOSED
    assert friend.headers["access-control-allow-credentials"] == "true"
    assert not any(name.startswith("access-control-") for name in stranger.headers)


async def test_origins_that_match_a_pattern_are_allowed_without_credentials(site: Api) -> None:
    response = await preflight(site, PREVIEW, "content-type")
    answer = await site.http.post("/graphql", content=ASK, headers=JSON | {"origin": PREVIEW})

    assert (response.status_code, response.headers["access-control-allow-origin"]) == (204, PREVIEW)
    assert answer.headers["access-control-allow-origin"] == PREVIEW
    assert "access-control-allow-credentials" not in {*response.headers, *answer.headers}


@pytest.fixture(scope="module")
async def loopback_site(settings: Settings) -> AsyncIterator[Api]:
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    app = create_app(settings_for(url, cors_origins=",".join(LOOPBACK_ORIGINS)))
    async with app.router.lifespan_context(app), Api.of(app) as api:
        yield api


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:5173", True),
        ("http://localhost:1", True),
        ("http://localhost", True),
        ("http://127.0.0.1:3000", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:8080", True),
        ("http://[::1]", True),
        ("https://localhost:5173", False),
        ("https://127.0.0.1", False),
        ("http://localhost.evil.example", False),
        ("http://localhost.evil.example:5173", False),
        ("http://localhost.:5173", False),
        ("http://app.localhost:5173", False),
        ("http://evil-localhost:5173", False),
        ("http://127.0.0.1.nip.io:5173", False),
        ("http://127.0.0.1.nip.io", False),
        ("http://127x0x0x1:5173", False),
        ("http://127.0.0.2:5173", False),
        ("http://127.1:5173", False),
        ("http://0.0.0.0:5173", False),
        ("http://[::]:5173", False),
        ("http://[::1%25lo]:5173", False),
        ("http://[::ffff:127.0.0.1]:5173", False),
        ("http://localhost@evil.example", False),
        ("http://localhost:80@evil.example", False),
        ("http://localhost:5173@evil.example:80", False),
        ("http://evil.example@localhost:5173", False),
        ("http://evil.example#localhost:5173", False),
        ("http://evil.example/http://localhost:5173", False),
        ("http://localhost:5173/", False),
        ("http://localhost:5173/.evil.example", False),
        ("http://localhost:", False),
        ("http://localhost:517300", False),
        ("http://localhost:*", False),
        ("http://localhost:5173\n", False),
        ("http://localhost:5173, http://evil.example", False),
        ("http://LOCALHOST:5173", False),
        ("HTTP://localhost:5173", False),
        ("localhost:5173", False),
        ("file://localhost:5173", False),
        ("null", False),
    ],
)
async def test_any_port_of_loopback_is_allowed_with_credentials(
    loopback_site: Api, origin: str, *, allowed: bool
) -> None:
    headers: Any = [(b"content-type", b"application/json"), (b"origin", origin.encode())]
    response = await loopback_site.http.post("/graphql", content=ASK, headers=headers)

    expected = {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": EXPOSED,
    }
    assert of_cors(response) == {"vary": "accept, origin"} | (expected if allowed else {})


async def test_without_allowed_origins_there_are_no_cors_headers(api: Api) -> None:
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}

    response = await api.http.options("/graphql", headers=asked)
    answer = await api.http.post("/graphql", content=ASK, headers=JSON | {"origin": ORIGIN})

    assert (response.status_code, of_cors(response)) == (405, {"vary": "accept"})
    assert of_cors(answer) == {"vary": "accept"}


SMALL = {
    "CORS_ORIGINS": ORIGINS,
    "HEAD_TIMEOUT_SECONDS": "1",
    "BODY_TIMEOUT_SECONDS": "1",
    "MAX_HEAD_BYTES": "2048",
}


@pytest.fixture(scope="module")
def server(migrated_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET, **SMALL}
    with serving(tmp_path_factory.mktemp("cors"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def untested(migrated_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET, "CORS_ORIGINS": ORIGINS}
    with serving_untested(tmp_path_factory.mktemp("cors-untested"), 1, **settings) as running:
        yield running


def head_of(server: Server, sent: bytes) -> list[bytes]:
    """Send bytes, and return the lines of the last answer's head in lower case."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=6) as connection:
        connection.sendall(sent)
        received = b""
        while more := connection.recv(65536):
            received += more
    head = received[received.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")[0]
    return head.lower().split(b"\r\n")


HEAD = b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
REFUSED_BY_THE_SERVER = {
    "a body that does not arrive": (HEAD, b"Content-Length: 9\r\n\r\n{", b"408"),
    "a head that does not end": (HEAD, b"X-Y: z", b"408"),
    "a head that is too large": (HEAD, b"X-Y: " + b"z" * 4000 + b"\r\n\r\n", b"431"),
    "two hosts": (HEAD, b"Host: y\r\n\r\n", b"400"),
    "a length that is none": (HEAD, b"Content-Length: x\r\n\r\n", b"400"),
    "a coding that is unknown": (HEAD, b"Transfer-Encoding: gzip, chunked\r\n\r\n", b"501"),
    "a body that is too large": (HEAD, b"Content-Length: 999999\r\n\r\n{", b"413"),
}


@pytest.mark.parametrize(
    ("before", "after", "status"), REFUSED_BY_THE_SERVER.values(), ids=REFUSED_BY_THE_SERVER
)
def test_refusals_before_the_application_can_be_read_by_an_allowed_origin_only(
    server: Server, before: bytes, after: bytes, status: bytes
) -> None:
    friend = head_of(server, before + b"Origin: " + ORIGIN.encode() + b"\r\n" + after)
    stranger = head_of(server, before + b"Origin: " + STRANGER.encode() + b"\r\n" + after)

    assert (friend[0].split()[1], stranger[0].split()[1]) == (status, status)
    assert b"access-control-allow-origin: " + ORIGIN.encode() in friend
    assert b"access-control-expose-headers: " + EXPOSED.encode() in friend
    assert not any(line.startswith(b"access-control-") for line in stranger)
    assert {b"vary: origin"} <= {*friend} & {*stranger}


@pytest.mark.parametrize("chosen", ["", ORIGIN])
def test_loopback_is_allowed_with_the_embedded_database_unless_other_origins_are(
    tmp_path: Path, chosen: str
) -> None:
    local = "http://localhost:5173"
    asked = {"origin": local, "access-control-request-method": "POST"}

    with serving(tmp_path, CORS_ORIGINS=chosen) as embedded:
        response = httpx.options(f"{embedded.url}/graphql", headers=asked)

    allowed = {"access-control-allow-origin": local, "access-control-allow-credentials": "true"}
    found = {name: response.headers[name] for name in allowed if name in response.headers}
    assert (response.status_code, found) == ((403, {}) if chosen else (204, allowed))


def test_the_origin_of_a_request_does_not_apply_to_the_next_one(server: Server) -> None:
    origin = b"Origin: " + ORIGIN.encode() + b"\r\n"
    first = b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + origin + b"\r\n"

    head = head_of(server, first + HEAD + b"Host: y\r\n\r\n")

    assert head[0].split()[1] == b"400"
    assert not any(line.startswith(b"access-control-") for line in head)


def test_preflights_keep_the_connection(server: Server) -> None:
    asked = {
        "origin": ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": INSTRUMENTED,
    }
    with httpx.Client(base_url=server.url) as client:
        allowed = client.options("/graphql", headers=asked)
        refused = client.options("/graphql", headers=asked | {"origin": STRANGER})
        answered = client.post("/graphql", content=ASK, headers=JSON | {"origin": ORIGIN})

    statuses = [each.status_code for each in (allowed, refused, answered)]
    assert statuses == [204, 403, 200]
    # RFC 9110, 8.6 and 6.4.1: a 204 has neither a length nor content.
    assert not {"content-length", "transfer-encoding", "connection"} & {*allowed.headers}
    assert "date" in answered.headers


def test_refused_heads_can_be_read_on_other_versions_of_the_server(
    untested: Server,
) -> None:
    origin = b"Origin: " + ORIGIN.encode() + b"\r\n"
    head = head_of(untested, b"GET /a#b HTTP/1.1\r\nHost: x\r\n" + origin + b"\r\n")

    assert head[0].split()[1] == b"400"
    assert b"access-control-allow-origin: " + ORIGIN.encode() in head
