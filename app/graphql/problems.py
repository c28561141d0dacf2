"""Problems: the failing members of result unions, with a message to show to people."""

from datetime import timedelta
from enum import Enum
from typing import Any

import strawberry

from app import outcomes
from app.text.durations import in_words, rounded_up


def publish_enum(
    cls: type[Enum], description: str, *, type_name: str | None = None, **values: str
) -> None:
    """Publish an enum of the services, with a description of each value."""
    published: Any = strawberry.enum(cls, name=type_name, description=description)
    for value in published.__strawberry_definition__.values:
        value.description = values[value.name]


publish_enum(
    outcomes.InputIssueCode,
    "What is wrong with one part of an input.",
    REQUIRED="It is empty and must not be.",
    TOO_SHORT="It has too few characters.",
    TOO_LONG="It has too many characters.",
    INVALID_FORMAT="Its format is invalid, it has characters that are not allowed, or "
    "it is a time out of range.",
    PASSWORD_BREACHED="The password is known from a breach.",  # noqa: S106 - words
    PASSWORD_TOO_GUESSABLE="The password is among the first that an attacker would guess.",  # noqa: S106 - words
    UNCHANGED="It is the same as before.",
)


class MaybeGuess:
    """A result that says whether a secret was wrong, for the limits that count wrong ones."""

    def is_wrong_guess(self) -> bool:
        raise NotImplementedError


@strawberry.interface(
    description="A failure that the client can show to a person and act on. "
    "Every failing member of a result union implements it."
)
class Problem(MaybeGuess):
    message: str = strawberry.field(description="One or two sentences for the person, in English.")

    def is_wrong_guess(self) -> bool:
        """Whether a secret was wrong. A problem that does not say so counts as a guess."""
        return True


def too_many_attempts(retry_after_seconds: int) -> str:
    wait = rounded_up(timedelta(seconds=retry_after_seconds))
    return f"Too many attempts. Try again in {in_words(wait)}."


@strawberry.type(description="It does not exist, or the caller may not see it.")
class NotFound(Problem):
    @classmethod
    def make(cls) -> "NotFound":
        return cls(message="Not found.")


@strawberry.type(description="Too many attempts, or the server is too busy: nothing was done.")
class RateLimited(Problem):
    retry_after: int = strawberry.field(description="The seconds to wait before trying again.")

    def is_wrong_guess(self) -> bool:
        return False

    @classmethod
    def of(cls, outcome: outcomes.RateLimited) -> "RateLimited":
        return cls(
            message=too_many_attempts(outcome.retry_after_seconds),
            retry_after=outcome.retry_after_seconds,
        )


@strawberry.type(description="One invalid part of an input.")
class InputIssue:
    path: list[str] = strawberry.field(description="The path of the input field, outermost first.")
    code: outcomes.InputIssueCode = strawberry.field(description="A code for programs.")
    message: str = strawberry.field(
        description="One sentence for the person, to show next to the field."
    )
    limit: int | None = strawberry.field(
        description="The limit, for TOO_SHORT and TOO_LONG: in characters (code "
        "points of Unicode), or in bytes for an email address. Null for other codes."
    )


@strawberry.type(description="The input is invalid: nothing was done.")
class InvalidInput(Problem):
    issues: list[InputIssue] = strawberry.field(
        description="Everything that is invalid, at least one."
    )

    def is_wrong_guess(self) -> bool:
        return False

    @classmethod
    def of(cls, outcome: outcomes.InvalidInput) -> "InvalidInput":
        issues = [
            InputIssue(
                path=list(issue.path), code=issue.code, message=issue.message, limit=issue.limit
            )
            for issue in outcome.issues
        ]
        return cls(message="Some fields are invalid.", issues=issues)
