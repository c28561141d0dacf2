"""The errors that clients get: short, with a code, without values; internal errors are masked."""

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from graphql import GraphQLError

from app.engine.error_texts import ErrorTexts, cause_of
from app.errors import Code, Refusal, Unavailable, coded

log = logging.getLogger(__name__)

# Describes an error of another server, such as the database, in one line for the log; "" for any
# other error. It must not quote a value that a client sent.
Describe = Callable[[BaseException], str]

# For a request that was not executed. All errors of executed fields are reported.
MAX_REQUEST_ERRORS = 5
MASKED = "Internal error"
# Each described error is logged in one line, and only the first in this time with its traceback.
TRACEBACK_SECONDS = 60


class Tracebacks:
    """Remembers which descriptions were logged with a traceback recently."""

    def __init__(self) -> None:
        self._shown: dict[str, float] = {}

    def are_due(self, kind: str) -> bool:
        """Whether to log a traceback for errors of this kind; if so, the next one is due later."""
        now = time.monotonic()
        recent = {each: at for each, at in self._shown.items() if now - at < TRACEBACK_SECONDS}
        self._shown = {kind: now} | recent
        return kind not in recent


tracebacks = Tracebacks()


def request_errors(
    errors: Sequence[GraphQLError], code: Code, texts: ErrorTexts
) -> list[dict[str, Any]]:
    """Returns the errors of a request that was not executed."""
    return [
        _entry(error, coded(texts.of_request(error, code), code))
        for error in errors[:MAX_REQUEST_ERRORS]
    ]


def field_errors(
    errors: Iterable[GraphQLError], request_id: str | None, texts: ErrorTexts, describe: Describe
) -> list[dict[str, Any]]:
    """Returns the errors of executed fields; internal errors are masked and logged.

    All are reported: a null without an error means that there is no value.
    """
    return [_entry(error, _of_field(error, request_id, texts, describe)) for error in errors]


def no_description(_error: BaseException) -> str:
    return ""


def internal_error(
    error: BaseException, request_id: str | None, describe: Describe
) -> dict[str, Any]:
    """Mask an error, and log it with its description if there is one."""
    described = describe(error)
    if described:
        shown = error if tracebacks.are_due(described) else None
        log.error("Internal error, request %s: %s", request_id, described, exc_info=shown)
    else:
        log.error("Internal error, request %s", request_id, exc_info=error)
    return _masked(request_id)


def refusal(refused: Refusal, request_id: str | None) -> dict[str, Any]:
    """Returns the error for a refusal. An outage is logged too."""
    if isinstance(refused, Unavailable):
        log.warning("Unavailable, request %s: %s", request_id, refused.reason)
    return coded(refused.message, refused.code, **refused.extensions)


def where_of(error: BaseException) -> str:
    """Returns the type and the traceback of an error without its message.

    The message may quote what a client sent.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = (f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
    return "\n  ".join((type(error).__name__, *lines))


def _of_field(
    error: GraphQLError, request_id: str | None, texts: ErrorTexts, describe: Describe
) -> dict[str, Any]:
    cause = cause_of(error)
    if isinstance(cause, Refusal):
        return refusal(cause, request_id)
    if not isinstance(cause, GraphQLError):
        return internal_error(cause, request_id, describe)
    told = texts.of_client_fault(cause)
    if told is not None:
        return coded(told, Code.BAD_USER_INPUT)
    log.error(
        "Internal error, request %s: %s\n%s",
        request_id,
        texts.of_server_fault(cause) or "GraphQL could not be executed",
        where_of(cause),
    )
    return _masked(request_id)


def _masked(request_id: str | None) -> dict[str, Any]:
    return coded(MASKED, Code.INTERNAL_SERVER_ERROR, requestId=request_id)


def _entry(error: GraphQLError, entry: dict[str, Any]) -> dict[str, Any]:
    if error.locations:
        entry["locations"] = [
            {"line": place.line, "column": place.column} for place in error.locations
        ]
    if error.path:
        entry["path"] = error.path
    return entry
