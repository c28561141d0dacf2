"""The owner, the administrator and the thief, and what the model notes of them."""

import asyncio
import uuid
from collections.abc import Coroutine
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from fastapi import FastAPI
from hypothesis.stateful import RuleBasedStateMachine

from app.testing.clients import Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from tests.factors.model.account import Account, Challenge, Session
from tests.factors.model.actions import chosen
from tests.factors.model.actors import Actor, Link

# What comes before these in any of the budgets cannot have used it up: 3 emails to one address.
SMALLEST_BUDGET = 3
WRONG_PASSWORD = "not the password of anybody"

T = TypeVar("T")


class Power(Enum):
    """What a thief has."""

    PASSWORD = "PASSWORD"
    SESSION = "SESSION"
    MAILBOX = "MAILBOX"


class Entered(NamedTuple):
    """What somebody entered, as `ChallengeAnswer` has it, and whether it is right."""

    answer: dict[str, Any]
    is_right: bool

    @property
    def is_recovery(self) -> bool:
        return "recoveryCode" in self.answer

    @property
    def refusal(self) -> str:
        return "PasskeyRefused" if "passkey" in self.answer else "InvalidCode"


class People(RuleBasedStateMachine):
    """The account, and everybody who knows something of it."""

    app: FastAPI
    clock: FakeClock
    loop: asyncio.AbstractEventLoop
    outbox: Outbox
    admin: Actor
    admin_person: Person

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def meet(self, powers: set[Power]) -> None:
        """Begin with an account that was just registered."""
        # Budgets of the example before are over.
        self.clock.pass_(hours=1)
        self.powers, self.name = powers, uuid.uuid4().hex
        self.owner, self.thief = Actor.of(self.app), Actor.of(self.app)
        self.links: list[Link] = []
        # What succeeded, and what was charged to any budget.
        self.accepted: list[tuple[Actor, Challenge, Entered, Session]] = []
        self.used_answers: list[dict[str, Any]] = []
        self.dead_tokens: list[str] = []
        self.charged: int = 0
        self.passwords: int = 0
        # Whether the address is that of the thief, and nothing undoes it.
        self.is_lost: bool = False
        self.owner.mailboxes = {self.address("a"), self.address("b")}
        self.thief.mailboxes = {self.address("thief")}
        if Power.MAILBOX in powers:
            self.thief.mailboxes |= self.owner.mailboxes
        password = self.new_password(self.owner)
        person = Person(self.address("a"), password)
        self.user_id = self.run(self.owner.guest.register(person)).id
        self.account = Account(self.clock, person.email, password)

    def address(self, of: str) -> str:
        return f"{of}-{self.name}@example.com"

    def actor(self, owner: bool) -> Actor:
        return self.owner if owner else self.thief

    def holder(self, owner: bool) -> Actor:
        """Returns the person, or the other one if they never had a session."""
        who = self.actor(owner)
        return who if who.sessions else self.actor(not owner)

    def session_of(self, who: Actor, which: int) -> Session:
        """Returns a session, one that goes on if there is any."""
        return chosen(sorted(who.sessions, key=lambda each: not each.is_over), which)

    def new_password(self, by: Actor) -> str:
        """Choose a password. Those of the owner are known to a thief of passwords."""
        self.passwords += 1
        password = f"{self.passwords} {self.name[:16]}"
        by.passwords.add(password)
        if by is self.owner and Power.PASSWORD in self.powers:
            self.thief.passwords.add(password)
        return password

    def password_of(self, who: Actor) -> str:
        """Returns the password if they know it."""
        password = self.account.password
        return password if password and password in who.passwords else WRONG_PASSWORD

    def is_limited(self, kind: str | None) -> bool:
        """Whether an attempt was refused by a budget, which something must have used up."""
        if kind not in {"RateLimited", "RATE_LIMITED"}:
            return False
        assert self.charged >= SMALLEST_BUDGET, "limited without a reason"
        return True
