"""The least that an ASGI application can do: read the request, send bytes that it already has."""

import os
from pathlib import Path
from typing import Any

ANSWERS = Path(os.environ["ANSWERS"])
ME = (ANSWERS / "me.json").read_bytes()
USERS = (ANSWERS / "users.json").read_bytes()


async def app(_scope: dict[str, Any], receive: Any, send: Any) -> None:
    request = await _body(receive)
    answer = USERS if b"users(" in request else ME
    headers = [
        (b"content-type", b"application/graphql-response+json"),
        (b"content-length", str(len(answer)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
