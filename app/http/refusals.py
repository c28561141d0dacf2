"""Answers to requests that do not reach GraphQL, in the shape that its clients read."""

from collections.abc import Iterable
from typing import Any

import orjson

from app.errors import Code, coded
from app.http.asgi import Send
from app.http.negotiation import CONTENT_TYPES, GRAPHQL_JSON

CONTENT_TYPE = CONTENT_TYPES[GRAPHQL_JSON]


class HttpRefusal(Exception):
    """Refuses a request before it reaches GraphQL, with a status code and an error code."""

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


def refusal_body(message: str, code: Code = Code.BAD_REQUEST) -> bytes:
    return errors_body(coded(message, code))


def errors_body(error: dict[str, Any]) -> bytes:
    return orjson.dumps({"errors": [error]})


async def send_refusal(
    send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    start = [
        (b"content-type", CONTENT_TYPE),
        (b"content-length", str(len(body)).encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
