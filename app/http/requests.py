"""Reads a GraphQL request from a POST or a GET, and refuses an invalid one (400, 414, 422)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl

import orjson

from app.http.asgi import Receive, Scope
from app.http.headers import Headers
from app.http.refusals import HttpRefusal
from app.http.request_body import read_json_body

MAX_JSON_DEPTH = 24
# graphql-core takes a microsecond or more for each value of a list, before authentication.
MAX_JSON_VALUES = 1_000
MAX_QUERY_STRING_BYTES = 16 * 1024
MAX_PARAMETERS = 50


class GraphQLRequest(NamedTuple):
    """The parameters of a request (GraphQL over HTTP, 4.1); an empty one counts as absent."""

    query: str | None
    document_id: str | None
    operation_name: str | None
    variables: dict[str, Any]
    extensions: dict[str, Any]


async def read_post(receive: Receive, headers: Headers, max_bytes: int) -> GraphQLRequest:
    """Read the body of a POST.

    Raises:
        HttpRefusal: 400, 413 or 415 as `read_json_body`, or 422 if it is JSON but not a request.

    """
    body = await read_json_body(receive, headers, max_bytes)
    if isinstance(body, list):
        raise HttpRefusal(422, "The body is a list: batches of requests are not supported.")
    if not isinstance(body, dict):
        raise HttpRefusal(422, "The body is not a JSON object.")
    return read_parameters(cast("dict[str, Any]", body))


def read_get(scope: Scope) -> GraphQLRequest:
    """Read the query string of a GET.

    Raises:
        HttpRefusal: 400 if it cannot be decoded, 422 if it is not a request, or 414.

    """
    raw: bytes = scope["query_string"]
    if len(raw) > MAX_QUERY_STRING_BYTES:
        raise HttpRefusal(414, "The query string is too long; send a POST.")
    if raw.count(b"&") >= MAX_PARAMETERS:
        raise HttpRefusal(422, f"The query string has more than {MAX_PARAMETERS} parameters.")
    try:
        decoded = dict(
            parse_qsl(
                raw.decode("ascii"), keep_blank_values=True, strict_parsing=False, errors="strict"
            )
        )
    except ValueError:
        raise HttpRefusal(400, "The query string is not UTF-8.") from None
    parameters: dict[str, Any] = {name: value for name, value in decoded.items() if value}
    for name in ("variables", "extensions"):
        if name in parameters:
            parameters[name] = _parse_json(name, parameters[name])
    return read_parameters(parameters)


def read_parameters(parameters: Mapping[str, Any]) -> GraphQLRequest:
    return GraphQLRequest(
        _string("query", parameters),
        _string("documentId", parameters),
        _string("operationName", parameters),
        _object("variables", parameters),
        _object("extensions", parameters),
    )


def _string(name: str, parameters: Mapping[str, Any]) -> str | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, str):
        raise HttpRefusal(422, f"`{name}` must be a string.")
    return value or None


def _object(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    value = parameters.get(name)
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise HttpRefusal(422, f"`{name}` must be an object.")
    checked = cast("dict[str, Any]", value)
    _check_json_size(name, checked)
    return checked


def _parse_json(name: str, text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise HttpRefusal(400, f"`{name}` is not JSON.") from None


def _check_json_size(name: str, value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    values = 0
    for _ in range(MAX_JSON_DEPTH + 1):
        level = [inner for outer in level for inner in _values_within(outer)]
        if not level:
            return
        values += len(level)
        if values > MAX_JSON_VALUES:
            raise HttpRefusal(422, f"`{name}` has more than {MAX_JSON_VALUES:,} values.")
    raise HttpRefusal(422, f"`{name}` is nested more than {MAX_JSON_DEPTH} levels deep.")


def _values_within(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()
