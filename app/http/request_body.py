"""Reads the body of a request: its media type (415), its size (413) and its JSON (400)."""

from functools import lru_cache
from typing import Any

import orjson

from app.http.asgi import Receive
from app.http.headers import Headers
from app.http.refusals import HttpRefusal


async def read_json_body(receive: Receive, headers: Headers, max_bytes: int) -> Any:
    """Read a body of JSON.

    Raises:
        HttpRefusal: 400 if it is not JSON or ends early, 413, or 415.

    """
    _check_content_type(headers)
    body = await _read_body(receive, headers, max_bytes)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise HttpRefusal(400, "The body is not JSON in UTF-8.") from None


def _check_content_type(headers: Headers) -> None:
    _check_media_type(headers.values.get(b"content-type", b""))
    if headers.values.get(b"content-encoding", b"identity").lower() != b"identity":
        raise HttpRefusal(415, "Send the body uncompressed.")


@lru_cache(maxsize=64)
def _check_media_type(header: bytes) -> None:
    media_type, *parameters = header.decode("latin-1").lower().split(";")
    if media_type.strip() != "application/json":
        # Browsers send some other types across origins without a preflight: this prevents forms
        # from running mutations (CSRF).
        raise HttpRefusal(415, "Send the request as application/json.")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name == "charset" and value.strip('"') not in {"utf-8", "utf8"}:
            raise HttpRefusal(415, "The charset of JSON must be UTF-8.")


async def _read_body(receive: Receive, headers: Headers, max_bytes: int) -> bytes:
    declared = headers.values.get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 12 or int(declared) > max_bytes:
        raise _content_too_large(max_bytes)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return _check_size(body, max_bytes)
    chunks, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HttpRefusal(400, "The body ended early.")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > max_bytes:
            raise _content_too_large(max_bytes)
    return _check_size(b"".join(chunks), max_bytes)


def _check_size(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise _content_too_large(max_bytes)
    return body


def _content_too_large(max_bytes: int) -> HttpRefusal:
    # The rest of the body is not read: the connection is closed.
    return HttpRefusal(
        413, f"A request has at most {max_bytes:,} bytes.", headers=((b"connection", b"close"),)
    )
