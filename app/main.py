"""The only place that puts the house together: `create_app`, and what runs as long as it does."""

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from functools import partial
from typing import Any

import strawberry
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from app.clock import Clock, system_clock
from app.database.errors import explanation, said
from app.database.outages import forget_values
from app.database.replica import Replica
from app.engine.documents import Documents
from app.engine.engine import Engine, core_schema
from app.engine.limits import DocumentLimits
from app.engine.persisted import PersistedDocuments
from app.errors import Misconfigured, Unavailable
from app.figures import FIGURES_SECONDS, readings_of
from app.graphql.context import Context
from app.graphql.field_policy import field_costs
from app.graphql.schema import build_schema, node_kinds, printed
from app.graphql.schema_part import NodeKinds, SchemaPart
from app.http.access_log import AccessLog, console_line, json_line
from app.http.application import Application, is_traced
from app.http.cors import CORS, Cors, Preflights
from app.http.fast_path import FastPath
from app.http.graphiql_page import GraphiQL
from app.http.graphql import GraphQLOverHttp
from app.http.health import STOPPING, health_routes
from app.http.management import Health, management
from app.http.metrics import Metrics, Reading
from app.http.proxies import TrustedProxies
from app.http.request_middleware import RequestMiddleware
from app.http.requests import ASGIApp
from app.http.well_known import well_known_routes
from app.imports import attribute
from app.jobs.metrics import BACKLOG_SECONDS, JobFigures, JobMetrics
from app.jobs.services.queue import Jobs
from app.jobs.services.worker import Worker
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.signing_keys import JWKS_MAX_AGE, SigningKeys
from app.logs import log_to_stderr
from app.mail.mailer import Mailer
from app.module import Module
from app.modules import MODULES, attempts_of, event_names, read_settings, settings_class
from app.periodic import every
from app.portico import Portico, build
from app.security.client import Client
from app.server.connection_limits import LIMITER, ConnectionLimiter, ConnectionLimits
from app.server.head_checks import HeadChecks
from app.server.shutdown import Shutdown, stop_all_workers
from app.settings import Settings
from app.telemetry.signals import flush_telemetry, start_telemetry

GC_THRESHOLDS = (10_000, 20, 50)

log = logging.getLogger(__name__)


def create_app(
    settings: Settings,
    clock: Clock = system_clock,
    mailer: Mailer | None = None,
    shutdown: Shutdown | None = None,
    end: Callable[[], None] | None = None,
) -> FastAPI:
    """Make the ASGI application of these settings.

    `end` stops the server around it; it is called when SECRET_KEY is accepted no more.

    Raises:
        Misconfigured: says in one line what is missing or wrong.

    """
    portico = build(settings, clock, mailer)
    metrics = Metrics()
    shutdown = shutdown or Shutdown()
    access_log = _access_log(settings, metrics)
    schema = schema_of(settings, portico.modules)
    portico.services.put(NodeKinds, node_kinds(parts_of(portico.modules)))
    engine = Engine(schema, documents_of(settings, schema), said)
    limiter = ConnectionLimiter(connection_limits(settings), shutdown)
    cors = Cors.of(settings.cors_origins)

    async def unready() -> str | None:
        return STOPPING if shutdown.has_begun else await portico.unready()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        await _start(portico, app)
        settle()
        running = [
            *map(asyncio.create_task, _running(settings, portico, metrics, engine, limiter)),
            asyncio.create_task(_end_if_revoked(portico, end)),
        ]
        health = Health(asyncio.get_running_loop(), unready)
        try:
            with (
                management(settings.management_address, metrics.registry, health),
                shutdown.delayed(settings.shutdown_delay_seconds),
            ):
                yield {LIMITER: limiter, CORS: cors}
        finally:
            for each in running:
                each.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await portico.stop()
            access_log.flush()
            await flush_telemetry()

    endpoint = _endpoint(settings, portico, engine, clock)
    app = Application(*_layers(settings, endpoint, access_log, cors), lifespan=lifespan)
    app.state.portico, app.state.engine = portico, engine
    app.include_router(health_routes(unready))
    jwks = portico.services[SigningKeys].jwks
    app.include_router(well_known_routes(jwks, JWKS_MAX_AGE, settings.public_url))
    return app


def parts_of(modules: tuple[Module, ...]) -> tuple[SchemaPart, ...]:
    """Return what modules bring to the schema.

    Raises:
        Misconfigured: one cannot be imported; names the file and the line.

    """
    paths = (module.schema for module in modules if module.schema is not None)
    return tuple(attribute(path, "SCHEMA", SchemaPart) for path in paths)


def schema_of(settings: Settings, modules: tuple[Module, ...]) -> strawberry.Schema:
    """Build the schema, whose descriptions state the limits of these settings."""
    limits = {name: value for name, value in settings if type(value) is int}
    values = {**limits, "audit_event_names": event_names(modules).described}
    return build_schema(parts_of(modules), attempts_of(modules), values)


