"""`portico worker`: runs jobs in a separate process, with metrics and health checks."""

import asyncio
import math
import signal
from dataclasses import replace
from functools import partial
from types import FrameType
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client import Gauge as Metric
from rich.markup import escape

from app.cli.console import out
from app.cli.management import metrics_line, usable_address
from app.cli.setting_warnings import check_links, open_management, privilege_warnings
from app.cli.setup import database, started
from app.composition import Portico, build
from app.database.readiness import Readiness
from app.http.management import Health, management
from app.jobs.metrics import BACKLOG_SECONDS, BacklogMetrics, JobMetrics
from app.jobs.services.queue import Jobs
from app.jobs.services.worker import STOP_SECONDS, Worker
from app.keys.services.fleet_secrets import FleetSecrets
from app.keys.services.signing_keys import SigningKeys
from app.module import Gauge
from app.modules import read_settings
from app.periodic import every
from app.server.forced_exit import exit_within
from app.settings import Settings
from app.telemetry.signals import flush_telemetry, start_telemetry

# For connections to close, after the time of a running job.
CLOSING_SECONDS = 2


def worker() -> None:
    given = read_settings()
    warn(check_links(given))
    address = usable_address(given.management_address)
    start_telemetry()
    with database(given) as settings:
        asyncio.run(_work(settings, given, address))


def warn(warning: str | None) -> None:
    if warning:
        out.print(f"[yellow]Warning[/yellow]   {escape(warning)}")


async def _work(settings: Settings, given: Settings, address: str) -> None:
    made = build(settings)
    made.services.make_all()
    async with started(made) as portico:
        await portico.services[Readiness].check_writable()
        for warning in await privilege_warnings(portico, given):
            warn(warning)
        registry = CollectorRegistry()
        metrics = JobMetrics(registry)
        _show_gauges(portico, registry)
        figures = BacklogMetrics(portico.services[Jobs], metrics)
        await figures.refresh()
        # From here on it takes part in what servers agree on.
        await portico.services[SigningKeys].refresh()
        with management(address, registry, _health(portico)):
            out.print(metrics_line(address, settings.management_address))
            warn(open_management(address))
            await _run(portico, replace(portico.services[Worker], observe=metrics.observe), figures)


def _show_gauges(portico: Portico, registry: CollectorRegistry) -> None:
    for module in portico.modules:
        for each in module.gauges:
            if each.in_worker:
                shown = Metric(each.name, each.description, registry=registry)
                shown.set_function(partial(_known, each, portico.services[each.service]))


def _known(gauge: Gauge[Any], service: Any) -> float:
    value = gauge.read(service)
    return math.nan if value is None else value


def _health(portico: Portico) -> Health:
    async def unready() -> str | None:
        return await portico.unready() or portico.services[Worker].unready()

    return Health(asyncio.get_running_loop(), unready)


async def _run(portico: Portico, worker: Worker, figures: BacklogMetrics) -> None:
    """Work until a signal says to stop, or the secret of this process was revoked."""
    work = asyncio.create_task(worker.run())
    background_tasks = [
        asyncio.create_task(every(BACKLOG_SECONDS, figures.refresh)),
        *(
            asyncio.create_task(every(seconds, *periodic))
            for seconds, periodic in portico.periodic(in_worker=True).items()
        ),
        asyncio.create_task(_cancel_if_revoked(portico, work)),
    ]
    _cancel_on_signals(work)
    out.print("Running jobs. Stop with Ctrl-C.")
    await asyncio.gather(work, return_exceptions=True)
    for task in background_tasks:
        task.cancel()
    await asyncio.gather(*background_tasks, return_exceptions=True)
    await flush_telemetry()


async def _cancel_if_revoked(portico: Portico, work: asyncio.Task[None]) -> None:
    await portico.services[FleetSecrets].revoked.wait()
    work.cancel()


def _cancel_on_signals(work: asyncio.Task[None]) -> None:
    """Stop on SIGTERM and SIGINT, in time even if a job hangs."""
    loop = asyncio.get_running_loop()
    is_stopping = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal is_stopping
        at_once = is_stopping and number == signal.SIGINT
        exit_within(CLOSING_SECONDS if at_once else STOP_SECONDS + CLOSING_SECONDS)
        if not is_stopping:
            is_stopping = True
            loop.call_soon_threadsafe(work.cancel)

    # Not handlers of the loop: a loop that hangs would not call them.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
