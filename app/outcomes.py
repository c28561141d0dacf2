"""Outcomes that operations share. They are returned, not raised: the transaction commits."""

from dataclasses import dataclass, replace
from enum import Enum


@dataclass(frozen=True, slots=True)
class NotFound:
    """It does not exist, or the caller may not see it."""


@dataclass(frozen=True, slots=True)
class InvalidCredentials:
    """Unknown address, wrong password or suspended account: clients cannot tell which."""


@dataclass(frozen=True, slots=True)
class EmailTaken:
    """Another user has this email address."""


@dataclass(frozen=True, slots=True)
class RateLimited:
    retry_after_seconds: int


class InputIssueCode(Enum):
    REQUIRED = "REQUIRED"
    TOO_SHORT = "TOO_SHORT"
    TOO_LONG = "TOO_LONG"
    INVALID_FORMAT = "INVALID_FORMAT"
    PASSWORD_BREACHED = "PASSWORD_BREACHED"  # noqa: S105 - a code, not a password
    PASSWORD_TOO_GUESSABLE = "PASSWORD_TOO_GUESSABLE"  # noqa: S105 - a code, not a password
    UNCHANGED = "UNCHANGED"


CODES_WITH_LIMIT = frozenset({InputIssueCode.TOO_SHORT, InputIssueCode.TOO_LONG})


@dataclass(frozen=True, slots=True)
class InputIssue:
    path: tuple[str, ...]
    code: InputIssueCode
    message: str
    # The limit that was exceeded, for the codes that have one.
    limit: int | None = None

    def __post_init__(self) -> None:
        if (self.code in CODES_WITH_LIMIT) is (self.limit is None):
            raise ValueError(f"{self.code.value} does not match the limit {self.limit}")

    def at(self, *path: str) -> "InputIssue":
        """Returns the same issue at another path."""
        return replace(self, path=path)


@dataclass(frozen=True, slots=True)
class InvalidInput:
    issues: tuple[InputIssue, ...]
