"""How errors reach clients: coded, short, without the values sent, masked where they are ours."""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Any

from graphql import GraphQLError
from graphql.language import ValueNode, VariableDefinitionNode

from app.errors import Code, Refusal, Unavailable

log = logging.getLogger(__name__)

MAX_ERRORS = 5
MAX_CHARACTERS = 200
MASKED = "Internal error"

# graphql-core quotes the value it cannot use: what precedes the quotation is kept, the rest is
# ours.
WHERE = re.compile(r"^Variable '\$\w+' has invalid value(?: at [.\w\[\]]+)?")
REASONS = (
    (
        re.compile(r"Expected a value of non-null type '([\w!\[\]]+)'"),
        "a value of type {} is required.",
    ),
    (
        re.compile(r"Expected value of type '([\w!\[\]]+)' not to include unknown field"),
        "{} has no such field.",
    ),
    (
        re.compile(r"Expected value of type '([\w!\[\]]+)' to include required field '(\w+)'"),
        "{} needs the field {}.",
    ),
    (re.compile(r"does not exist in '(\w+)' enum"), "it is none of the values of {}."),
    (re.compile(r"(?:Enum )?'?(\w+)'? cannot represent"), "it is not a value of type {}."),
    (re.compile(r"(DateTime takes [^'\"]+?\.)"), "{}"),
    (re.compile(r"must specify exactly one"), "exactly one field must be given."),
    (re.compile(r"Expected value of type '([\w!\[\]]+)'"), "it is not a value of type {}."),
)
QUOTING = (" found: ", "has invalid value", "cannot represent", "does not exist in")
# What validation says of variables, not of values: names and types alone.
OF_VARIABLES = re.compile(
    r"Variable '\$\w+' (is never used|is not defined|of type '[\w!\[\]]+' used|cannot be non-input)"
)
# A syntax error shows the token that it stumbled over, which may be half of a password.
TOKEN = re.compile(r"\b(String|BlockString|Int|Float|Name) ['\"].*", re.DOTALL)
# Faults of the request that graphql-core finds only while it executes: their text quotes the
# document, not us.
CLIENT_FAULT = re.compile(
    r"^(Argument '|OneOf Input Object|Variable '\$|Expected (a )?value of (non-null )?type)"
)


def coded(message: str, code: Code, **extensions: Any) -> dict[str, Any]:
    """One error entry (GraphQL specification, 7.1.2)."""
    return {"message": message[:MAX_CHARACTERS], "extensions": {"code": code.value, **extensions}}


def request_errors(errors: Sequence[GraphQLError], code: Code) -> list[dict[str, Any]]:
    """Errors of a request that was not executed."""
    return [_entry(error, coded(_public(error), code)) for error in errors[:MAX_ERRORS]]


def field_errors(errors: Iterable[GraphQLError], request_id: str | None) -> list[dict[str, Any]]:
    """Errors of fields that were executed; what is not for clients goes to the log instead."""
    entries: list[dict[str, Any]] = []
    for error in errors:
        entry = _entry(error, _refused(error, request_id) or _masked(error, request_id))
        if len(entries) < MAX_ERRORS:
            entries.append(entry)
    return entries


def internal_error(error: BaseException, request_id: str | None) -> dict[str, Any]:
    """Mask an error that no field has met."""
    log.error("Internal error, request %s", request_id, exc_info=error)
    return coded(MASKED, Code.INTERNAL_SERVER_ERROR, requestId=request_id)


def _refusal(refused: Refusal, request_id: str | None) -> dict[str, Any]:
    """Say what was declined. That the database is away is a line in the log too."""
    if isinstance(refused, Unavailable):
        log.warning("Unavailable, request %s: %s", request_id, refused.reason)
    return coded(refused.message, refused.code, **refused.extensions)


def _refused(error: GraphQLError, request_id: str | None) -> dict[str, Any] | None:
    cause = _cause(error)
    if isinstance(cause, Refusal):
        return _refusal(cause, request_id)
    if isinstance(cause, GraphQLError) and CLIENT_FAULT.match(cause.message):
        return coded(_without_values(cause.message), Code.BAD_USER_INPUT)
    return None


def _masked(error: GraphQLError, request_id: str | None) -> dict[str, Any]:
    return internal_error(_cause(error), request_id)


def _cause(error: GraphQLError) -> BaseException:
    cause: BaseException = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _entry(error: GraphQLError, entry: dict[str, Any]) -> dict[str, Any]:
    if error.locations:
        entry["locations"] = [
            {"line": place.line, "column": place.column} for place in error.locations
        ]
    if error.path:
        entry["path"] = error.path
    return entry


def _public(error: GraphQLError) -> str:
    if OF_VARIABLES.match(error.message):
        return error.message
    if any(words in error.message for words in QUOTING):
        return _without_values(error.message)
    quotes_a_value = any(
        isinstance(node, ValueNode | VariableDefinitionNode) for node in error.nodes or ()
    )
    if quotes_a_value:
        return _without_values(error.message)
    return TOKEN.sub(r"\1.", error.message)


def _without_values(message: str) -> str:
    where = WHERE.match(message)
    rest = message[where.end() :] if where else message
    for pattern, words in REASONS:
        found = pattern.search(rest)
        if found:
            reason = words.format(*found.groups())
            break
    else:
        reason = "it does not fit its type."
    return f"{where.group()}: {reason}" if where else reason[:1].upper() + reason[1:]
