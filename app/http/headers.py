"""The headers of a request, and the bearer token in them."""

from app.http.asgi import Scope

LIST_HEADERS = frozenset({b"accept", b"accept-language", b"x-forwarded-for"})


class Headers:
    """The headers of a request by name: their first value, and which names are `repeated`.

    Headers that are lists may come in several parts, which are joined (RFC 9110, 5.3): the last
    address of `X-Forwarded-For` is from the nearest proxy, the first one may be forged.
    """

    __slots__ = ("repeated", "values")

    def __init__(self, scope: Scope) -> None:
        self.repeated: set[bytes] = set()
        self.values = values = dict[bytes, bytes]()
        for name, value in scope["headers"]:
            if name not in values:
                values[name] = value
                continue
            self.repeated.add(name)
            if name in LIST_HEADERS:
                values[name] += b"," + value

    def text(self, name: bytes) -> str | None:
        value = self.values.get(name)
        return None if value is None else value.decode("latin-1")


def bearer_token(headers: Headers) -> str | None:
    """Returns the token of the Authorization header (RFC 6750, 2.1); None if there is no header.

    The scheme is matched in any case. A header of another form, or several, count as an invalid
    token, which is not the same as none.
    """
    value = headers.text(b"authorization")
    if value is None:
        return None
    scheme, _, token = value.strip().partition(" ")
    if scheme.lower() != "bearer" or b"authorization" in headers.repeated:
        return ""
    return token.strip()
