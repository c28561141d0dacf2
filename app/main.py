"""The only place that wires: `create_app`, and what runs as long as the application does."""

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from app.application import Application, connection_limits, documents_of, layers, schema_of
from app.clock import Clock, system_clock
from app.config.settings import Settings, read_settings
from app.database.errors import explanation
from app.database.outages import forget_values
from app.engine.engine import Engine
from app.errors import Misconfigured, Unavailable
from app.figures import BACKLOG_SECONDS, FIGURES_SECONDS, Figures, JobFigures
from app.http.access_log import AccessLog, console_line, json_line
from app.http.cors import CORS, Cors
from app.http.health import STOPPING, health_routes
from app.http.management import Health, management
from app.http.metrics import Metrics
from app.http.requests import ASGIApp
from app.http.well_known import well_known_routes
from app.jobs.services.worker import Worker
from app.keys.services.signing_keys import JWKS_MAX_AGE
from app.keys.services.signing_keys import REFRESH_SECONDS as KEYS_SECONDS
from app.logs import log_to_stderr
from app.mail.mailer import Mailer
from app.periodic import every
from app.portico import Portico, build
from app.server.connection_limits import LIMITER, ConnectionLimiter
from app.server.head_checks import HeadChecks
from app.server.shutdown import Shutdown, stop_all_workers
from app.telemetry import flush_telemetry, start_telemetry

CHECKPOINT_SECONDS = 300
PURGE_SECONDS = 600
REPORT_SECONDS = 60
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
    """
    portico = build(settings, clock, mailer)
    metrics = Metrics()
    shutdown = shutdown or Shutdown()
    access_log = _access_log(settings, metrics)
    schema = schema_of(settings)
    documents = documents_of(settings, schema)
    limiter = ConnectionLimiter(connection_limits(settings), shutdown)
    cors = Cors.of(settings.cors_origins)
    figures = Figures(portico, documents, limiter, metrics)
    job_figures = JobFigures(portico.jobs, metrics.jobs)
    worker = replace(portico.worker, observe=metrics.jobs.observe)

    async def unready() -> str | None:
        return STOPPING if shutdown.has_begun else await portico.unready()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        await _start(portico, app)
        settle()
        chores = [
            *_chores(portico, figures, job_figures, worker if settings.jobs_worker else None),
            asyncio.create_task(limiter.enforce_timeouts()),
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
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)
            await portico.stop()
            access_log.flush()
            await flush_telemetry()

    engine = Engine(schema, documents)
    around = layers(settings, engine, portico.services, access_log, cors)
    app = Application(*around, lifespan=lifespan)
    app.state.portico, app.state.engine = portico, engine
    app.include_router(health_routes(unready))
    app.include_router(well_known_routes(portico.keys.jwks, JWKS_MAX_AGE, settings.public_url))
    return app


async def _start(portico: Portico, app: Application) -> None:
    """Start; if that fails, the server says in one line why and ends."""
    try:
        await portico.start()
        await portico.keys.refresh()
    except (Misconfigured, Unavailable, SQLAlchemyError) as problem:
        forget_values(problem)
        log.debug("The application cannot start", exc_info=problem)
        reason = str(problem) if isinstance(problem, Misconfigured) else explanation(problem)
        app.refuse_to_start(reason)
        raise


async def _end_if_revoked(portico: Portico, end: Callable[[], None] | None) -> None:
    await portico.fleet_secrets.revoked.wait()
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


def _chores(
    portico: Portico, figures: Figures, job_figures: JobFigures, worker: Worker | None
) -> Iterator[asyncio.Task[None]]:
    yield asyncio.create_task(portico.replica.watch())
    yield asyncio.create_task(every(KEYS_SECONDS, portico.keys.refresh))
    yield asyncio.create_task(every(PURGE_SECONDS, portico.housekeeping.tidy))
    yield asyncio.create_task(every(REPORT_SECONDS, portico.budgets.report))
    yield asyncio.create_task(every(CHECKPOINT_SECONDS, portico.checkpoints.sign))
    yield asyncio.create_task(every(FIGURES_SECONDS, figures.hand_on))
    yield asyncio.create_task(every(BACKLOG_SECONDS, job_figures.hand_on))
    yield asyncio.create_task(every(BACKLOG_SECONDS, figures.hand_on_audit))
    if worker is not None:
        yield asyncio.create_task(worker.run())