def default_schema(modules: tuple[Module, ...] = MODULES) -> strawberry.Schema:
    """Build the schema with the limits that hold where nothing is set: that of `schema.graphql`."""
    unset = settings_class(modules).model_construct()
    return schema_of(unset, modules)


def default_sdl(modules: tuple[Module, ...]) -> str:
    """Returns what `portico schema export` writes."""
    return printed(default_schema(modules))


def documents_of(settings: Settings, schema: strawberry.Schema) -> Documents:
    names = (limit.name for limit in fields(DocumentLimits))
    limits = DocumentLimits(**{name: getattr(settings, f"limit_{name}") for name in names})
    core = core_schema(schema)
    return Documents(
        schema=core,
        limits=limits,
        costs=field_costs(core),
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


def _endpoint(
    settings: Settings, portico: Portico, engine: Engine, clock: Clock
) -> GraphQLOverHttp:
    services, fleet = portico.services, portico.services[FleetSecrets]

    def context_of(client: Client, bearer: str | None) -> Context:
        return Context(services, clock, client, bearer)

    return GraphQLOverHttp(
        engine,
        PersistedDocuments.load(
            settings.persisted_documents, only_trusted=settings.persisted_documents_only
        ),
        context_of,
        lambda: fleet.state.revoked,
        GraphiQL.load(settings.product) if settings.explore else None,
        settings.max_body_bytes,
        TrustedProxies.of(settings.trusted_proxies),
    )


def _layers(
    settings: Settings, endpoint: GraphQLOverHttp, access_log: AccessLog, cors: Cors
) -> Iterator[Callable[[ASGIApp], ASGIApp]]:
    """Yield the layers around FastAPI, from the inside out."""
    yield lambda app: FastPath(app, {"/graphql": endpoint}, endpoint.graphiql)
    if settings.cors_origins:
        yield lambda app: Preflights(app, cors)
    https = settings.public_url.startswith("https://")
    yield lambda app: RequestMiddleware(
        app, https=https, traced=is_traced(), access_log=access_log, cors=cors
    )


def _running(
    settings: Settings,
    portico: Portico,
    metrics: Metrics,
    engine: Engine,
    limiter: ConnectionLimiter,
) -> Iterator[Any]:
    """Yield what runs as long as the application does."""
    services = portico.services
    yield limiter.enforce_timeouts()
    yield services[Replica].watch()
    for seconds, chores in portico.periodic().items():
        yield every(seconds, *chores)
    readings = tuple(readings_of(portico, engine.documents, limiter))
    # Now, too: who asks for metrics right after the start finds all of them.
    metrics.take(readings)
    yield every(FIGURES_SECONDS, partial(_take, metrics, readings))
    job_metrics = JobMetrics(metrics.registry)
    yield every(BACKLOG_SECONDS, JobFigures(services[Jobs], job_metrics).hand_on)
    if settings.jobs_worker:
        yield replace(services[Worker], observe=job_metrics.observe).run()


async def _take(metrics: Metrics, readings: tuple[Reading, ...]) -> None:
    metrics.take(readings)


async def _start(portico: Portico, app: Application) -> None:
    """Start; if that fails, the server says in one line why and ends."""
    try:
        await portico.start()
        await portico.services[SigningKeys].refresh()
    except (Misconfigured, Unavailable, SQLAlchemyError) as problem:
        forget_values(problem)
        log.debug("The application cannot start", exc_info=problem)
        reason = str(problem) if isinstance(problem, Misconfigured) else explanation(problem)
        app.refuse_to_start(reason)
        raise


async def _end_if_revoked(portico: Portico, end: Callable[[], None] | None) -> None:
    await portico.services[FleetSecrets].revoked.wait()
    if end is not None:
        end()


def create_app_from_environment() -> FastAPI:
    """What each worker of `portico serve` calls."""
    return create_app(_settings(), end=stop_all_workers)


def create_app_with_head_checks_from_environment() -> ASGIApp:
    """What each worker calls on untested versions of uvicorn, whose protocol checks no heads."""
    settings = _settings()
    app = create_app(settings, shutdown=Shutdown(can_be_delayed=False), end=stop_all_workers)
    return HeadChecks(app, Cors.of(settings.cors_origins))


def _settings() -> Settings:
    settings = read_settings()
    log_to_stderr(settings.log_level, settings.log_format)
    start_telemetry()
    return settings


def settle() -> None:
    """Tell the collector that what is there now, modules and schema, stays: it need not look again.

    Otherwise a full collection halts every request in flight for as long as it takes to walk all of
    it, several times a second under load.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _access_log(settings: Settings, metrics: Metrics) -> AccessLog:
    write = json_line if settings.log_format == "json" else console_line
    return AccessLog(sys.stderr if settings.access_log else None, write, metrics.observe)
