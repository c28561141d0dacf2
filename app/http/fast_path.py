"""Routes GraphQL past FastAPI's own middleware and router."""

from collections.abc import Awaitable, Mapping

from app.http.asgi import ASGIApp, Receive, Scope, Send
from app.http.graphiql_page import ASSETS, GraphiQL


class FastPath:
    """ASGI middleware that calls the applications of some paths, and serves the files of GraphiQL.

    FastAPI's middleware costs a tenth of what a small query does, and does nothing for these paths.
    """

    def __init__(
        self, app: ASGIApp, paths: Mapping[str, ASGIApp], graphiql: GraphiQL | None
    ) -> None:
        self._app, self._paths, self._graphiql = app, paths, graphiql

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self._paths.get(scope["path"]) if scope["type"] == "http" else None
        if app is None and self._graphiql and scope.get("path", "").startswith(ASSETS):
            app = self._graphiql
        return (app or self._app)(scope, receive, send)
