"""GraphQL over HTTP (September 2026): `GET`, `HEAD` and `POST /graphql`, as an ASGI application."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql import OperationType

from app.engine.engine import Engine, RequestError
from app.engine.persisted import DocumentRefused, PersistedDocuments
from app.errors import Overloaded, Unavailable
from app.graphql.scalars import write_json
from app.http.access_log import Line
from app.http.asgi import Receive, Scope, Send
from app.http.cookies import CookieRules
from app.http.graphiql_page import GraphiQL
from app.http.headers import Headers, bearer_token
from app.http.negotiation import CONTENT_TYPES, GRAPHQL_JSON, JSON, negotiate, prefers_html
from app.http.proxies import TrustedProxies
from app.http.refusals import HttpRefusal
from app.http.replies import UNPROCESSABLE, Reply, executed, not_executed, refused, try_later
from app.http.request_head import RequestHead
from app.http.requests import GraphQLRequest, read_get, read_post

ALLOW = ((b"allow", b"GET, HEAD, POST"),)
ALLOW_POST = ((b"allow", b"POST"),)
# HEAD is a GET whose content is not sent (RFC 9110, 9.3.2).
SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class GraphQLOverHttp:
    engine: Engine
    persisted: PersistedDocuments
    # Makes the context of resolvers from what reads the head of the request, and the bearer token.
    context_of: Callable[[Callable[[], RequestHead], str | None], Any]
    # Whether the secrets of this process are revoked, so that it must not answer.
    is_revoked: Callable[[], bool]
    graphiql: GraphiQL | None
    max_body_bytes: int
    proxies: TrustedProxies
    cookies: CookieRules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = scope["state"]["headers"]
        accept = headers.text(b"accept")
        if self.graphiql and _wants_page(scope, accept):
            return await self.graphiql.send_page(send)
        accepted = negotiate(accept)
        line: Line = scope["state"]["line"]
        try:
            reply = await self._answer(scope, receive, headers, accepted, line)
        except HttpRefusal as refusal:
            reply = refused(refusal)
        except Overloaded as full:
            reply = try_later(full)
        if "errors" in reply.answer:
            line.outcome = reply.answer["errors"][0]["extensions"]["code"]
        return await _send(send, scope["method"], accepted, reply)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        headers: Headers,
        accepted: str | None,
        line: Line,
    ) -> Reply:
        if accepted is None:
            raise HttpRefusal(406, f"The media type of answers is {GRAPHQL_JSON} or {JSON}.")
        method = scope["method"]
        if method == "POST":
            request = await read_post(receive, headers, self.max_body_bytes)
        elif method in SAFE_METHODS:
            request = read_get(scope)
        else:
            raise HttpRefusal(405, "Send a GET or a POST.", headers=ALLOW)
        if self.is_revoked():
            return try_later(Unavailable("the secrets of this process are revoked"))
        text = self._document_text(request)
        read_head = partial(RequestHead, self.proxies, self.cookies, scope, headers)
        context = self.context_of(read_head, bearer_token(headers))
        prepared = await self.engine.prepare(
            text, request.operation_name, request.variables, context
        )
        if isinstance(prepared, RequestError):
            return not_executed(prepared)
        executable = prepared.executable
        if method in SAFE_METHODS and executable.node.operation is not OperationType.QUERY:
            raise HttpRefusal(405, "A GET runs queries only; send a POST.", headers=ALLOW_POST)
        line.operation, line.name = executable.label, executable.name
        line.document = prepared.document.hash
        answer = await self.engine.run(prepared, context)
        line.user = str(context.user_id) if context.user_id else None
        line.outcome = context.problem or "ok"
        if isinstance(answer, RequestError):
            return not_executed(answer)
        reply = executed(answer, in_parts=executable.in_parts)
        cookie = context.changed_cookie
        return reply if cookie is None else reply.with_header(self.cookies.header(cookie))

    def _document_text(self, request: GraphQLRequest) -> str:
        try:
            return self.persisted.find(request.query, request.document_id, request.extensions)
        except DocumentRefused as refusal:
            raise HttpRefusal(UNPROCESSABLE, refusal.message, code=refusal.code) from None


def _wants_page(scope: Scope, accept: str | None) -> bool:
    is_bare = scope["method"] in SAFE_METHODS and not scope["query_string"]
    return is_bare and prefers_html(accept or "")


async def _send(send: Send, method: str, accepted: str | None, reply: Reply) -> None:
    body = write_json(reply.answer)
    status, media_type = reply.for_client(accepted)
    headers = [
        (b"content-type", CONTENT_TYPES[media_type]),
        (b"content-length", str(len(body)).encode()),
        (b"vary", b"accept"),
        (b"cache-control", b"no-store"),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
