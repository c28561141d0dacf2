"""Attempts as modules declare them: what fields are limited as, and what that is charged to."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import ClassVar, NamedTuple, NewType, Protocol

from app.security.client import Client
from app.security.keys import Part
from app.text.durations import in_words

BUDGET_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
ATTEMPT_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
PER_UNIT = {timedelta(hours=1): "per hour", timedelta(days=1): "per day"}


@dataclass(frozen=True, slots=True, eq=False)
class Budget:
    """How many attempts may be made within a window.

    Args:
        name: Unique among all modules; events of the audit name it, and the setting
            `THROTTLE_<NAME>`, which replaces `maximum`.
        maximum: How many, unless the setting says otherwise.
        window: It slides: an attempt counts for this long.
        counts: What is counted, and for whom; operators read it in the table of settings.

    """

    name: str
    maximum: int
    window: timedelta
    counts: str

    def __post_init__(self) -> None:
        if not BUDGET_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not the name of a budget, such as 'sign_ups'")

    @property
    def setting(self) -> str:
        return f"throttle_{self.name}"

    @property
    def description(self) -> str:
        period = PER_UNIT.get(self.window, f"in {in_words(self.window)}")
        return f"{self.counts}, {period}"


# The budgets of every module.
AllBudgets = NewType("AllBudgets", tuple[Budget, ...])


class Counted(Enum):
    """Which attempts stay charged to a budget."""

    FAILURES = "wrong guesses"
    SUCCESSES = "what was done"
    ALL = "both, and invalid input"


class Per(Enum):
    """For whom a budget counts attempts."""

    ADDRESS = "the IP address of the client (of IPv6, its first 64 bits)"
    USER = "the user who is signed in"
    SESSION = "the session, so that a stolen one does not use up the limits of the others"


class Caller(NamedTuple):
    """Who makes an attempt, and what of the input limits depend on."""

    client: Client
    user_id: uuid.UUID | None = None
    email: str = ""
    token: str = ""
    # A code that is short enough to be guessed; None: the input has none.
    code: str | None = None
    session_id: uuid.UUID | None = None


class Charge(NamedTuple):
    """One attempt, charged to the budget of one subject."""

    budget: Budget
    counted: Counted
    # Whose budget it is. Only a MAC of it is stored.
    subject: tuple[Part, ...]
    # The user that the audit names as the target of attempts over the budget.
    user_id: uuid.UUID | None = None


class Limit(NamedTuple):
    """A budget that an attempt is charged to."""

    budget: Budget
    per: Per
    counted: Counted

    def charge(self, caller: Caller) -> Charge:
        if self.per is Per.ADDRESS:
            return Charge(self.budget, self.counted, (caller.client.block,))
        if caller.user_id is None or caller.session_id is None:
            raise LookupError(f"{self.budget.name} is counted per user, and no user is signed in")
        subject = caller.user_id if self.per is Per.USER else caller.session_id
        return Charge(self.budget, self.counted, (subject.bytes,), caller.user_id)


class LimitRule(Protocol):
    """A service that decides what an attempt is charged to, if fixed limits cannot say it."""

    # All that it may charge to.
    budgets: ClassVar[tuple[Budget, ...]]

    async def charges(self, caller: Caller) -> Sequence[Charge]: ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Attempt:
    """What a field is limited as: `limited_as=SIGN_UP`, printed as `@rateLimited(as: SIGN_UP)`.

    Args:
        name: The value of the GraphQL enum `Attempt`, unique among all modules.
        description: What the enum says of it.
        limits: What it is charged to.
        rule: The service that decides it, instead of `limits`.
        once: Whether one operation may do it only once: where it tests a secret, sends an email
            for a user who has not proved who they are yet, or has a large result.
        charge_after_failure: Whether it is charged only once it was a wrong guess, and so never
            refused before: for secrets that cannot be guessed, whose owners must not wait because
            of what others try.

    """

    name: str
    description: str
    limits: tuple[Limit, ...] = ()
    rule: type[LimitRule] | None = None
    once: bool = False
    charge_after_failure: bool = False

    def __post_init__(self) -> None:
        if not ATTEMPT_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not the name of an attempt, such as 'SIGN_UP'")
        if bool(self.limits) == (self.rule is not None):
            raise ValueError(f"{self.name} needs either limits or a rule")

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """All budgets that it may be charged to."""
        return self.rule.budgets if self.rule else tuple(limit.budget for limit in self.limits)

    @property
    def needs_user(self) -> bool:
        """Whether it can only be charged to a user who is signed in."""
        return any(limit.per is not Per.ADDRESS for limit in self.limits)
