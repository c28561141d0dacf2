"""Outcomes that operations share. They are returned, not raised: what led to them stays."""

from dataclasses import dataclass, replace
from enum import Enum


@dataclass(frozen=True, slots=True)
class NotFound:
    """There is no such thing, or none that the caller may know of."""


@dataclass(frozen=True, slots=True)
class InvalidCredentials:
    """Unknown address, wrong password, suspended account: none of them can be told apart."""


@dataclass(frozen=True, slots=True)
class EmailTaken:
    """Somebody has this address."""


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


BOUNDED = frozenset({InputIssueCode.TOO_SHORT, InputIssueCode.TOO_LONG})


@dataclass(frozen=True, slots=True)
class InputIssue:
    path: tuple[str, ...]
    code: InputIssueCode
    message: str
    # The bound that was not kept, of the codes that have one.
    limit: int | None = None

    def __post_init__(self) -> None:
        if (self.code in BOUNDED) is (self.limit is None):
            raise ValueError(f"{self.code.value} and the limit {self.limit} do not fit together")

    def at(self, *path: str) -> "InputIssue":
        """The same fault, of another part of an input."""
        return replace(self, path=path)


@dataclass(frozen=True, slots=True)
class InvalidInput:
    issues: tuple[InputIssue, ...]
