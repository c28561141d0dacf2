"""Refusals that any field may meet: raised, they roll back and reach clients as coded errors."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar

# Longer messages are truncated.
MAX_MESSAGE_CHARACTERS = 200


class Code(StrEnum):
    """The error codes that clients switch on: those of Apollo Server, and others in its style."""

    PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    BAD_REQUEST = "BAD_REQUEST"
    OPERATION_RESOLUTION_FAILURE = "OPERATION_RESOLUTION_FAILURE"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    STEP_UP_REQUIRED = "STEP_UP_REQUIRED"
    SECOND_FACTOR_REQUIRED = "SECOND_FACTOR_REQUIRED"
    EMAIL_NOT_VERIFIED = "EMAIL_NOT_VERIFIED"
    LIMIT_REACHED = "LIMIT_REACHED"
    RATE_LIMITED = "RATE_LIMITED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


def coded(message: str, code: Code, **extensions: Any) -> dict[str, Any]:
    """Returns an entry of `errors` (GraphQL specification, 7.1.2)."""
    return {
        "message": message[:MAX_MESSAGE_CHARACTERS],
        "extensions": {"code": code.value, **extensions},
    }


class Refusal(Exception):
    """Something that the server refuses to do. Clients see the message as it is."""

    code: ClassVar[Code]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def extensions(self) -> dict[str, Any]:
        """Details for programs, beside the code."""
        return {}


class Unauthenticated(Refusal):
    code = Code.UNAUTHENTICATED


class Forbidden(Refusal):
    code = Code.FORBIDDEN


class StepUpRequired(Refusal):
    """The proof of who the user is was too long ago (RFC 9470, as an entry of `errors`)."""

    code = Code.STEP_UP_REQUIRED

    def __init__(self, *, max_age_seconds: int, methods: Sequence[str]) -> None:
        super().__init__("Confirm that it is you: call `stepUp`, then send the request again.")
        self.max_age_seconds = max_age_seconds
        self.methods = methods

    @property
    def extensions(self) -> dict[str, Any]:
        return {"maxAge": self.max_age_seconds, "methods": list(self.methods)}


class SecondFactorRequired(Refusal):
    """This server requires a second factor of the user, who has none yet."""

    code = Code.SECOND_FACTOR_REQUIRED


class EmailUnverified(Refusal):
    """The user has to verify their address first."""

    code = Code.EMAIL_NOT_VERIFIED


class LimitReached(Refusal):
    """There are as many as there can be. One has to be removed first."""

    code = Code.LIMIT_REACHED


class BadInput(Refusal):
    """An argument that no valid client sends; the message names it, never its value."""

    code = Code.BAD_USER_INPUT


class Overloaded(Refusal):
    """A bounded queue is full: the client is told at once instead of being answered late."""

    code = Code.RATE_LIMITED

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds

    @property
    def extensions(self) -> dict[str, int | str]:
        return {"retryAfter": self.retry_after_seconds}


class Unavailable(Refusal):
    """The database did not answer, or not in time. Nothing was done.

    Trying again at once would add to its load.
    """

    code = Code.SERVICE_UNAVAILABLE
    retry_after_seconds = 2
    words: ClassVar[str] = "The server cannot do this now. Nothing was done: try again in a moment."

    def __init__(self, reason: str) -> None:
        super().__init__(self.words)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason

    @property
    def extensions(self) -> dict[str, int | str]:
        return {"retryAfter": self.retry_after_seconds}


class NotConnected(Unavailable):
    """No connection could be opened, whatever the server or a proxy in front of it answered."""


class ConnectionLost(Unavailable):
    """The connection broke before the commit."""


class Conflict(Unavailable):
    """The transaction lost against another one: a deadlock or a serialization failure."""


class CommitUnknown(Unavailable):
    """The connection broke during the commit: the transaction may be committed or not."""

    words = "The connection broke. Check whether the operation was done before you retry."

    @property
    def extensions(self) -> dict[str, int | str]:
        return {"fate": "UNKNOWN"}


class Misconfigured(Exception):
    """The configuration is invalid. The message is one line that says what to do."""


class MigrationBlocked(Exception):
    """The database could not be migrated now. The message is one line that says what to do."""
