"""Holds requests to the rules for heads where a protocol of uvicorn's own has read them."""

from typing import Any
from urllib.parse import unquote

from app.http.heads import (
    NO_TARGET,
    Objection,
    decisive_in,
    is_origin_form,
    objection_to,
    origin_form,
    refusal_body,
)
from app.http.requests import ASGIApp, Receive, Scope, Send


class CheckedHeads:
    """An application that is only given requests whose heads nothing is wrong with."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            objection = _objection(scope)
            if objection is not None:
                await _refuse(send, objection)
                return
        await self._app(scope, receive, send)


def _objection(scope: Scope) -> Objection | None:
    decisive = decisive_in(scope["headers"])
    objection = objection_to(scope["http_version"], scope["method"].encode(), decisive)
    if objection is not None:
        return objection
    target = scope["raw_path"] + b"?" + scope["query_string"]
    return None if is_origin_form(target) else _rewritten(scope, target.removesuffix(b"?"))


def _rewritten(scope: Scope, target: bytes) -> Objection | None:
    """Pass the path of a target that has a host in it on to the application."""
    origin = origin_form(scope["method"].encode(), target)
    if origin is None:
        return NO_TARGET
    path, _, query = origin.partition(b"?")
    scope["raw_path"], scope["path"] = path, unquote(path.decode("ascii"))
    scope["query_string"] = query
    return None


async def _refuse(send: Send, objection: Objection) -> None:
    body = refusal_body(objection.message)
    headers: Any = [
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    start = {"type": "http.response.start", "status": objection.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
