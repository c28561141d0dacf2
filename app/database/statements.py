"""Statements: how many a request sends, and a span for each of them where traces are wanted."""

from contextvars import ContextVar
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


class Tally:
    """What one request has sent. What several of them share counts for the one that began it."""

    __slots__ = ("statements",)

    def __init__(self) -> None:
        self.statements = 0


_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)
_tracer = trace.get_tracer("portico")


def count_here() -> Tally:
    """Count for whoever runs in this context, from now on."""
    tally = Tally()
    _tally.set(tally)
    return tally


def begin_statement(sql: str) -> Span | None:
    """Count it; give its span where the request has one that is recorded, and nothing otherwise.

    Parameters are no part of the text: they are addresses and hashes.
    """
    tally = _tally.get()
    if tally is not None:
        tally.statements += 1
    if not trace.get_current_span().is_recording():
        return None
    verb = sql.split(None, 1)[0].upper()
    attributes = {"db.system.name": "postgresql", "db.operation.name": verb, "db.query.text": sql}
    return _tracer.start_span(verb, kind=SpanKind.CLIENT, attributes=attributes)


def observe(engine: AsyncEngine) -> None:
    """Count all that SQLAlchemy sends through this engine."""
    event.listen(engine.sync_engine, "before_cursor_execute", _before)
    event.listen(engine.sync_engine, "after_cursor_execute", _after)
    event.listen(engine.sync_engine, "handle_error", _failed)


def _before(
    _connection: object, _cursor: object, sql: str, _values: object, context: Any, _many: object
) -> None:
    span = begin_statement(sql)
    if span is not None:
        context.portico_span = span


def _after(
    _connection: object, _cursor: object, _sql: str, _values: object, context: Any, _many: object
) -> None:
    span: Span | None = getattr(context, "portico_span", None)
    if span is not None:
        span.end()


def _failed(failure: Any) -> None:
    span: Span | None = getattr(failure.execution_context, "portico_span", None)
    if span is not None:
        span.set_status(StatusCode.ERROR, type(failure.original_exception).__name__)
        span.end()
