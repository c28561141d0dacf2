"""Applies the rules for heads as ASGI middleware, for uvicorn's own protocol."""

from urllib.parse import unquote

from app.http.asgi import ASGIApp, Receive, Scope, Send
from app.http.cors import Cors, origin_in
from app.http.refusals import refusal_body, send_refusal
from app.server.head_rules import (
    BAD_TARGET,
    HeadRefusal,
    checked_fields,
    head_refusal,
    is_origin_form,
    origin_form,
)

CLOSE = (b"connection", b"close")


class HeadChecks:
    """Passes on only requests whose heads are valid."""

    def __init__(self, app: ASGIApp, cors: Cors) -> None:
        self._app, self._cors = app, cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = _refusal(scope)
            if refusal is not None:
                cors = self._cors.headers_for(origin_in(scope["headers"]))
                body = refusal_body(refusal.message)
                await send_refusal(send, refusal.status, body, (*cors, CLOSE))
                return
        await self._app(scope, receive, send)


def _refusal(scope: Scope) -> HeadRefusal | None:
    checked = checked_fields(scope["headers"])
    refusal = head_refusal(scope["http_version"], scope["method"].encode(), checked)
    if refusal is not None:
        return refusal
    target = scope["raw_path"] + b"?" + scope["query_string"]
    return None if is_origin_form(target) else _rewrite_target(scope, target.removesuffix(b"?"))


def _rewrite_target(scope: Scope, target: bytes) -> HeadRefusal | None:
    """Replace a target with a host by its path and query."""
    origin = origin_form(scope["method"].encode(), target)
    if origin is None:
        return BAD_TARGET
    path, _, query = origin.partition(b"?")
    scope["raw_path"], scope["path"] = path, unquote(path.decode("ascii"))
    scope["query_string"] = query
    return None
