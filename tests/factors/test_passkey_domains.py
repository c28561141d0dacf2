"""For which domain and which pages passkeys are, and a server of another domain."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from app.database.database import Database, connect
from app.main import create_app
from app.security.relying_party import RelyingParty
from app.settings import Settings
from app.testing.clients import Api
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from app.testing.settings import SECRET, settings_for
from tests.support import passkeys
from tests.support.passkeys import SoftwareAuthenticator
from tests.support.servers import free_port, portico

LOCAL = "http://localhost:*"
ANDROID = "android:apk-key-hash:" + "a" * 43
METHODS = "{ server { signInMethods } }"
ADD = (
    (
        "INSERT INTO users (id, email, password_hash, role, created_at, updated_at)"
        " VALUES (gen_random_uuid(), 'ada@example.com', '', 'MEMBER', now(), now())"
    ),
    (
        "INSERT INTO factors (id, user_id, kind, created_at)"
        " SELECT gen_random_uuid(), id, 'PASSKEY', now() FROM users"
    ),
    (
        "INSERT INTO passkeys SELECT id, user_id, uuid_send(id), '', 0, 'one', '', true, true,"
        " '{}', 'old.example.com' FROM factors"
    ),
)


class Case:
    """What is set, and the domain, the pages, and whether browsers accept it."""

    def __init__(
        self,
        *urls: str,
        rp_id: str | None = None,
        origins: tuple[str, ...] = (),
        expected: tuple[str, tuple[str, ...], bool],
        unrelated: tuple[str, ...] = (),
    ) -> None:
        self.party = RelyingParty.of("Portico", urls, rp_id, origins)
        self.expected = expected
        self.unrelated = unrelated


CASES = [
    # On loopback, whatever it is called, pages on any port are accepted.
    Case(
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000",
        expected=("localhost", (LOCAL,), True),
    ),
    Case("http://localhost:3000", "http://[::1]:8000", expected=("localhost", (LOCAL,), True)),
    # The frontend decides.
    Case(
        "https://app.example.com",
        "https://api.example.com/id/",
        expected=(
            "app.example.com",
            ("https://app.example.com", "https://api.example.com"),
            True,
        ),
        unrelated=("https://api.example.com",),
    ),
    Case(
        "https://app.example.com:8443/x",
        "https://app.example.com:8443/x",
        expected=("app.example.com", ("https://app.example.com:8443",), True),
    ),
    Case(
        "http://localhost:3000",
        "https://api.example.com",
        expected=("localhost", (LOCAL, "https://api.example.com"), True),
        unrelated=("https://api.example.com",),
    ),
    # Browsers accept neither addresses nor pages without TLS.
    Case(
        "https://192.0.2.7",
        "https://192.0.2.7",
        expected=("192.0.2.7", ("https://192.0.2.7",), False),
    ),
    Case(
        "http://id.example.com",
        "http://id.example.com",
        expected=("id.example.com", ("http://id.example.com",), False),
    ),
    # What is set wins; a domain is above its pages, and no suffix of a name is.
    Case(
        "https://app.example.com",
        "https://api.example.com",
        rp_id="example.com",
        expected=("example.com", ("https://app.example.com", "https://api.example.com"), True),
    ),
    Case(
        "https://app.example.com",
        "https://api.example.com",
        rp_id="example.com",
        origins=("https://notexample.com", "https://a.example.com", ANDROID),
        expected=(
            "example.com",
            ("https://notexample.com", "https://a.example.com", ANDROID),
            True,
        ),
        unrelated=("https://notexample.com",),
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_a_domain_and_its_pages_follow_from_the_settings(case: Case) -> None:
    party = case.party

    assert (party.id, party.origins, party.is_usable) == case.expected
    assert party.unrelated_origins == case.unrelated


@pytest.mark.parametrize(
    ("origin", "is_accepted"),
    [
        ("http://localhost", True),
        ("http://localhost:3000", True),
        ("https://localhost", False),
        ("http://localhost:*", False),
        ("http://localhost:3000.evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://LOCALHOST", False),
        ("http://localhost:3000/", False),
        ("http://localhost:3000\n", False),
        ("http://127.0.0.1:3000", False),
        ("null", False),
        ("", False),
    ],
)
def test_pages_of_this_machine_only_are_accepted_on_loopback(
    origin: str, is_accepted: bool
) -> None:
    assert CASES[0].party.accepts(origin) == is_accepted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("webauthn_rp_id", "https://example.com"),
        ("webauthn_rp_id", "Example.com"),
        ("webauthn_rp_id", "192.0.2.7"),
        ("webauthn_rp_id", ""),
        ("webauthn_rp_id", "example.com:443"),
        ("webauthn_rp_id", "example.com/"),
        ("webauthn_rp_id", "a..b"),
        ("webauthn_origins", "https://*.example.com"),
        ("webauthn_origins", "example.com"),
        ("webauthn_origins", "https://example.com/x"),
        ("webauthn_origins", "android:apk-key-hash:x"),
    ],
)
def test_what_is_no_domain_or_no_page_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        settings_for("postgresql://127.0.0.1/x", **{name: value})

    [error] = refused.value.errors()
    assert error["loc"] == (name,)
    # Those of CORS may have one.
    assert "*" not in error["msg"]


def test_pages_are_read_as_browsers_send_them() -> None:
    given = f"https://App.example.com:443/ , {ANDROID}"

    settings = settings_for("postgresql://127.0.0.1/x", webauthn_origins=given)

    assert settings.webauthn_origins == ("https://app.example.com", ANDROID)


@asynccontextmanager
async def serving(settings: Settings, clock: FakeClock, **changes: Any) -> AsyncGenerator[Api]:
    app = create_app(settings.model_copy(update=changes), clock, Outbox())
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        yield guest


ORIGINS = ("https://app.example.com", "https://shop.example", ANDROID)


async def test_the_file_of_origins_exists_only_if_there_are_several(
    settings: Settings, clock: FakeClock, api: Api
) -> None:
    absent = await api.http.get("/.well-known/webauthn")
    changes = {"webauthn_rp_id": "example.com", "webauthn_origins": ORIGINS}
    async with serving(settings, clock, **changes) as guest:
        present = await guest.http.get("/.well-known/webauthn")

    assert absent.status_code == 404
    assert present.status_code == 200
    assert present.headers["content-type"] == "application/json"
    # An app is no page: its own file names it.
    assert present.json() == {"origins": list(ORIGINS[:2])}


async def test_each_page_that_is_named_signs_in_and_no_other(
    settings: Settings, clock: FakeClock, owner: Api
) -> None:
    changes = {"webauthn_rp_id": "example.com", "webauthn_origins": ORIGINS}
    device = SoftwareAuthenticator(origin=ORIGINS[0], rp_id="example.com")
    others = ("https://example.com", "http://app.example.com", "https://app.example.com:8443")

    async with serving(settings, clock, **changes) as guest:
        registering = guest.with_bearer(owner.access_token or "")
        added = await passkeys.register(registering, device)
        answers: dict[str, str] = {}
        for origin in (*ORIGINS, *others, "http://localhost:8000"):
            device.origin = origin
            answers[origin] = (await passkeys.sign_in(guest, device))["__typename"]

    assert added["__typename"] == "FactorAdded"
    refused = dict.fromkeys((*others, "http://localhost:8000"), "PasskeyRefused")
    assert answers == {**dict.fromkeys(ORIGINS, "SignedIn"), **refused}


@pytest.mark.parametrize(
    ("url", "methods"),
    [
        ("https://id.example.com", ["PASSWORD", "PASSKEY"]),
        ("http://id.example.com", ["PASSWORD"]),
        ("https://192.0.2.7", ["PASSWORD"]),
    ],
)
async def test_passkeys_are_offered_only_where_browsers_accept_them(
    settings: Settings, clock: FakeClock, url: str, methods: list[str]
) -> None:
    async with serving(settings, clock, public_url=url, frontend_url=None) as guest:
        assert await guest(METHODS) == {"server": {"signInMethods": methods}}


async def test_a_server_does_not_start_with_passkeys_of_another_domain(
    own_url: str, tmp_path: Path
) -> None:
    database = Database(connect(own_url, pool_size=1), pool_size=1)
    async with database.begin() as session:
        for statement in ADD:
            await session.execute(text(statement))
    await database.close()
    settings = {"DATABASE_URL": own_url, "SECRET_KEY": SECRET}
    serve = ("serve", "--port", str(free_port()))

    result = portico(*serve, cwd=tmp_path, **settings, WEBAUTHN_RP_ID="example.com")

    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    said = [line for line in result.stderr.splitlines() if "old.example.com" in line]
    assert len(said) == 1, result.stderr
    assert re.search("Passkeys were registered for old.example.com, and WEBAUTHN_RP_ID is", said[0])
    assert "Set WEBAUTHN_RP_ID=old.example.com" in said[0]
