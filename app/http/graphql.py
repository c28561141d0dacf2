"""GraphQL over HTTP (the specification of 2025): `GET|POST /graphql`, as plain ASGI."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import OperationType

from app.errors import Code, Overloaded
from app.graphql.context import Context, Services
from app.graphql.engine import Engine, RequestError
from app.graphql.errors import coded, refusal
from app.graphql.persisted import DocumentRefused, PersistedDocuments
from app.graphql.scalars import write_json
from app.http.access_log import Line
from app.http.explorer import Explorer
from app.http.negotiation import GRAPHQL_JSON, JSON, MediaType, negotiate, prefers_html
from app.http.proxies import Proxies
from app.http.requests import (
    GraphQLRequest,
    Headers,
    HttpRefusal,
    Receive,
    Scope,
    Send,
    bearer_of,
    read_get,
    read_post,
)
from app.services.outcomes import Client

ALLOW = ((b"allow", b"GET, POST"),)
ALLOW_POST = ((b"allow", b"POST"),)


class Reply(NamedTuple):
    status: int
    answer: dict[str, Any]
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class GraphQLOverHttp:
    engine: Engine
    persisted: PersistedDocuments
    services: Services
    explorer: Explorer | None
    max_body_bytes: int
    proxies: Proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = scope["state"]["headers"]
        accept = headers.text(b"accept")
        if self.explorer and _wants_a_page(scope, accept):
            return await self.explorer.page(send)
        media = negotiate(accept)
        line: Line = scope["state"]["line"]
        try:
            reply = await self._answer(scope, receive, headers, media, line)
        except HttpRefusal as refused:
            errors = [coded(refused.message, refused.code)]
            reply = Reply(refused.status, {"errors": errors}, refused.headers)
        except Overloaded as full:
            reply = _overloaded(full)
        if "errors" in reply.answer:
            line.outcome = reply.answer["errors"][0]["extensions"]["code"]
        return await _send(send, media or MediaType(GRAPHQL_JSON), reply)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        headers: Headers,
        media: MediaType | None,
        line: Line,
    ) -> Reply:
        if media is None:
            raise HttpRefusal(406, f"Answers are {GRAPHQL_JSON} or {JSON}.")
        method = scope["method"]
        if method == "POST":
            request = await read_post(receive, headers, self.max_body_bytes)
        elif method == "GET":
            request = read_get(scope)
        else:
            raise HttpRefusal(405, "Send a GET or a POST.", headers=ALLOW)
        text = self._text(request)
        context = self._context(scope, headers)
        prepared = await self.engine.prepare(
            text, request.operation_name, request.variables, context
        )
        if isinstance(prepared, RequestError):
            return _refused(prepared, media)
        executable = prepared.executable
        if method == "GET" and executable.node.operation is not OperationType.QUERY:
            raise HttpRefusal(405, "A GET runs queries only; send a POST.", headers=ALLOW_POST)
        line.operation, line.name = executable.label, executable.name
        line.document = prepared.document.hash
        answer = await self.engine.run(prepared, context)
        line.user = str(context.viewer.user.id) if context.viewer else None
        line.outcome = context.problem or "ok"
        return _refused(answer, media) if isinstance(answer, RequestError) else _reply(answer)

    def _text(self, request: GraphQLRequest) -> str:
        try:
            return self.persisted.find(request.query, request.document_id, request.extensions)
        except DocumentRefused as refused:
            # Apollo's links read the code out of a 200 in every version.
            status = 200 if refused.code is Code.PERSISTED_QUERY_NOT_FOUND else 400
            raise HttpRefusal(status, refused.message, code=refused.code) from None

    def _context(self, scope: Scope, headers: Headers) -> Context:
        peer = scope.get("client")
        return Context(
            services=self.services,
            client=Client(
                ip_address=self.proxies.client_of(
                    peer[0] if peer else None, headers.text(b"x-forwarded-for")
                ),
                user_agent=headers.text(b"user-agent"),
                request_id=scope["state"]["request_id"],
                device_token=headers.text(b"portico-device"),
            ),
            bearer=bearer_of(headers),
        )


def _wants_a_page(scope: Scope, accept: str | None) -> bool:
    return scope["method"] == "GET" and not scope["query_string"] and prefers_html(accept or "")


def _reply(answer: dict[str, Any]) -> Reply:
    """200 where a field was answered; 503 where none could be, and when it is worth another try."""
    if "errors" not in answer:
        return Reply(200, answer)
    errors: list[dict[str, Any]] = answer["errors"]
    away = all(each["extensions"]["code"] == Code.SERVICE_UNAVAILABLE for each in errors)
    if not away or any(_fields(answer)):
        return Reply(200, answer)
    waits = [each["extensions"].get("retryAfter") for each in errors]
    # Not where nobody knows what became of a mutation: it must not be sent again unseen.
    headers = () if None in waits else ((b"retry-after", str(max(waits)).encode()),)
    return Reply(503, answer, headers)


def _fields(answer: dict[str, Any]) -> Iterable[Any]:
    data: dict[str, Any] = answer["data"] or {}
    return data.values()


def _overloaded(full: Overloaded) -> Reply:
    retry_after = (b"retry-after", str(full.retry_after_seconds).encode())
    return Reply(503, {"errors": [refusal(full, None)]}, (retry_after,))


def _refused(refused: RequestError, media: MediaType) -> Reply:
    return Reply(200 if media.legacy else 400, {"errors": refused.errors})


async def _send(send: Send, media: MediaType, reply: Reply) -> None:
    body = write_json(reply.answer)
    headers = [
        (b"content-type", media.header),
        (b"content-length", str(len(body)).encode()),
        (b"vary", b"accept"),
        (b"cache-control", b"no-store"),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
