"""The pages that links in emails open while there is no frontend: static HTML, filled at start."""

from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from types import MappingProxyType

from fastapi import APIRouter, Response

from app.http.health import GET_OR_HEAD

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class LinkPage:
    """The title of a page, and the name of its files."""

    title: str
    name: str


PAGES = MappingProxyType(
    {
        "/verify-email": LinkPage("Verify your email address", "verify_email"),
        "/reset-password": LinkPage("Choose a password", "reset_password"),
        "/confirm-email": LinkPage("Confirm the email address", "confirm_email"),
    }
)


def link_page_routes(
    paths: Collection[str], product_name: str, *, with_graphiql: bool
) -> APIRouter:
    """Returns the routes of these pages.

    Args:
        paths: Those of `PAGES` that are served.
        product_name: What the pages call the product.
        with_graphiql: Whether they link to GraphiQL at the end.

    """
    router = APIRouter()
    following = _read("next.html") if with_graphiql else ""
    for path in paths:
        page = PAGES[path]
        style = _read("page.css")
        script = _read("page.js") + _read(f"{page.name}.js")
        content = Template(_read("layout.html")).substitute(
            title=page.title,
            product=escape(product_name),
            style=style,
            content=_read(f"{page.name}.html"),
            next=following,
            script=script,
        )
        send = partial(_send, content.encode(), _headers(style, script))
        router.add_api_route(path, send, methods=GET_OR_HEAD)
    return router


def _headers(style: str, script: str) -> Mapping[str, str]:
    policy = (
        f"default-src 'none'; script-src {_source(script)}; style-src {_source(style)}; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    return {
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
    }


def _source(text: str) -> str:
    """Returns the CSP source of an inline element with this text."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


async def _send(content: bytes, headers: Mapping[str, str]) -> Response:
    return Response(content, media_type="text/html", headers=headers)
