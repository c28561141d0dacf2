"""What the context of resolvers reads from the head of a request, when a field needs it."""

from app.http.asgi import Scope
from app.http.cookies import CookieRules
from app.http.headers import Headers
from app.http.proxies import TrustedProxies
from app.security.client import Client
from app.security.session_cookie import SessionCookie


class RequestHead:
    __slots__ = ("_cookies", "_headers", "_proxies", "_scope")

    def __init__(
        self, proxies: TrustedProxies, cookies: CookieRules, scope: Scope, headers: Headers
    ) -> None:
        self._proxies, self._cookies = proxies, cookies
        self._scope, self._headers = scope, headers

    def client(self) -> Client:
        peer = self._scope.get("client")
        address, headers = peer[0] if peer else None, self._headers
        return Client(
            ip_address=self._proxies.client_address(address, headers.text(b"x-forwarded-for")),
            user_agent=headers.text(b"user-agent"),
            request_id=self._scope["state"]["request_id"],
            device_token=headers.text(b"portico-device"),
            accept_language=headers.text(b"accept-language"),
        )

    def cookie(self) -> SessionCookie:
        return self._cookies.read(self._scope, self._headers)
