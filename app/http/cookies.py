"""The session cookie on the wire (RFC 6265bis): its name, its attributes, and who may use it.

Against forged requests of other sites (CSRF): only POSTs of JSON are executed, the cookie is
`SameSite=Lax`, and it counts only if the browser says that the page is this server's own or one
named in CORS_ORIGINS.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from app.http.asgi import Scope
from app.http.cors import Cors
from app.http.headers import Headers
from app.security.session_cookie import SessionCookie
from app.text.hosts import is_loopback
from app.text.origins import origin_of_url, scheme_and_host

NAME = b"portico"
# Browsers take a cookie with this prefix only from the host itself, over https, for all paths:
# another host of the same site cannot set it (RFC 6265bis, 4.1.3.2).
HOST_PREFIX = b"__Host-"
# The longest that browsers keep a cookie (RFC 6265bis, 5.6.2). The session in it ends earlier; the
# device token is of use afterwards.
MAX_AGE_SECONDS = 400 * 24 * 60 * 60
ATTRIBUTES = b"; Path=/; HttpOnly; SameSite=Lax"
SECURE = b"; Secure"

NOT_A_BROWSER = (
    "The cookie is read for browsers only: send `Origin`, or `refreshToken` with `delivery: BODY`."
)
FOREIGN = "This origin may not use the cookie: it is not in CORS_ORIGINS, by name and without a *."
CROSS_SITE = (
    "The page is of another site than this server, so browsers keep no cookie for it. Call the "
    "server by a name of the same site (localhost and 127.0.0.1 are two), or use `delivery: BODY`."
)
NOT_HTTPS = (
    "The page is not on https, so browsers do not keep the cookie. Use https, or http on localhost."
)
WRONG_PUBLIC_URL = (
    "PUBLIC_URL is an address of loopback, but the page is not: set it to the address of this "
    "server, so that the cookie is secure."
)
REPEATED = "The request says more than once where the page is from."
SEVERAL = "The request has several cookies of this name, and which one is right is unknown."

# What browsers say about where a page is from. They say it once.
PROVENANCE = frozenset({b"origin", b"sec-fetch-site"})
SAME_ORIGIN = b"same-origin"


@dataclass(frozen=True, slots=True)
class CookieRules:
    name: bytes
    attributes: bytes
    own_origin: bytes
    cors: Cors

    @classmethod
    def of(cls, public_url: str, cors: Cors) -> "CookieRules":
        """Returns the rules of a server at this URL.

        Not all browsers take a secure cookie over http from loopback addresses.
        """
        url = urlsplit(public_url)
        plain = url.scheme == "http" and is_loopback(url.hostname or "")
        name, attributes = NAME, ATTRIBUTES
        if not plain:
            name, attributes = HOST_PREFIX + NAME, ATTRIBUTES + SECURE
        return cls(name, attributes, origin_of_url(public_url).encode(), cors)

    def read(self, scope: Scope, headers: Headers) -> SessionCookie:
        """Returns the cookie of a request, which has no tokens if the request may not read it."""
        values = self._values(scope) if b"cookie" in headers.values else []
        is_trusted, refusal_to_set = self._judge(headers)
        refusal_to_read = None if is_trusted else refusal_to_set or NOT_A_BROWSER
        if len(values) > 1:
            refusal_to_read = SEVERAL
        return SessionCookie(
            values[0] if values else None,
            refusal_to_read=refusal_to_read,
            refusal_to_set=refusal_to_set,
        )

    def header(self, cookie: SessionCookie) -> tuple[bytes, bytes]:
        """Returns the header that sets the cookie, or removes it if it has no tokens left."""
        value = cookie.value.encode()
        max_age = MAX_AGE_SECONDS if value else 0
        text = b"%b=%b; Max-Age=%d%b" % (self.name, value, max_age, self.attributes)
        return b"set-cookie", text

    def _values(self, scope: Scope) -> list[str]:
        """Returns the values of all cookies of this name, compared byte for byte.

        HTTP/2 proxies may send several header fields (RFC 9113, 8.2.3).
        """
        pairs = (
            pair.strip(b" \t").partition(b"=")
            for name, value in scope["headers"]
            if name == b"cookie"
            for pair in value.split(b";")
        )
        return [value.decode("latin-1") for name, _, value in pairs if name == self.name]

    def _judge(self, headers: Headers) -> tuple[bool, str | None]:
        """Returns whether a browser vouches for the page, and why the cookie may not be set.

        Scripts cannot set `Origin` and `Sec-Fetch-Site` (WHATWG Fetch, forbidden request-headers).
        """
        if headers.repeated & PROVENANCE:
            return False, REPEATED
        site, origin = (headers.values.get(name) for name in (b"sec-fetch-site", b"origin"))
        if origin is None:
            return site == SAME_ORIGIN, FOREIGN if site not in {None, SAME_ORIGIN} else None
        if site != SAME_ORIGIN and not self._is_named(origin):
            return False, FOREIGN
        scheme, host = scheme_and_host(origin.decode("latin-1"))
        if not self._is_secure and not is_loopback(host):
            return False, WRONG_PUBLIC_URL
        if self._is_secure and scheme != "https" and not is_loopback(host):
            return True, NOT_HTTPS
        return True, CROSS_SITE if site == b"cross-site" else None

    def _is_named(self, origin: bytes) -> bool:
        return origin == self.own_origin or self.cors.allows_credentials(origin)

    @property
    def _is_secure(self) -> bool:
        return self.name.startswith(HOST_PREFIX)
