"""Holds requests to the rules for heads where a protocol of uvicorn's own has read them."""

from urllib.parse import unquote

from app.http.cors import Cors, origin_in
from app.http.refusals import refusal_body, send_refusal
from app.http.requests import ASGIApp, Receive, Scope, Send
from app.server.head_rules import (
    NO_TARGET,
    Objection,
    decisive_in,
    is_origin_form,
    objection_to,
    origin_form,
)

CLOSE = (b"connection", b"close")


class CheckedHeads:
    """An application that is only given requests whose heads nothing is wrong with."""

    def __init__(self, app: ASGIApp, cors: Cors) -> None:
        self._app, self._cors = app, cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            objection = _objection(scope)
            if objection is not None:
                cors = self._cors.headers_for(origin_in(scope["headers"]))
                body = refusal_body(objection.message)
                await send_refusal(send, objection.status, body, (*cors, CLOSE))
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
