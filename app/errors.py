"""Refusals that any field may meet: raised, they roll back and reach clients as coded errors."""

from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """What a client switches on: Apollo's set, and two of our own in its style."""

    PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    BAD_REQUEST = "BAD_REQUEST"
    OPERATION_RESOLUTION_FAILURE = "OPERATION_RESOLUTION_FAILURE"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    RATE_LIMITED = "RATE_LIMITED"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


class Refusal(Exception):
    """Something the server declined to do. The message is for the client, as it stands."""

    code: ClassVar[Code]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Unauthenticated(Refusal):
    code = Code.UNAUTHENTICATED


class Forbidden(Refusal):
    code = Code.FORBIDDEN


class BadInput(Refusal):
    """An argument that no valid client sends; the message names it, never its value."""

    code = Code.BAD_USER_INPUT


class Overloaded(Refusal):
    """A bounded queue is full: better to say so at once than to answer late."""

    code = Code.RATE_LIMITED

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(Exception):
    """The database did not answer, or not in time: trying the same again at once makes it worse."""


class Misconfigured(Exception):
    """The server cannot start as it is set up. The message is one line that says what to do."""
