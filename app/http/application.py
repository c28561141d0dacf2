"""FastAPI, with our middleware around its own."""

import os
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from app.http.asgi import ASGIApp


def is_traced() -> bool:
    """Whether telemetry is configured, by variables of OpenTelemetry in the environment."""
    return any(name.startswith("OTEL_") for name in os.environ)


class Application(FastAPI):
    """FastAPI, with our middleware around its own, so that `/graphql` passes only ours."""

    def __init__(self, *middleware: Callable[[ASGIApp], ASGIApp], lifespan: Any) -> None:
        # By default FastAPI reads the environment for each request. `app.telemetry` configures the
        # exporters, as for the worker, and the logs: FastAPI's would contain texts of exceptions.
        telemetry = is_traced()
        super().__init__(
            title="Portico",
            telemetry={
                "tracing": telemetry,
                "metrics": telemetry,
                "logs": False,
                "auto_configure": False,
            },
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=lifespan,
        )
        self._outer_middleware, self._traced = middleware, telemetry
        self._refusal: str | None = None

    def refuse_to_start(self, reason: str) -> None:
        """Make the server log this line instead of the traceback that Starlette sends it."""
        self._refusal = reason

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, self._replace_traceback(send))
            return
        if self._traced or self.middleware_stack is None or scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        # As FastAPI and Starlette do when nothing is traced.
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def _replace_traceback(self, send: Any) -> Any:
        async def send_reason(message: Any) -> None:
            if message["type"] == "lifespan.startup.failed" and self._refusal:
                message = {**message, "message": self._refusal}
            await send(message)

        return send_reason

    def build_middleware_stack(self) -> Any:
        app: Any = super().build_middleware_stack()
        for add in self._outer_middleware:
            app = add(app)
        return app
