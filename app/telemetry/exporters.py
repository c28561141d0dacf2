"""Sends traces, metrics and logs to a collector."""

import logging
from collections.abc import Callable
from importlib.metadata import version

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


def send(signal: str) -> None:
    """Start sending `TRACES`, `METRICS` or `LOGS`."""
    senders: dict[str, Callable[[Resource], None]] = {
        "TRACES": _send_traces,
        "METRICS": _send_metrics,
        "LOGS": _send_logs,
    }
    senders[signal](_resource())


def _resource() -> Resource:
    """Returns `service.name`, `service.version` and other attributes; the environment overrides."""
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
    # In addition to standard error. The records of a request carry its trace id.
    logging.getLogger().addHandler(LoggingHandler(logger_provider=provider))
