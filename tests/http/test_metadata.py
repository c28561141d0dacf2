"""The metadata of the issuer, and HEAD requests."""

import http.client
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from app.main import create_app
from app.settings import Settings
from app.testing.clients import Api, Person
from tests.cli.test_serve import SECRET
from tests.support.servers import Server, serving, serving_untested

OPENID, OAUTH = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
JWKS = "/.well-known/jwks.json"
READABLE = [OPENID, OAUTH, JWKS, "/health/live", "/health/ready"]
UNIQUE = {"date", "x-request-id"}


@pytest.mark.parametrize("path", [OPENID, OAUTH])
async def test_the_metadata_names_the_keys_of_the_issuer(api: Api, path: str) -> None:
    answer = await api.http.get(path)

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=300")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "issuer": "http://127.0.0.1:8000",
        "jwks_uri": f"http://127.0.0.1:8000{JWKS}",
        "id_token_signing_alg_values_supported": ["ES256"],
        "subject_types_supported": ["public"],
    }


async def test_a_token_is_verified_with_the_metadata_of_its_issuer(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)
    token = laptop.access_token or ""
    told = (await api.http.get(OPENID)).json()

    keys = jwt.PyJWKSet.from_dict(
        (await api.http.get(told["jwks_uri"].removeprefix(told["issuer"]))).json()
    )
    key = next(key for key in keys.keys if key.key_id == jwt.get_unverified_header(token)["kid"])
    claims = jwt.decode(
        token,
        key,
        told["id_token_signing_alg_values_supported"],
        audience="portico",
        issuer=told["issuer"],
    )

    assert (await laptop("{ me { subject } }"))["me"] == {"subject": claims["sub"]}


@pytest.mark.parametrize(
    ("issuer", "paths"),
    [
        ("https://id.example", [OPENID, OAUTH]),
        (
            "https://example.com/accounts/eu",
            [OPENID, OAUTH, f"{OPENID}/accounts/eu", f"{OAUTH}/accounts/eu"],
        ),
    ],
)
async def test_an_issuer_with_a_path_is_found_by_either_rule(
    settings: Settings, issuer: str, paths: list[str]
) -> None:
    app = create_app(settings.model_copy(update={"public_url": issuer}))

    async with Api.of(app) as guest:
        answers = [await guest.http.get(path) for path in paths]
        elsewhere = [await guest.http.get(f"{path}/x") for path in (OPENID, OAUTH)]

    assert [answer.json()["issuer"] for answer in answers] == [issuer] * len(paths)
    assert {answer.json()["jwks_uri"] for answer in answers} == {issuer + JWKS}
    assert [answer.status_code for answer in elsewhere] == [404, 404]


@pytest.mark.parametrize(
    ("rp_id", "pages", "listed"),
    [
        (None, ("https://app.example.com",), False),
        ("example.com", ("https://app.example.com", "https://id.example.com"), True),
        # Browsers accept the only page because the file names it.
        ("example.com", ("https://app.example.org",), True),
    ],
    ids=["one page", "two pages", "one page elsewhere"],
)
async def test_the_domain_of_passkeys_names_their_pages(
    settings: Settings,
    rp_id: str | None,
    pages: tuple[str, ...],
    listed: bool,
) -> None:
    changes = {
        "public_url": "https://app.example.com",
        "webauthn_rp_id": rp_id,
        "webauthn_origins": pages,
    }
    async with Api.of(create_app(settings.model_copy(update=changes))) as guest:
        answer = await guest.http.get("/.well-known/webauthn")

    if not listed:
        assert answer.status_code == 404
        return
    assert answer.headers["content-type"] == "application/json"
    assert (answer.status_code, answer.json()) == (200, {"origins": list(pages)})


@pytest.fixture(scope="module", params=["uvicorn and httptools", "uvicorn and h11"])
def server(
    request: pytest.FixtureRequest,
    migrated_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("metadata")
    start = serving if request.param == "uvicorn and httptools" else serving_untested
    with start(folder, DATABASE_URL=migrated_url, SECRET_KEY=SECRET) as running:
        yield running


def ask(
    connection: http.client.HTTPConnection, method: str, path: str
) -> tuple[int, dict[str, str], bytes]:
    connection.request(method, path)
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, {k: v for k, v in headers.items() if k not in UNIQUE}, answer.read()


@pytest.mark.parametrize("path", READABLE)
def test_head_is_answered_as_get_is_without_a_body(server: Server, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)

    status, headers, body = ask(connection, "HEAD", path)
    # On the same connection, where an unexpected body would be read as the next answer.
    got, got_headers, got_body = ask(connection, "GET", path)
    connection.close()

    assert (status, body) == (got, b"") == (200, b"")
    assert headers == got_headers
    assert headers["content-length"] == str(len(got_body))


@pytest.mark.parametrize("path", READABLE)
async def test_other_methods_are_refused(api: Api, path: str) -> None:
    answer = await api.http.post(path)

    # Starlette keeps them in a set, in another order in each process.
    allowed = sorted(answer.headers["allow"].split(", "))
    assert (answer.status_code, allowed) == (405, ["GET", "HEAD"])
