"""Simulated users, who record what the answers said was done."""

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from answers import Answer, Asker, Kind
from fleet import ADMIN
from processes import BenchmarkFailed

SIGNED_IN = """
  __typename
  ... on SignedIn { tokens { accessToken refreshToken } }
  ... on Problem { message }
"""
REGISTER = f"mutation R($input: RegisterInput!) {{ register(input: $input) {{ {SIGNED_IN} }} }}"
LOGIN = f"mutation L($input: LoginInput!) {{ login(input: $input) {{ {SIGNED_IN} }} }}"
REFRESH = (
    "mutation F($input: RefreshSessionInput!)"
    f" {{ refreshSession(input: $input) {{ {SIGNED_IN} }} }}"
)
LOGOUT = "mutation { logout { sessionsEnded } }"
RESET = "mutation P($input: EmailInput!) { requestPasswordReset(input: $input) { __typename } }"
ME = "{ me { email } }"
USERS = "{ users(first: 20) { nodes { email } pageInfo { endCursor } } }"
# How often each operation occurs, of a hundred.
MIX = {"register": 6, "login": 8, "refresh": 12, "me": 58, "users": 9, "logout": 4, "reset": 3}
PASSWORD = "an apple a day 42"  # noqa: S105 - of simulated users
PAUSE_SECONDS = (0.01, 0.09)


@dataclass
class Session:
    email: str
    access: str
    refresh: str


@dataclass(frozen=True)
class Asked:
    """One request, as its sender saw it."""

    at: float
    what: str
    answer: Answer


@dataclass
class Ledger:
    """What the answers said. `unsure` is what the server said that it does not know."""

    registered: list[str] = field(default_factory=list)
    not_registered: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    alive: list[Session] = field(default_factory=list)
    ended: list[Session] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)
    # Answers that were wrong.
    untrue: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def add(self, other: "Ledger") -> None:
        for name, mine in vars(self).items():
            mine.extend(vars(other)[name])


@dataclass
class Person:
    """A user with several accounts, on one connection, with one request at a time."""

    number: int
    port: int
    admin_password: str
    ledger: Ledger = field(default_factory=Ledger)

    def __post_init__(self) -> None:
        self._ask, self._lots = Asker(self.port), random.Random(self.number)
        self._admin = Session(ADMIN, "", "")

    def live(self, over: threading.Event) -> None:
        operations = list(MIX)
        while not over.wait(self._lots.uniform(*PAUSE_SECONDS)):
            operation = self._lots.choices(operations, list(MIX.values()))[0]
            if not self.ledger.alive:
                operation = "register"
            getattr(self, operation)()

    def register(self) -> None:
        email = f"soak-{self.number}-{len(self.ledger.asked)}@example.com"
        answer = self.ask("register", REGISTER, _credentials(email))
        if self._signed_in(email, answer):
            self.ledger.registered.append(email)
        elif answer.kind is Kind.NOT_DONE:
            self.ledger.not_registered.append(email)
        elif answer.kind is not Kind.DONE:
            self.ledger.unsure.append(email)

    def login(self) -> None:
        email = self._lots.choice(self.ledger.registered or [""])
        answer = self.ask("login", LOGIN, _credentials(email)) if email else None
        if answer and answer.kind is Kind.DONE and not self._signed_in(email, answer):
            self._untrue(email, answer)

    def refresh(self, session: Session | None = None) -> None:
        session = session or self._lots.choice(self.ledger.alive)
        answer = self.ask("refreshSession", REFRESH, {"refreshToken": session.refresh})
        if answer.kind is Kind.DONE:
            tokens = _tokens(answer)
            if tokens is None:
                self._untrue(session.email, answer)
            else:
                session.access, session.refresh = tokens

    def me(self) -> None:
        session = self._lots.choice(self.ledger.alive)
        answer = self.ask("me", ME, token=session.access)
        if answer.kind is Kind.REFUSED:
            self.refresh(session)
        elif answer.kind is Kind.DONE and answer.data != {"me": {"email": session.email}}:
            self._untrue(session.email, answer)

    def users(self) -> None:
        answer = self.ask("users", USERS, token=self._admin.access)
        if answer.kind is Kind.REFUSED:
            given = {"email": ADMIN, "password": self.admin_password}
            tokens = _tokens(self.ask("login", LOGIN, given))
            if tokens:
                self._admin.access, self._admin.refresh = tokens

    def logout(self) -> None:
        session = self._lots.choice(self.ledger.alive)
        answer = self.ask("logout", LOGOUT, token=session.access)
        if answer.kind is Kind.DONE:
            self.ledger.ended.append(session)
        # Whether such a session has ended is unknown.
        if answer.kind in {Kind.DONE, Kind.UNKNOWN, Kind.BROKEN}:
            self.ledger.alive.remove(session)

    def reset(self) -> None:
        email = self._lots.choice(self.ledger.registered or [""])
        if email and self.ask("reset", RESET, {"email": email}).kind is Kind.DONE:
            self.ledger.emails.append(email)

    def ask(
        self, what: str, query: str, given: Mapping[str, Any] | None = None, token: str = ""
    ) -> Answer:
        at = time.monotonic()
        answer = self._ask(query, {"input": given} if given else None, token=token)
        self.ledger.asked.append(Asked(at, what, answer))
        return answer

    def _signed_in(self, email: str, answer: Answer) -> bool:
        tokens = _tokens(answer)
        if tokens:
            self.ledger.alive.append(Session(email, *tokens))
        return tokens is not None

    def _untrue(self, email: str, answer: Answer) -> None:
        self.ledger.untrue.append(f"{email}: {answer.data}")


class Crowd:
    """Many users at once, each in a thread, until the block ends."""

    def __init__(self, size: int, port: int, admin_password: str) -> None:
        self.people = [Person(number, port, admin_password) for number in range(size)]
        self.ledger = Ledger()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._threads = [
            threading.Thread(target=each.live, args=(self._over,), daemon=True)
            for each in self.people
        ]
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in self._threads:
            each.join(90)
            if each.is_alive():
                raise BenchmarkFailed("a user is still waiting for an answer")
        for person in self.people:
            self.ledger.add(person.ledger)


def _credentials(email: str) -> dict[str, str]:
    return {"email": email, "password": PASSWORD}


def _tokens(answer: Answer) -> tuple[str, str] | None:
    result = next(iter(answer.data.values()), None) if answer.kind is Kind.DONE else None
    if result is None or result["__typename"] != "SignedIn":
        return None
    return result["tokens"]["accessToken"], result["tokens"]["refreshToken"]
