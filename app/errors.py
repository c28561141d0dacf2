"""Refusals that any field may meet: raised, they roll back and reach clients as coded errors."""

from enum import StrEnum
from typing import Any, ClassVar

# Of a message; what is beyond is cut off.
MAX_CHARACTERS = 200


class Code(StrEnum):
    """What a client switches on: Apollo's set, and three of our own in its style."""

    PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    BAD_REQUEST = "BAD_REQUEST"
    OPERATION_RESOLUTION_FAILURE = "OPERATION_RESOLUTION_FAILURE"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    RATE_LIMITED = "RATE_LIMITED"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


def coded(message: str, code: Code, **extensions: Any) -> dict[str, Any]:
    """One error entry (GraphQL specification, 7.1.2)."""
    return {"message": message[:MAX_CHARACTERS], "extensions": {"code": code.value, **extensions}}


class Refusal(Exception):
    """Something the server declined to do. The message is for the client, as it stands."""

    code: ClassVar[Code]

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def extensions(self) -> dict[str, int | str]:
        """What a program may want to know beside the code."""
        return {}


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

    @property
    def extensions(self) -> dict[str, int | str]:
        return {"retryAfter": self.retry_after_seconds}


class Unavailable(Refusal):
    """The database did not answer, or not in time. Nothing was done.

    Trying the same again at once makes it worse.
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
    """No connection could be had, whatever the server, or what stands before it, said."""


class ConnectionLost(Unavailable):
    """The connection died in the middle of it."""


class Conflict(Unavailable):
    """The transaction lost against another one: a deadlock, or a serialisation failure."""


class FateUnknown(Unavailable):
    """The connection died while the transaction was committed: it may have been done, or not."""

    words = "The connection broke while this was done. Look whether it was before you try again."

    @property
    def extensions(self) -> dict[str, int | str]:
        return {"fate": "UNKNOWN"}


class Misconfigured(Exception):
    """The server cannot start as it is set up. The message is one line that says what to do."""


class Hindered(Exception):
    """The database could not be migrated now. The message is one line that says what to do."""
