"""Reads a GraphQL request from HTTP; what is not a request is refused with a status and a code."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl

import orjson

from app.errors import Code

LIST_HEADERS = frozenset({b"accept", b"accept-language", b"x-forwarded-for"})
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_JSON_DEPTH = 24
# graphql-core takes a microsecond or more for each value of a list, before authentication.
MAX_JSON_VALUES = 1_000
MAX_QUERY_STRING_BYTES = 16 * 1024
MAX_PARAMETERS = 50


class HttpRefusal(Exception):
    """Answers the request before it reaches GraphQL."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: Code = Code.BAD_REQUEST,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers


class GraphQLRequest(NamedTuple):
    """The parameters of a request (GraphQL over HTTP, 4.1); an empty one counts as absent."""

    query: str | None
    document_id: str | None
    operation_name: str | None
    variables: dict[str, Any]
    extensions: dict[str, Any]


class Headers:
    """The headers of a request by name: their first value, and which names are `repeated`.

    Headers that are lists may come in several parts, which are joined (RFC 9110, 5.3): the last
    address of `X-Forwarded-For` is from the nearest proxy, the first one may be made up.
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


async def read_post(receive: Receive, headers: Headers, max_bytes: int) -> GraphQLRequest:
    """Read the body of a POST.

    Raises:
        HttpRefusal: 400 if it is not JSON, 422 if it is JSON but no request, 413 or 415.

    """
    _check_content_type(headers)
    body = await _read_body(receive, headers, max_bytes)
    try:
        parameters = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise HttpRefusal(400, "The body is not JSON in UTF-8.") from None
    if isinstance(parameters, list):
        raise HttpRefusal(422, "The body is a list: requests are not batched here.")
    if not isinstance(parameters, dict):
        raise HttpRefusal(422, "The body is not a JSON object.")
    return read_parameters(cast("dict[str, Any]", parameters))


def read_get(scope: Scope) -> GraphQLRequest:
    """Read the query string of a GET.

    Raises:
        HttpRefusal: 400 if it cannot be decoded, 422 if it is no request, or 414.

    """
    raw: bytes = scope["query_string"]
    if len(raw) > MAX_QUERY_STRING_BYTES:
        raise HttpRefusal(414, "The query string is too long; send a POST.")
    if raw.count(b"&") >= MAX_PARAMETERS:
        raise HttpRefusal(422, f"The query string has more than {MAX_PARAMETERS} parameters.")
    try:
        given = dict(
            parse_qsl(
                raw.decode("ascii"), keep_blank_values=True, strict_parsing=False, errors="strict"
            )
        )
    except ValueError:
        raise HttpRefusal(400, "The query string is not UTF-8.") from None
    parameters: dict[str, Any] = {name: value for name, value in given.items() if value}
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _object(name, parameters[name])
    return read_parameters(parameters)


def read_parameters(parameters: Mapping[str, Any]) -> GraphQLRequest:
    return GraphQLRequest(
        _string("query", parameters),
        _string("documentId", parameters),
        _string("operationName", parameters),
        _map("variables", parameters),
        _map("extensions", parameters),
    )


def _string(name: str, parameters: Mapping[str, Any]) -> str | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, str):
        raise HttpRefusal(422, f"`{name}` must be a string.")
    return value or None


def _map(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    given = parameters.get(name)
    if given is None or given == "":
        return {}
    if not isinstance(given, dict):
        raise HttpRefusal(422, f"`{name}` must be an object.")
    value = cast("dict[str, Any]", given)
    _check_size(name, value)
    return value


def _object(name: str, text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise HttpRefusal(400, f"`{name}` is not JSON.") from None


def _check_size(name: str, value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    values = 0
    for _ in range(MAX_JSON_DEPTH + 1):
        level = [inner for outer in level for inner in _within(outer)]
        if not level:
            return
        values += len(level)
        if values > MAX_JSON_VALUES:
            raise HttpRefusal(422, f"`{name}` has more than {MAX_JSON_VALUES:,} values.")
    raise HttpRefusal(422, f"`{name}` is nested more than {MAX_JSON_DEPTH} levels deep.")


def _within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()


def _check_content_type(headers: Headers) -> None:
    _check_media_type(headers.values.get(b"content-type", b""))
    if headers.values.get(b"content-encoding", b"identity").lower() != b"identity":
        raise HttpRefusal(415, "Send the body uncompressed.")


@lru_cache(maxsize=64)
def _check_media_type(header: bytes) -> None:
    kind, *parameters = header.decode("latin-1").lower().split(";")
    if kind.strip() != "application/json":
        # Browsers send some other types across origins without a preflight: this prevents forms
        # from running mutations (CSRF).
        raise HttpRefusal(415, "Send the request as application/json.")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8"}:
            raise HttpRefusal(415, "JSON is UTF-8.")


async def _read_body(receive: Receive, headers: Headers, max_bytes: int) -> bytes:
    declared = headers.values.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 12 or int(declared) > max_bytes:
        raise _too_large(max_bytes)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return _bounded(body, max_bytes)
    chunks, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HttpRefusal(400, "The body ended early.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
    return _bounded(b"".join(chunks), max_bytes)


def _bounded(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def _too_large(max_bytes: int) -> HttpRefusal:
    # The rest of the body is not read: the connection is closed.
    return HttpRefusal(
        413, f"A request has at most {max_bytes:,} bytes.", headers=((b"connection", b"close"),)
    )
