"""Builds the ASGI application: `create_app`, and the tasks that run as long as it does."""

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
from app.composition import Portico, build
from app.database.errors import explanation, server_message
from app.database.outages import remove_values
from app.database.replica import Replica
from app.engine.documents import Documents
from app.engine.engine import Engine, core_schema
from app.engine.executable import Planned
from app.engine.limits import DocumentLimits
from app.engine.persisted import PersistedDocuments
from app.errors import Misconfigured, Unavailable
from app.gauge_readings import READING_SECONDS, readings_of, readings_of_replica
from app.graphql.context import Context
from app.graphql.field_policy import field_costs
from app.graphql.schema import build_schema, node_kinds, print_sdl
from app.graphql.schema_part import NodeKinds, SchemaPart
from app.http.access_log import AccessLog, console_line, json_line
from app.http.application import Application, is_traced
from app.http.asgi import ASGIApp
from app.http.cookies import CookieRules
from app.http.cors import CORS, Cors, Preflights
from app.http.fast_path import FastPath
from app.http.graphiql_page import GraphiQL
from app.http.graphql import GraphQLOverHttp
from app.http.health import STOPPING, health_routes
from app.http.link_pages.pages import link_page_routes
from app.http.management import Health, management
from app.http.metrics import Metrics, Reading
from app.http.proxies import TrustedProxies
from app.http.request_middleware import RequestMiddleware
from app.http.well_known import well_known_routes
from app.imports import import_attribute
from app.jobs.metrics import BACKLOG_SECONDS, BacklogMetrics, JobMetrics
from app.jobs.services.queue import Jobs
from app.jobs.services.worker import Worker
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.key_rotation import JWKS_MAX_AGE
from app.keys.services.signing_keys import SigningKeys
from app.logs import log_to_stderr
from app.mail.mailer import Mailer
from app.module import Module
from app.modules import MODULES, attempts_of, event_names, read_settings, settings_class
from app.periodic import every
from app.security.relying_party import RelyingParty
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
    stop_server: Callable[[], None] | None = None,
) -> FastAPI:
    """Build the ASGI application of these settings.

    `stop_server` is called when SECRET_KEY is no longer accepted.

    Raises:
        Misconfigured: says in one line what is missing or wrong.

    """
    portico = build(settings, clock, mailer)
    portico.services.make_all()
    metrics = Metrics()
    shutdown = shutdown or Shutdown()
    access_log = _access_log(settings, metrics)
    schema = schema_of(settings, portico.modules)
    portico.services.put(NodeKinds, node_kinds(parts_of(portico.modules)))
    engine = Engine(schema, documents_of(settings, schema), server_message)
    limiter = ConnectionLimiter(connection_limits(settings), shutdown)
    cors = Cors.of(settings.cors_origins)

    async def unready() -> str | None:
        return STOPPING if shutdown.has_begun else await portico.unready()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        await _start(portico, app)
        freeze_startup_objects()
        background = [
            *map(asyncio.create_task, _background(settings, portico, metrics, engine, limiter)),
            asyncio.create_task(_stop_when_revoked(portico, stop_server)),
        ]
        health = Health(asyncio.get_running_loop(), unready)
        try:
            with (
                management(settings.management_address, metrics.registry, health),
                shutdown.delayed(settings.shutdown_delay_seconds),
            ):
                yield {LIMITER: limiter, CORS: cors}
        finally:
            for each in background:
                each.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await portico.stop()
            access_log.flush()
            await flush_telemetry()

    endpoint = _endpoint(settings, portico, engine, clock, cors)
    app = Application(*_middleware(settings, endpoint, access_log, cors), lifespan=lifespan)
    app.state.portico, app.state.engine = portico, engine
    app.include_router(health_routes(unready))
    jwks = portico.services[SigningKeys].jwks
    origins = portico.services[RelyingParty].listed_origins
    app.include_router(well_known_routes(jwks, JWKS_MAX_AGE, settings.public_url, origins))
    app.include_router(
        link_page_routes(settings.link_pages, settings.product, with_graphiql=settings.explore)
    )
    return app


def parts_of(modules: tuple[Module, ...]) -> tuple[SchemaPart, ...]:
    """Returns the parts of the schema that modules define.

    Raises:
        Misconfigured: one cannot be imported; names the file and the line.

    """
    paths = (module.schema for module in modules if module.schema is not None)
    return tuple(import_attribute(path, "SCHEMA", SchemaPart) for path in paths)


def schema_of(settings: Settings, modules: tuple[Module, ...]) -> strawberry.Schema:
    """Build the schema, whose descriptions state the limits of these settings."""
    limits = {name: value for name, value in settings if type(value) is int}
    values = {**limits, "audit_event_names": event_names(modules).described}
    return build_schema(parts_of(modules), attempts_of(modules), values)


