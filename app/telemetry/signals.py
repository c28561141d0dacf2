"""Telemetry: traces, metrics and logs by OTLP, configured by OpenTelemetry's variables only."""

import asyncio
import logging
import os
from threading import Thread
from typing import Protocol, runtime_checkable

from opentelemetry import _logs, metrics, trace

from app.imports import import_module

SIGNALS = ("TRACES", "METRICS", "LOGS")
PROTOCOL = "http/protobuf"
# An unreachable collector must not keep a process from stopping in time.
FLUSH_SECONDS = 3
NOT_SENT = "%s=%s: only %s is supported, so nothing of this signal is sent"

log = logging.getLogger(__name__)


@runtime_checkable
class Flushable(Protocol):
    """A provider that sends. OpenTelemetry's default providers send nothing and have no flush."""

    def force_flush(self) -> bool: ...


def start_telemetry() -> None:
    """Start sending each signal that the environment configures.

    That is each one whose `OTEL_…_EXPORTER` is `otlp`, or is unset while an endpoint is set
    (OpenTelemetry specification, "OTLP Exporter Configuration"). An unsupported value is logged as
    a warning: a wrong telemetry setting must not keep the server from starting.
    """
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    for signal in SIGNALS:
        if _is_sent(signal):
            # The exporters take a tenth of a second to load, and most processes need none.
            import_module("app.telemetry.exporters").send(signal)


async def flush_telemetry() -> None:
    """Send everything that is buffered, for a few seconds at most."""
    thread = Thread(target=_flush, daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, FLUSH_SECONDS)


def _is_sent(signal: str) -> bool:
    exporter = _first_value(f"OTEL_{signal}_EXPORTER")
    endpoint = _first_value(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    if exporter == "none" or not (exporter or endpoint):
        return False
    if exporter not in ("", "otlp"):
        log.warning(NOT_SENT, f"OTEL_{signal}_EXPORTER", exporter, "otlp")
        return False
    protocol = _first_value(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in ("", PROTOCOL):
        log.warning(NOT_SENT, "OTEL_EXPORTER_OTLP_PROTOCOL", protocol, PROTOCOL)
        return False
    return True


def _first_value(*names: str) -> str:
    """Returns the value of the first of these variables that is not empty, or an empty string."""
    values = (os.environ.get(name, "").strip() for name in names)
    return next((value for value in values if value), "")


def _flush() -> None:
    providers = (
        trace.get_tracer_provider(),
        metrics.get_meter_provider(),
        _logs.get_logger_provider(),
    )
    for provider in providers:
        if isinstance(provider, Flushable):
            provider.force_flush()
