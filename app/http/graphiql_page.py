"""GraphiQL, served from files of this package if DEBUG is on: a page at /graphql, and assets."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

from app.http.asgi import Receive, Scope, Send
from app.http.headers import Headers

DIST = Path(__file__).parent / "graphiql" / "dist"
ASSETS = "/graphql/assets/"
ONLY_GZIP = b"Only available with `Content-Encoding: gzip`."
MEDIA_TYPES = {
    ".js": b"text/javascript",
    ".css": b"text/css",
    ".svg": b"image/svg+xml",
    ".ttf": b"font/ttf",
}
# The built page has the product name in its title and in a meta element for its script.
PRODUCT_IN_PAGE = ('content="Portico"', "<title>Portico ")
# Web workers follow the policy of their own file, so assets have it too. The editor writes inline
# styles.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class GraphiQL:
    """All files, read once. Names contain a hash of the content, so browsers can cache them."""

    index: bytes
    assets: dict[str, bytes]

    @classmethod
    def load(cls, product_name: str) -> "GraphiQL":
        assets = {
            path.name.removesuffix(".gz"): path.read_bytes()
            for path in (DIST / "assets").glob("*.gz")
        }
        page = (DIST / "index.html").read_text(encoding="utf-8")
        for text in PRODUCT_IN_PAGE:
            page = page.replace(text, text.replace("Portico", escape(product_name)))
        return cls(page.encode(), assets)

    async def send_page(self, send: Send) -> None:
        headers = [
            (b"cache-control", b"no-cache"),
            (b"vary", b"accept"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
        ]
        await _send(send, self.index, b"text/html; charset=utf-8", headers)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Serve an asset."""
        name = scope["path"].removeprefix(ASSETS)
        compressed = self.assets.get(name)
        if compressed is None:
            await _send(send, b"Not found", b"text/plain; charset=utf-8", [], status=404)
            return
        # Decompressing would delay all other requests, and every browser accepts gzip.
        if "gzip" not in (Headers(scope).text(b"accept-encoding") or "gzip"):
            await _send(send, ONLY_GZIP, b"text/plain; charset=utf-8", [], status=406)
            return
        headers = [
            (b"cache-control", b"public, max-age=31536000, immutable"),
            (b"content-encoding", b"gzip"),
            (b"vary", b"accept-encoding"),
        ]
        await _send(send, compressed, MEDIA_TYPES[Path(name).suffix], headers)


async def _send(
    send: Send,
    body: bytes,
    content_type: bytes,
    headers: list[tuple[bytes, bytes]],
    status: int = 200,
) -> None:
    start = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        (b"content-security-policy", POLICY),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
