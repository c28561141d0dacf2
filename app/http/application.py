"""The ASGI application: FastAPI, with layers of ours around it."""

import os
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from app.http.asgi import ASGIApp


def is_traced() -> bool:
    """Whether whoever runs it wants telemetry: OpenTelemetry is set up by the environment."""
    return any(name.startswith("OTEL_") for name in os.environ)


class Application(FastAPI):
    """FastAPI, with layers of ours around all of its own, so that `/graphql` passes ours alone."""

    def __init__(self, *layers: Callable[[ASGIApp], ASGIApp], lifespan: Any) -> None:
        # Asked whether it is on, FastAPI looks into the environment anew for each request. Where it
        # goes is set up in `app.telemetry`, as for the worker, and so are logs: those of FastAPI
        # would hold what exceptions say.
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
        self._layers, self._traced = layers, telemetry
        self._refusal: str | None = None

    def refuse_to_start(self, reason: str) -> None:
        """Let the server say this one line, where the framework would send it a traceback."""
        self._refusal = reason

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, self._in_one_line(send))
            return
        if self._traced or self.middleware_stack is None or scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        # What FastAPI and Starlette do before it when nothing is traced.
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def _in_one_line(self, send: Any) -> Any:
        async def send_in_one_line(message: Any) -> None:
            if message["type"] == "lifespan.startup.failed" and self._refusal:
                message = {**message, "message": self._refusal}
            await send(message)

        return send_in_one_line

    def build_middleware_stack(self) -> Any:
        app: Any = super().build_middleware_stack()
        for layer in self._layers:
            app = layer(app)
        return app
