"""Counts the statements of a request, and traces each of them if traces are recorded."""

from contextvars import ContextVar
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


class StatementCount:
    """The statements of one request. A statement that requests share counts for the first one."""

    __slots__ = ("statements",)

    def __init__(self) -> None:
        self.statements = 0


_count: ContextVar[StatementCount | None] = ContextVar("count", default=None)
_tracer = trace.get_tracer("portico")


def start_counting() -> StatementCount:
    """Count the statements of this context from now on."""
    count = StatementCount()
    _count.set(count)
    return count


def begin_statement(sql: str) -> Span | None:
    """Count a statement; returns its span if the request has one that is recorded.

    Spans never contain the parameters, which may be email addresses and hashes.
    """
    count = _count.get()
    if count is not None:
        count.statements += 1
    if not trace.get_current_span().is_recording():
        return None
    verb = sql.split(None, 1)[0].upper()
    attributes = {"db.system.name": "postgresql", "db.operation.name": verb, "db.query.text": sql}
    return _tracer.start_span(verb, kind=SpanKind.CLIENT, attributes=attributes)


def count_and_trace(engine: AsyncEngine) -> None:
    """Count and trace all statements that SQLAlchemy sends through this engine."""
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
