"""The pages of Portico that links in emails open while FRONTEND_URL is not set."""

import re
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.modules import MODULES, emails_of
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.settings import settings_for, settings_of

PAGES = ["/verify-email", "/reset-password", "/confirm-email"]
FRONTEND = "https://app.example.com"
DOCUMENT = re.compile(r"`((?:query|mutation) [^`]+)`")
TOKEN = "pot_" + "0" * 43
# Each input that a document can take.
INPUTS = {
    "TokenInput": {"token": TOKEN},
    "VerifyEmailInput": {"token": TOKEN, "delivery": "COOKIE"},
    "ResetPasswordInput": {
        "token": TOKEN,
        "newPassword": "difference engine 1",
        "delivery": "COOKIE",
    },
}


@asynccontextmanager
async def serving_with(settings: Settings, **changes: Any) -> AsyncGenerator[httpx.AsyncClient]:
    assert settings.database_url is not None
    app = create_app(settings_for(settings.database_url.get_secret_value(), **changes))
    async with app.router.lifespan_context(app), Api.of(app) as api:
        yield api.http


def text_of(element: str, page: str) -> str:
    """Returns what is between the tags of the only element with this name."""
    [text] = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", page, re.DOTALL)
    return text


def source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def test_every_email_with_a_link_has_a_page() -> None:
    settings = settings_of()
    emails = [email for module in emails_of(MODULES) for email in module.emails]
    links = {getattr(settings, each.link_setting) for each in emails if each.link_setting}

    assert links == {f"{path}#token={{token}}" for path in PAGES}
    assert {*settings.link_pages} == {*PAGES}


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_runs_its_own_script_only_and_is_not_kept(api: Api, path: str) -> None:
    page = await api.http.get(path)

    script, style = text_of("script", page.text), text_of("style", page.text)
    policy = (
        f"default-src 'none'; script-src {source(script)}; style-src {source(style)}; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    assert page.status_code == 200
    assert {name: text for name, text in page.headers.items() if name != "x-request-id"} == {
        "content-length": str(len(page.content)),
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_only_read(api: Api, path: str) -> None:
    statuses = [
        (await api.http.request(method, path)).status_code for method in ("GET", "HEAD", "POST")
    ]

    assert statuses == [200, 200, 405]


@pytest.mark.parametrize("path", PAGES)
async def test_what_a_page_sends_is_answered(api: Api, ada: Person, path: str) -> None:
    documents = DOCUMENT.findall((await api.http.get(path)).text)
    laptop = await api.login(ada)

    assert documents
    for document in documents:
        taken = re.search(r"\$input: (\w+)!", document)
        await laptop(document, **({"input": INPUTS[taken[1]]} if taken else {}))
        assert laptop.errors == []


async def test_a_page_names_the_product_as_text(settings: Settings) -> None:
    product = "<script>alert('&')</script> $title"
    escaped = "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt; $title"

    async with serving_with(settings, product_name=product) as http:
        pages = [(await http.get(path)).text for path in PAGES]

    assert all(text_of("header", page) == escaped for page in pages)
    assert [text_of("title", page) for page in pages] == [
        f"Verify your email address · {escaped}",
        f"Choose a password · {escaped}",
        f"Confirm the email address · {escaped}",
    ]


@pytest.mark.parametrize("debug", [True, False])
async def test_pages_link_to_graphiql_only_if_it_is_served(
    settings: Settings, *, debug: bool
) -> None:
    async with serving_with(settings, debug=debug) as http:
        pages = [(await http.get(path)).text for path in PAGES]

    assert ['href="graphql"' in page for page in pages] == [debug] * 3


@pytest.mark.parametrize(
    ("changes", "served"),
    [
        ({}, PAGES),
        ({"frontend_url": FRONTEND}, []),
        ({"link_verify_email": "/account/verify#token={token}"}, PAGES[1:]),
        ({"link_reset_password": f"{FRONTEND}/reset-password#token={{token}}"}, PAGES[::2]),
        ({"link_confirm_email": "/confirm-email?token={token}"}, PAGES[:2]),
    ],
)
async def test_a_page_is_served_only_if_links_lead_to_it(
    settings: Settings, changes: dict[str, Any], served: list[str]
) -> None:
    async with serving_with(settings, **changes) as http:
        statuses = {path: (await http.get(path)).status_code for path in PAGES}

    assert statuses == {path: 200 if path in served else 404 for path in PAGES}


async def test_no_page_is_served_where_its_documents_are_refused(
    settings: Settings, tmp_path: Path
) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text('{"a": "{ __typename }"}')

    async with serving_with(
        settings, persisted_documents=manifest, persisted_documents_only=True
    ) as http:
        assert [(await http.get(path)).status_code for path in PAGES] == [404] * 3
