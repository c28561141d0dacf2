"""The ASGI application: FastAPI, and the layers of ours around it, made of the settings."""

import os
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import strawberry
from fastapi import FastAPI

from app.config.settings import Settings
from app.engine.documents import Documents
from app.engine.engine import Engine, core_schema
from app.engine.limits import DocumentLimits
from app.engine.persisted import PersistedDocuments
from app.event_names import EVENT_NAMES
from app.graphql.context import Services
from app.graphql.schema import build_schema
from app.http.access_log import AccessLog
from app.http.cors import Cors, Preflights
from app.http.fast_path import FastPath
from app.http.graphiql_page import GraphiQL
from app.http.graphql import GraphQLOverHttp
from app.http.proxies import TrustedProxies
from app.http.request_middleware import RequestMiddleware
from app.http.requests import ASGIApp
from app.server.connection_limits import ConnectionLimits


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


def layers(
    settings: Settings, engine: Engine, services: Services, access_log: AccessLog, cors: Cors
) -> Iterator[Callable[[ASGIApp], ASGIApp]]:
    """From the inside out."""
    persisted = PersistedDocuments.load(
        settings.persisted_documents, only_trusted=settings.persisted_documents_only
    )
    graphiql = GraphiQL.load() if settings.explore else None
    endpoint = GraphQLOverHttp(
        engine,
        persisted,
        services,
        graphiql,
        settings.max_body_bytes,
        TrustedProxies.of(settings.trusted_proxies),
    )
    yield lambda app: FastPath(app, {"/graphql": endpoint}, graphiql)
    if settings.cors_origins:
        yield lambda app: Preflights(app, cors)
    https = settings.public_url.startswith("https://")
    yield lambda app: RequestMiddleware(
        app, https=https, traced=is_traced(), access_log=access_log, cors=cors
    )


def schema_of(settings: Settings) -> strawberry.Schema:
    """Build the schema, whose descriptions state the limits of these settings."""
    numbers = {name: value for name, value in settings if type(value) is int}
    return build_schema({**numbers, "audit_event_names": EVENT_NAMES.described})


def default_schema() -> strawberry.Schema:
    """Build the schema with the limits that hold where nothing is set: that of `schema.graphql`."""
    return schema_of(Settings.model_construct())


def documents_of(settings: Settings, schema: strawberry.Schema) -> Documents:
    return Documents(
        core_schema(schema),
        _document_limits(settings),
        explore=settings.explore,
        planned=settings.execution_plans,
    )


def connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        head_seconds=settings.head_timeout_seconds,
        body_seconds=settings.body_timeout_seconds,
        write_seconds=settings.write_timeout_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        head_bytes=settings.max_head_bytes,
        connections=settings.max_connections,
    )


def _document_limits(settings: Settings) -> DocumentLimits:
    names = (limit.name for limit in fields(DocumentLimits))
    return DocumentLimits(**{name: getattr(settings, f"limit_{name}") for name in names})
