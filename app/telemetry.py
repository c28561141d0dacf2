"""Telemetry: traces, metrics and logs by OTLP, set up by OpenTelemetry's own variables alone."""

import asyncio
import logging
import os
from collections.abc import Callable
from importlib.metadata import version
from threading import Thread

from opentelemetry import _logs, metrics, trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.logging.handler import (  # pyright: ignore[reportMissingTypeStubs]
    LoggingHandler,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

PROTOCOL = "http/protobuf"
# A collector that is away must not keep a process from stopping in time.
FLUSH_SECONDS = 3
NOT_SENT = "%s=%s: only %s is supported, so nothing of this signal is sent"

log = logging.getLogger(__name__)


def start_telemetry() -> None:
    """Send each signal that the environment has a collector for, from now on.

    That is one whose `OTEL_…_EXPORTER` is `otlp`, or is not set while an endpoint is (OpenTelemetry
    specification, "OTLP Exporter Configuration"). What cannot be had is warned of: nobody is kept
    from signing in for want of a collector.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    signals: dict[str, Callable[[Resource], None]] = {
        "TRACES": _send_traces,
        "METRICS": _send_metrics,
        "LOGS": _send_logs,
    }
    for signal, send in signals.items():
        if _is_sent(signal):
            send(_resource())


async def flush_telemetry() -> None:
    """Send what is gathered, for a few seconds at most."""
    thread = Thread(target=_flush, daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, FLUSH_SECONDS)


def _is_sent(signal: str) -> bool:
    exporter = _set(f"OTEL_{signal}_EXPORTER")
    endpoint = _set(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    if exporter == "none" or not (exporter or endpoint):
        return False
    if exporter not in ("", "otlp"):
        log.warning(NOT_SENT, f"OTEL_{signal}_EXPORTER", exporter, "otlp")
        return False
    protocol = _set(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in ("", PROTOCOL):
        log.warning(NOT_SENT, "OTEL_EXPORTER_OTLP_PROTOCOL", protocol, PROTOCOL)
        return False
    return True


def _set(*names: str) -> str:
    """Return the first of these variables that is set to something, or nothing."""
    values = (os.environ.get(name, "").strip() for name in names)
    return next((value for value in values if value), "")


def _resource() -> Resource:
    """Say who sends: `service.name` and the rest are what the environment says, if it does."""
    ours = Resource({"service.name": "portico", "service.version": version("portico")})
    return Resource.create(ours.merge(OTELResourceDetector().detect()).attributes)


def _send_traces(resource: Resource) -> None:
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def _send_metrics(resource: Resource) -> None:
    readers = [PeriodicExportingMetricReader(OTLPMetricExporter())]
    metrics.set_meter_provider(MeterProvider(readers, resource, shutdown_on_exit=False))


def _send_logs(resource: Resource) -> None:
    provider = LoggerProvider(resource, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
    _logs.set_logger_provider(provider)
    # Beside standard error. Records of a request carry its trace.
    logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))


def _flush() -> None:
    providers = (
        trace.get_tracer_provider(),
        metrics.get_meter_provider(),
        _logs.get_logger_provider(),
    )
    for provider in providers:
        if isinstance(provider, TracerProvider | MeterProvider | LoggerProvider):
            provider.force_flush()