def default_schema(modules: tuple[Module, ...] = MODULES) -> strawberry.Schema:
    """Build the schema with the limits of the default settings, as in `schema.graphql`."""
    unset = settings_class(modules).model_construct()
    return schema_of(unset, modules)


def default_sdl(modules: tuple[Module, ...]) -> str:
    """Returns the SDL that `portico schema export` writes."""
    return print_sdl(default_schema(modules))


def documents_of(settings: Settings, schema: strawberry.Schema) -> Documents:
    names = (limit.name for limit in fields(DocumentLimits))
    limits = DocumentLimits(**{name: getattr(settings, f"limit_{name}") for name in names})
    core = core_schema(schema)
    return Documents(
        schema=core,
        limits=limits,
        costs=field_costs(core),
        explore=settings.explore,
        planned=Planned(settings.execution_plans),
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
    settings: Settings, portico: Portico, engine: Engine, clock: Clock, cors: Cors
) -> GraphQLOverHttp:
    services, fleet = portico.services, portico.services[FleetSecrets]

    return GraphQLOverHttp(
        engine,
        PersistedDocuments.load(
            settings.persisted_documents, only_trusted=settings.persisted_documents_only
        ),
        partial(Context, services, clock),
        lambda: fleet.state.revoked,
        GraphiQL.load(settings.product) if settings.explore else None,
        settings.max_body_bytes,
        TrustedProxies.of(settings.trusted_proxies),
        CookieRules.of(settings.public_url, cors),
    )


def _middleware(
    settings: Settings, endpoint: GraphQLOverHttp, access_log: AccessLog, cors: Cors
) -> Iterator[Callable[[ASGIApp], ASGIApp]]:
    """Yield the middleware around FastAPI, from the innermost to the outermost."""
    yield lambda app: FastPath(app, {"/graphql": endpoint}, endpoint.graphiql)
    if settings.cors_origins:
        yield lambda app: Preflights(app, cors)
    https = settings.public_url.startswith("https://")
    yield lambda app: RequestMiddleware(
        app, https=https, traced=is_traced(), access_log=access_log, cors=cors
    )


def _background(
    settings: Settings,
    portico: Portico,
    metrics: Metrics,
    engine: Engine,
    limiter: ConnectionLimiter,
) -> Iterator[Any]:
    """Yield the coroutines that run as long as the application does."""
    services = portico.services
    yield limiter.enforce_timeouts()
    for seconds, tasks in portico.periodic().items():
        yield every(seconds, *tasks)
    readings = tuple(readings_of(portico, engine.documents, limiter))
    # The first request for metrics, right after the start, must find all of them.
    metrics.update(readings)
    yield every(READING_SECONDS, partial(_update, metrics, readings))
    # The state of the replica is known only a moment after the start.
    of_replica = tuple(readings_of_replica(services[Replica]))
    yield services[Replica].watch(partial(metrics.update, of_replica))
    job_metrics = JobMetrics(metrics.registry)
    yield every(BACKLOG_SECONDS, BacklogMetrics(services[Jobs], job_metrics).refresh)
    if settings.jobs_worker:
        yield replace(services[Worker], observe=job_metrics.observe).run()


async def _update(metrics: Metrics, readings: tuple[Reading, ...]) -> None:
    metrics.update(readings)


async def _start(portico: Portico, app: Application) -> None:
    """Start the services; if that fails, the server logs one line and exits."""
    try:
        await portico.start()
        await portico.services[SigningKeys].refresh()
    except (Misconfigured, Unavailable, SQLAlchemyError) as problem:
        remove_values(problem)
        log.debug("The application cannot start", exc_info=problem)
        reason = str(problem) if isinstance(problem, Misconfigured) else explanation(problem)
        app.refuse_to_start(reason)
        raise


async def _stop_when_revoked(portico: Portico, stop_server: Callable[[], None] | None) -> None:
    await portico.services[FleetSecrets].revoked.wait()
    if stop_server is not None:
        stop_server()


def create_app_from_environment() -> FastAPI:
    """Build the application in a worker of `portico serve`."""
    return create_app(_settings(), stop_server=stop_all_workers)


def create_app_with_head_checks_from_environment() -> ASGIApp:
    """Build it for untested versions of uvicorn, whose own protocol does not check heads."""
    settings = _settings()
    app = create_app(
        settings, shutdown=Shutdown(can_be_delayed=False), stop_server=stop_all_workers
    )
    return HeadChecks(app, Cors.of(settings.cors_origins))


def _settings() -> Settings:
    settings = read_settings()
    log_to_stderr(settings.log_level, settings.log_format)
    start_telemetry()
    return settings


def freeze_startup_objects() -> None:
    """Exclude what exists now, modules and schema, from garbage collection.

    Otherwise each full collection, several of them per second under load, halts all requests in
    flight while it visits these objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _access_log(settings: Settings, metrics: Metrics) -> AccessLog:
    write = json_line if settings.log_format == "json" else console_line
    return AccessLog(sys.stderr if settings.access_log else None, write, metrics.observe)
