"""Checks of `portico doctor`, and their findings."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import NamedTuple

from app.cli.doctor.environment import SetUp

# Longer than one connection to the database or to a mail server may take.
SECONDS = 15.0


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `hint` says what to do about it, if anything."""

    name: str
    state: State
    text: str
    hint: str | None = None


class Verdict(NamedTuple):
    """A finding without the name of its check."""

    state: State
    text: str
    hint: str | None = None


def ok(text: str) -> Verdict:
    return Verdict(State.OK, text)


def warning(text: str, hint: str | None = None) -> Verdict:
    return Verdict(State.WARNING, text, hint)


def failed(text: str, hint: str | None = None) -> Verdict:
    return Verdict(State.FAILED, text, hint)


def not_checked(why: str) -> Verdict:
    return Verdict(State.NOT_CHECKED, why)


Examination = Callable[[SetUp], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """One check of a set-up. It runs only if the check that it `needs` has not failed."""

    name: str
    examine: Examination
    needs: "Check | None"


def check(name: str, *, needs: Check | None = None) -> Callable[[Examination], Check]:
    """Make a check of a function; `portico doctor` runs all checks of its modules."""
    return lambda examine: Check(name, examine, needs)


def checks_of(module: ModuleType) -> list[Check]:
    """Returns the checks that a module defines, in their order."""
    defined = [each for each in vars(module).values() if isinstance(each, Check)]
    return [each for each in defined if inspect.getmodule(each.examine) is module]
