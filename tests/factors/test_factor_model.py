"""A model of one account with a second factor: its owner, an administrator, and a thief.

The thief has the password, a session, or reads the emails, or any of these together. Whatever
they and the owner do, each answer is compared with the rules in `account_model.py`. In the end the
owner, who has the mailbox, and a code or an administrator, gets a session.

FACTOR_SEQUENCES=1000 runs more of them.
"""

import asyncio
import os
import sys
import uuid
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Any, NamedTuple, TypeVar

import hypothesis
import pytest
from fastapi import FastAPI
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from app.database.database import Database
from app.jobs.services.worker import Worker
from app.main import create_app
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from app.testing.settings import settings_for
from tests.factors import actors
from tests.factors.account_model import (
    CHALLENGE_SECONDS,
    ENROLLMENT_SECONDS,
    LOCKING_FAILURES,
    REPEATED_SECONDS,
    Account,
    Challenge,
    Factor,
    Pending,
    Session,
)
from tests.factors.actors import Actor, Kind, Link, links_in
from tests.support.authenticator import ANSWER, BEGIN, CONFIRM, LOGIN, Authenticator

SEQUENCES = int(os.environ.get("FACTOR_SEQUENCES", "8"))
STEPS = 30
# What comes before these in any of the budgets cannot have used it up: 3 emails to one address.
SMALLEST_BUDGET = 3
REFRESH_AFTER_SECONDS = 240
# More than any budget allows, and less than locks the codes.
GUESSES = 11
WRONG_PASSWORD = "not the password of anybody"
WRONG_CODE = "0000-0000-0000-0000"

T = TypeVar("T")


class Power(Enum):
    """What a thief has."""

    PASSWORD = "PASSWORD"
    SESSION = "SESSION"
    MAILBOX = "MAILBOX"


class Proof(Enum):
    """What somebody enters: the best that they know, or what must not do."""

    BEST = "BEST"
    RECOVERY_CODE = "RECOVERY_CODE"
    WRONG = "WRONG"
    REPLAYED = "REPLAYED"


class Place(Enum):
    """Where somebody guesses."""

    LOGIN = "LOGIN"
    CHALLENGE = "CHALLENGE"
    SESSION = "SESSION"


class Entered(NamedTuple):
    """What somebody entered, as `ChallengeAnswer` has it, and whether it is right."""

    answer: dict[str, str]
    is_right: bool

    @property
    def is_recovery(self) -> bool:
        return "recoveryCode" in self.answer


# True: the owner; False: the thief.
WHO = st.booleans()
WHICH = st.integers(0, 2)
# Half of the sequences would else be over before anything happens in them.
SOMETIMES = st.sampled_from([False, False, True])
SELDOM = st.sampled_from([*[None] * 14, 0, 2])
PROOFS = st.sampled_from([Proof.BEST, Proof.BEST, *Proof])


def chosen(of: Sequence[T], which: int) -> T:
    """Returns one of the newest."""
    return of[-1 - which % len(of)]


@dataclass(frozen=True)
class Action:
    """A method that somebody may call at any step, if its condition holds."""

    name: str
    drawn: st.SearchStrategy[dict[str, Any]]
    needs: Callable[[Any], object]
    weight: int


ACTIONS: dict[str, Action] = {}


def action(
    needs: Callable[[Any], object] = lambda _: True,
    weight: int = 1,
    **drawn: st.SearchStrategy[Any],
) -> Callable[[T], T]:
    """Declare an action.

    All are drawn by one rule: of many rules hypothesis leaves some out of each sequence, so that
    few sequences would get far.
    """

    def declare(method: T) -> T:
        name: str = getattr(method, "__name__", "")
        ACTIONS[name] = Action(name, st.fixed_dictionaries(drawn), needs, weight)
        return method

    return declare


def any_action() -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    names = [each.name for each in ACTIONS.values() for _ in range(each.weight)]
    return st.sampled_from(names).flatmap(
        lambda name: st.tuples(st.just(name), ACTIONS[name].drawn)
    )


class OneAccount(RuleBasedStateMachine):
    """Each rule is an action of the owner, the thief or the administrator."""

    app: FastAPI
    clock: FakeClock
    loop: asyncio.AbstractEventLoop
    outbox: Outbox
    admin: Actor
    admin_person: Person

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @initialize(
        powers=st.sets(st.sampled_from(Power), min_size=1),
        verified=st.sampled_from([True, True, True, False]),
        # In which of the sessions: an older one leaves that of the link unused.
        enrolled=st.sampled_from([None, 0, 1]),
        early=st.booleans(),
    )
    def register(
        self, powers: set[Power], verified: bool, enrolled: int | None, early: bool
    ) -> None:
        # Budgets of the example before are over.
        self.clock.pass_(hours=1)
        self.admin_api: Api | None = None
        self.admin_since = 0.0
        self.powers, self.name = powers, uuid.uuid4().hex
        self.owner, self.thief = Actor.of(self.app), Actor.of(self.app)
        self.links: list[Link] = []
        # What succeeded, and what was charged to any budget.
        self.accepted: list[tuple[Actor, Challenge, Entered, Session]] = []
        self.used_codes: list[dict[str, str]] = []
        self.dead_tokens: list[str] = []
        self.charged, self.passwords, self.is_lost = 0, 0, False
        self.owner.mailboxes = {self.address("a"), self.address("b")}
        self.thief.mailboxes = {self.address("thief")}
        if Power.MAILBOX in powers:
            self.thief.mailboxes |= self.owner.mailboxes
        password = self.new_password(self.owner)
        person = Person(self.address("a"), password)
        self.user_id = self.run(self.owner.guest.register(person)).id
        self.account = Account(self.clock, person.email, password)
        self.sign_in(owner=True)
        if verified:
            self.request_verification()
            self.follow(self.owner, self.links[-1], self.owner.sessions[-1])
            assert self.account.verified
        if early:
            # A thief of the password, before there is a factor.
            self.sign_in(owner=False)
            if verified and self.thief.sessions:
                self.begin(self.thief, self.thief.sessions[-1])
        if verified and enrolled is not None:
            self.enroll(owner=True, which=enrolled, confirmed=True)
            assert self.account.factor
        if Power.SESSION in powers:
            self.steal_the_session()

    @rule(drawn=st.deferred(any_action))
    def act(self, drawn: tuple[str, dict[str, Any]]) -> None:
        name, arguments = drawn
        if ACTIONS[name].needs(self):
            getattr(self, name)(**arguments)

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

    # Signing in.

    @action(weight=3, owner=WHO, proof=st.none() | PROOFS)
    def sign_in(self, owner: bool, proof: Proof | None = None) -> None:
        who = self.actor(owner)
        if self.enter_password(who, self.password_of(who)) == "ChallengeRequired" and proof:
            self.answer(who, who.challenges[-1], self.entered(who, proof))

    def enter_password(self, who: Actor, password: str) -> str:
        account = self.account
        credentials = {"email": account.email, "password": password}
        answer = self.run(who.guest(LOGIN, input=credentials))["login"]
        kind: str = answer["__typename"]
        if self.is_limited(kind):
            return kind
        is_right = password == account.password and not account.suspended
        if is_right and kind == "InvalidCredentials":
            assert account.wrong_passwords >= LOCKING_FAILURES
        if kind == "InvalidCredentials":
            account.wrong_passwords += 1
            self.charged += 1
        else:
            assert is_right, answer
            self.enter(who, answer)
        return kind

    def enter(self, who: Actor, answer: dict[str, Any], *, has_passed: bool = False) -> None:
        """Go on with a session or a challenge; with a factor, only a session that has passed."""
        account = self.account
        if answer["__typename"] == "ChallengeRequired":
            assert account.factor
            assert not has_passed
            challenge = Challenge(answer["challenge"]["token"], account.now)
            account.challenges.append(challenge)
            who.challenges.append(challenge)
            return
        assert answer["__typename"] == "SignedIn", answer
        assert has_passed or account.factor is None, "a session without the factor"
        tokens, now = answer["tokens"], account.now
        session = Session(
            answer["session"]["id"], tokens["accessToken"], tokens["refreshToken"], now, now
        )
        account.sessions.append(session)
        who.sessions.append(session)
        who.remember_device(answer)

    def entered(self, who: Actor, proof: Proof) -> Entered:
        """Returns what a person enters as a second factor."""
        factor = self.account.factor
        if proof is Proof.REPLAYED and self.used_codes:
            return Entered(self.used_codes[-1], is_right=False)
        if proof is Proof.RECOVERY_CODE and who.codes:
            good = [each for each in who.codes if factor and each in factor.codes]
            return Entered({"recoveryCode": (good or who.codes)[0]}, bool(good))
        if proof is Proof.RECOVERY_CODE:
            return Entered({"recoveryCode": WRONG_CODE}, is_right=False)
        if proof is Proof.BEST and factor and factor.app in who.apps:
            return Entered({"totp": factor.app.next_code()}, is_right=True)
        if proof is Proof.BEST and who.apps:
            return Entered({"totp": self.unlike_right(who.apps[-1].code())}, is_right=False)
        return Entered({"totp": self.unlike_right("000000")}, is_right=False)

    def unlike_right(self, code: str) -> str:
        """Returns a code, or another one if it is right by chance."""
        factor = self.account.factor
        right = {factor.app.code(drift) for drift in range(-2, 3)} if factor else set[str]()
        return next(each for each in (code, *"012345") if each not in right)

    @action(
        weight=2,
        needs=lambda self: self.owner.challenges or self.thief.challenges,
        owner=WHO,
        which=WHICH,
        proof=PROOFS,
    )
    def answer_challenge(self, owner: bool, which: int, proof: Proof) -> None:
        who = self.actor(owner)
        who = who if who.challenges else self.actor(not owner)
        if who.challenges:
            self.answer(who, chosen(who.challenges, which), self.entered(who, proof))

    def answer(self, who: Actor, challenge: Challenge, entered: Entered) -> str:
        account = self.account
        sent = {"token": challenge.token, "answer": entered.answer}
        answer = self.run(who.guest(ANSWER, input=sent))["answerChallenge"]
        kind: str = answer["__typename"]
        if self.is_limited(kind):
            return kind
        in_time = account.within(challenge.at, CHALLENGE_SECONDS)
        if kind == "ChallengeExpired":
            assert challenge.is_over or in_time is not True
            self.charged += 1
            return kind
        assert not challenge.is_over, "a challenge that is over was answered"
        assert in_time is not False
        if kind == "InvalidCode":
            self.refused(entered)
            return kind
        assert entered.is_right, "a session for a wrong code"
        challenge.is_over = True
        self.use(entered)
        self.enter(who, answer, has_passed=True)
        self.accepted.append((who, challenge, entered, who.sessions[-1]))
        return kind

    def refused(self, entered: Entered) -> None:
        account = self.account
        if entered.is_right:
            assert not entered.is_recovery
            assert account.wrong_codes >= LOCKING_FAILURES
        if not entered.is_recovery:
            account.wrong_codes += 1
        self.charged += 1

    def use(self, entered: Entered) -> None:
        """Note that a code was accepted: it must never be again."""
        account = self.account
        if entered.is_recovery:
            # A right code of the app ends only some counts; so this is the most there can be.
            account.wrong_codes = 0
        self.used_codes.append(entered.answer)
        if entered.is_recovery:
            assert account.factor
            account.factor.codes.discard(entered.answer["recoveryCode"])

    @action(needs=lambda self: self.accepted, which=WHICH)
    def repeat_an_answer(self, which: int) -> None:
        """The client that has used a challenge sends its answer again."""
        who, challenge, entered, session = chosen(self.accepted, which)
        sent = {"token": challenge.token, "answer": entered.answer}
        answer = self.run(who.guest(ANSWER, input=sent))["answerChallenge"]
        if answer["__typename"] == "SignedIn":
            assert answer["session"]["id"] == session.id
            assert not session.is_over
        elif not self.is_limited(answer["__typename"]):
            assert answer["__typename"] == "ChallengeExpired"
            self.charged += 1

    # In a session.

    def in_session(
        self, who: Actor, session: Session, query: str, *, guarded: bool = False, **variables: Any
    ) -> dict[str, Any] | None:
        """Send an operation; None if it is refused. Whether it may be is what the model says."""
        account = self.account
        if account.now - session.refreshed_at > REFRESH_AFTER_SECONDS:
            self.refresh(who, session)
        api = who.with_session(session)
        data: dict[str, Any] | None = self.run(api(query, **variables))
        code = api.last_code
        if session.is_over:
            assert code == "UNAUTHENTICATED", "a session that is over was accepted"
            return None
        if guarded:
            is_fresh = account.is_fresh(session)
            if code == "STEP_UP_REQUIRED":
                assert is_fresh is not True, "a fresh session was refused"
                assert api.errors[0]["extensions"]["methods"] == account.step_up_methods
                return None
            assert is_fresh is not False, "a stale session was accepted"
        if self.is_limited(code):
            return None
        assert code is None, api.errors
        assert data
        [answer] = data.values()
        # Without a factor there are no recovery codes to renew.
        return None if answer is None or self.is_limited(answer["__typename"]) else answer

    def refresh(self, who: Actor, session: Session) -> None:
        sent = {"refreshToken": session.refresh_token}
        answer = self.run(who.guest(actors.REFRESH, input=sent))["refreshSession"]
        assert answer["__typename"] == ("SessionEnded" if session.is_over else "SignedIn")
        if not session.is_over:
            self.take_tokens(session, answer["tokens"])

    def take_tokens(self, session: Session, tokens: dict[str, str]) -> None:
        session.access_token = tokens["accessToken"]
        session.refresh_token = tokens["refreshToken"]
        session.refreshed_at = self.account.now

    @action(needs=lambda self: Power.SESSION in self.powers and self.owner.sessions)
    def steal_the_session(self) -> None:
        session = self.owner.sessions[-1]
        if session not in self.thief.sessions:
            self.thief.sessions.append(session)

    @action(needs=lambda self: self.owner.sessions or self.thief.sessions, owner=WHO, which=WHICH)
    def read(self, owner: bool, which: int) -> None:
        who = self.holder(owner)
        self.in_session(who, self.session_of(who, which), actors.STATE_OF_ME)

    @action(needs=lambda self: self.dead_tokens)
    def use_a_token_of_before_the_change_of_the_password(self) -> None:
        guest = self.thief.guest.with_bearer(self.dead_tokens[-1])
        self.run(guest(ME))
        assert guest.last_code == "UNAUTHENTICATED"

    @action(
        weight=3,
        needs=lambda self: self.owner.sessions or self.thief.sessions,
        owner=WHO,
        which=WHICH,
        confirmed=st.booleans(),
    )
    def enroll(self, owner: bool, which: int, confirmed: bool) -> None:
        who = self.holder(owner)
        session = self.session_of(who, which)
        self.begin(who, session)
        if confirmed and session.id in who.shown:
            self.confirm(who, session, right=True)

    def begin(self, who: Actor, session: Session) -> None:
        account = self.account
        answer = self.in_session(who, session, BEGIN, guarded=True)
        if answer is None:
            return
        expected = "FactorAlreadyEnrolled" if account.factor else "TotpEnrollment"
        expected = expected if account.verified else "EmailNotVerified"
        assert answer["__typename"] == expected
        if expected == "TotpEnrollment":
            app = Authenticator(answer["secret"], self.clock)
            session.pending = Pending(app, account.now)
            who.shown[session.id] = app

    @action(
        weight=2,
        needs=lambda self: self.owner.shown or self.thief.shown,
        owner=WHO,
        which=WHICH,
        right=st.sampled_from([True, True, True, False]),
    )
    def confirm_enrollment(self, owner: bool, which: int, right: bool) -> None:
        who = self.actor(owner)
        sessions = [each for each in who.sessions if each.id in who.shown]
        if sessions:
            self.confirm(who, chosen(sessions, which), right=right)

    def confirm(self, who: Actor, session: Session, *, right: bool) -> None:
        account, app, pending = self.account, who.shown[session.id], session.pending
        code = app.next_code() if right else self.unlike_right("000000")
        answer = self.in_session(who, session, CONFIRM, code=code)
        if answer is None:
            return
        is_pending = (
            pending is not None
            and not pending.is_over
            and account.within(pending.at, ENROLLMENT_SECONDS)
        )
        if answer["__typename"] == "ChallengeExpired":
            assert is_pending is not True
            self.charged += 1
        elif answer["__typename"] == "InvalidCode":
            assert is_pending is not False
            assert pending
            assert not right or pending.app is not app
            self.charged += 1
        else:
            assert answer["__typename"] == "FactorAdded"
            assert is_pending is not False, "an enrollment that is over was confirmed"
            codes: list[str] = answer["recoveryCodes"]
            who.apps.append(app)
            who.codes = [*codes]
            account.add_factor(Factor(answer["factor"]["id"], app, set(codes)), session)
            self.used_codes.append({"totp": code})
            session.last_code = (code, account.now)

    @action(
        weight=2,
        needs=lambda self: self.account.factor and self.owner.sessions,
        owner=WHO,
        which=WHICH,
    )
    def remove_the_factor(self, owner: bool, which: int) -> None:
        who, factor = self.holder(owner), self.account.factor
        assert factor
        sent = {"factorId": factor.id}
        session = self.session_of(who, which)
        answer = self.in_session(who, session, actors.REMOVE_FACTOR, guarded=True, input=sent)
        if answer is not None:
            assert answer["__typename"] == "UserChanged"
            self.charged += 1
            self.account.remove_factor()

    @action(needs=lambda self: self.owner.sessions or self.thief.sessions, owner=WHO, which=WHICH)
    def renew_the_recovery_codes(self, owner: bool, which: int) -> None:
        who, factor = self.holder(owner), self.account.factor
        session = self.session_of(who, which)
        answer = self.in_session(who, session, actors.RENEW_CODES, guarded=True)
        if answer is not None:
            assert factor
            factor.codes = set(answer["codes"])
            who.codes = [*answer["codes"], *who.codes]
            self.charged += 1

    @action(
        weight=2,
        needs=lambda self: self.owner.sessions or self.thief.sessions,
        owner=WHO,
        which=WHICH,
        proof=PROOFS,
        by_password=st.booleans(),
    )
    def step_up(self, owner: bool, which: int, proof: Proof, by_password: bool) -> None:
        who = self.holder(owner)
        session = self.session_of(who, which)
        if by_password or (self.account.factor is None and proof is Proof.BEST):
            self.step_up_by_password(who, session)
            return
        entered = self.entered(who, proof)
        if not entered.is_recovery:
            self.step_up_by_code(who, session, entered)

    def step_up_by_password(self, who: Actor, session: Session) -> str | None:
        account, password = self.account, self.password_of(who)
        sent = {"answer": {"password": password}}
        answer = self.in_session(who, session, actors.STEP_UP, input=sent)
        if answer is None:
            return None
        kind: str = answer["__typename"]
        if kind == "SteppedUp":
            assert account.factor is None, "a password stepped up in spite of the factor"
            assert password == account.password
            account.prove(session)
        elif kind == "InvalidCredentials":
            is_locked = account.wrong_passwords >= LOCKING_FAILURES
            assert account.factor is None
            assert password != account.password or is_locked
            account.wrong_passwords += 1
        else:
            assert kind == "InvalidCode"
            assert account.factor
        self.charged += 1
        return kind

    def step_up_by_code(self, who: Actor, session: Session, entered: Entered) -> str | None:
        sent = {"answer": entered.answer}
        answer = self.in_session(who, session, actors.STEP_UP, input=sent)
        if answer is None:
            return None
        kind: str = answer["__typename"]
        if kind == "SteppedUp":
            if not self.is_repeated(session, entered):
                assert entered.is_right, "a wrong code stepped up"
                self.use(entered)
                self.account.prove(session)
                session.last_code = (entered.answer["totp"], self.account.now)
        else:
            assert kind == "InvalidCode"
            assert not entered.is_right
            self.charged += 1
            if self.account.factor:
                session.count_wrong_code()
        return kind

    def is_repeated(self, session: Session, entered: Entered) -> bool:
        """Whether the code is the one that has just proved the session."""
        if session.last_code is None or entered.is_right:
            return False
        code, at = session.last_code
        in_time = self.account.within(at, REPEATED_SECONDS) is not False
        return in_time and code == entered.answer["totp"]

    @action(
        weight=3,
        needs=lambda self: self.owner.sessions or self.thief.sessions,
        owner=WHO,
        which=WHICH,
        keep=st.sampled_from([True, True, False]),
    )
    def change_the_password(self, owner: bool, which: int, keep: bool) -> None:
        who, account = self.holder(owner), self.account
        session, current = self.session_of(who, which), self.password_of(who)
        new = self.new_password(who)
        sent = {"currentPassword": current, "newPassword": new, "keepOtherSessions": keep}
        before = session.access_token
        answer = self.in_session(who, session, actors.CHANGE_PASSWORD, guarded=True, input=sent)
        if answer is None:
            return
        if answer["__typename"] == "InvalidCredentials":
            assert current != account.password or account.wrong_passwords >= LOCKING_FAILURES
            account.wrong_passwords += 1
            self.charged += 1
            return
        assert answer["__typename"] == "PasswordChanged"
        assert current == account.password
        account.change_password(new, session, keep=keep)
        # Copies of the tokens are over, also where the session goes on.
        self.dead_tokens.append(before)
        other = self.thief if who is self.owner else self.owner
        other.sessions = [each for each in other.sessions if each is not session]
        self.take_tokens(session, answer["tokens"])
        who.remember_device(answer)

    # Emails.

    def read_emails(self) -> None:
        """Let the worker send what is waiting, and collect the links."""
        worker = replace(self.app.state.portico.services[Worker], delays=[timedelta(0)] * 3)
        self.run(worker.drain())
        self.links += links_in(self.outbox.messages, self.account.factors_added)
        self.outbox.messages.clear()

    @action(weight=2, owner=WHO, followed=st.booleans())
    def reset_by_email(self, owner: bool, followed: bool) -> None:
        self.request_a_reset()
        self.follow_newest(owner, Kind.RESET, followed=followed)

    def follow_newest(self, owner: bool, kind: Kind, *, followed: bool) -> None:
        who = self.actor(owner)
        links = [e for e in self.links if e.kind is kind and e.to in who.mailboxes]
        if links and followed:
            self.follow(who, links[-1])

    def request_a_reset(self) -> None:
        sent = {"email": self.account.email}
        answer = self.run(self.thief.guest(actors.REQUEST_PASSWORD_RESET, input=sent))
        self.charged += 1
        self.is_limited(answer["requestPasswordReset"]["__typename"])
        self.read_emails()

    @action(needs=lambda self: not self.account.verified)
    def request_verification(self) -> None:
        sent = {"email": self.account.email}
        answer = self.run(self.thief.guest(actors.REQUEST_VERIFICATION, input=sent))
        self.charged += 1
        self.is_limited(answer["requestEmailVerification"]["__typename"])
        self.read_emails()

    @action(
        needs=lambda self: self.owner.sessions or self.thief.sessions,
        owner=WHO,
        which=WHICH,
        to_own=st.booleans(),
        followed=st.booleans(),
    )
    def change_the_address(self, owner: bool, which: int, to_own: bool, followed: bool) -> None:
        self.request_a_change_of_address(owner, which, to_own=to_own)
        self.follow_newest(owner, Kind.CHANGE_EMAIL, followed=followed)

    def request_a_change_of_address(self, owner: bool, which: int, *, to_own: bool) -> None:
        who, account = self.holder(owner), self.account
        new = self.address("b" if who is self.owner or not to_own else "thief")
        password = self.password_of(who)
        sent = {"newEmail": new, "password": password}
        session = self.session_of(who, which)
        answer = self.in_session(
            who, session, actors.REQUEST_EMAIL_CHANGE, guarded=True, input=sent
        )
        if answer is None:
            return
        self.charged += 1
        if answer["__typename"] == "InvalidCredentials":
            assert password != account.password or account.wrong_passwords >= LOCKING_FAILURES
            account.wrong_passwords += 1
        elif answer["__typename"] == "InvalidInput":
            assert new == account.email
        else:
            assert answer["__typename"] == "RequestAccepted"
            assert password == account.password
            self.read_emails()

    @action(
        needs=lambda self: self.links, owner=WHO, which=st.integers(0, 4), signed_in=st.booleans()
    )
    def follow_a_link(self, owner: bool, which: int, signed_in: bool) -> None:
        who = self.actor(owner)
        links = [each for each in self.links if each.to in who.mailboxes]
        if links:
            session = who.sessions[-1] if who.sessions and signed_in else None
            self.follow(who, chosen(links, which), session)

    def follow(self, who: Actor, link: Link, session: Session | None = None) -> str:
        """Open a link and press the button. Returns the outcome."""
        match link.kind:
            case Kind.VERIFY:
                kind = self.verify(who, link, session)
            case Kind.RESET:
                kind = self.reset_password(who, link)
            case Kind.CHANGE_EMAIL | Kind.UNDO:
                kind = self.confirm_address(who, link)
        if kind == "TokenInvalid":
            self.charged += 1
        return kind

    def reset_password(self, who: Actor, link: Link) -> str:
        account, new = self.account, self.new_password(who)
        sent = {"token": link.token, "newPassword": new}
        answer = self.run(who.guest(actors.RESET_PASSWORD, input=sent))["resetPassword"]
        kind: str = answer["__typename"]
        if kind == "UserChanged":
            self.check_link(link)
            assert link.to == account.email
            account.reset_password(new)
            who.remember_device(answer)
        else:
            assert kind == "TokenInvalid" or self.is_limited(kind)
        return kind

    def check_link(self, link: Link) -> None:
        assert not link.is_used, "a link was used twice"
        assert not self.account.suspended
        link.is_used = True

    def confirm_address(self, who: Actor, link: Link) -> str:
        account, sent = self.account, {"token": link.token}
        answer = self.run(who.guest(actors.CONFIRM_EMAIL_CHANGE, input=sent))["confirmEmailChange"]
        kind: str = answer["__typename"]
        if kind != "UserChanged":
            assert kind == "TokenInvalid" or self.is_limited(kind)
            return kind
        assert answer["user"]["email"] == link.to
        if link.is_used:
            # The client that used it is told again, and nothing happens.
            assert link.to == account.email
            return kind
        self.check_link(link)
        if link.kind is Kind.UNDO:
            account.undo_email_change(link.to)
        else:
            assert link.factors_added == account.factors_added, "requested without the factor"
            # The former address gets a link that undoes the change only if it was verified.
            self.is_lost |= not account.verified and link.to not in self.owner.mailboxes
            account.change_email(link.to)
        self.read_emails()
        return kind

    def verify(self, who: Actor, link: Link, session: Session | None) -> str:
        account = self.account
        api = who.with_session(session) if session else who.guest
        answer = self.run(api(actors.VERIFY_EMAIL, input={"token": link.token}))["verifyEmail"]
        kind: str = answer["__typename"]
        if kind == "TokenInvalid" or self.is_limited(kind):
            return kind
        if link.is_used:
            self.check_repeated(answer)
            return kind
        self.check_link(link)
        assert link.to == account.email
        account.verify(in_session=session is not None and not session.is_over)
        self.enter(who, answer)
        self.read_emails()
        return kind

    def check_repeated(self, answer: dict[str, Any]) -> None:
        """A link that is used again gives its session again, but not in spite of a factor."""
        assert answer["__typename"] == "SignedIn"
        assert self.account.factor is None, "a session without the factor"
        found = [each for each in self.account.sessions if each.id == answer["session"]["id"]]
        assert [each.is_over for each in found] == [False]

    @action(weight=3)
    def try_what_is_over(self) -> None:
        """Nothing that a change has ended works, whoever tries it."""
        for who in (self.owner, self.thief):
            for challenge in [each for each in who.challenges if each.is_over][-2:]:
                self.answer(who, challenge, self.entered(who, Proof.BEST))
            for session in who.sessions[-3:]:
                has_ended = session.pending is None or session.pending.is_over
                if session.id in who.shown and has_ended:
                    self.confirm(who, session, right=True)
            used = [each for each in self.links if each.is_used and each.to in who.mailboxes]
            for link in [each for each in used if each.kind is Kind.VERIFY][-1:]:
                self.follow(who, link)

    # Guessing.

    @action(place=st.sampled_from(Place), hours=SELDOM)
    def guess(self, place: Place, hours: int | None) -> None:
        """The thief uses up a budget; in two hours, all attempts that a factor allows."""
        if hours is None:
            # Seldom: it takes many requests.
            return
        for _ in range(hours * 4 + 1):
            for _ in range(GUESSES):
                if not self.guess_once(place):
                    break
            if hours:
                self.clock.pass_(minutes=16)
                self.sign_in(owner=False)

    def guess_once(self, place: Place) -> bool:
        """Returns whether another guess makes sense."""
        thief, wrong = self.thief, Entered({"totp": self.unlike_right("000000")}, is_right=False)
        if place is Place.LOGIN:
            return self.enter_password(thief, WRONG_PASSWORD) == "InvalidCredentials"
        if place is Place.CHALLENGE:
            return bool(thief.challenges) and (
                self.answer(thief, thief.challenges[-1], wrong) == "InvalidCode"
            )
        return bool(thief.sessions) and (
            self.step_up_by_code(thief, thief.sessions[-1], wrong) == "InvalidCode"
        )

    # The administrator, and time.

    def administrator(self) -> Api:
        """Returns a client of the administrator, in a session that is fresh."""
        if self.admin_api is None or self.account.now - self.admin_since > REFRESH_AFTER_SECONDS:
            self.admin_api = self.run(self.admin.guest.login(self.admin_person))
            self.admin_since = self.account.now
        return self.admin_api

    def administer(self, query: str, **sent: str) -> dict[str, Any]:
        api = self.administrator()
        data = self.run(api(query, input={"userId": self.user_id, **sent}))
        assert not api.errors, api.errors
        [answer] = data.values()
        assert answer["__typename"] == "UserChanged"
        return answer

    @action(needs=lambda self: self.account.factor)
    def an_administrator_resets_the_factors(self) -> None:
        self.administer(actors.RESET_FACTORS, reason="lost, said on the phone")
        self.account.reset_factors()

    @action(is_done=SOMETIMES)
    def an_administrator_suspends(self, is_done: bool) -> None:
        if is_done:
            self.suspend_or_reinstate()

    def suspend_or_reinstate(self) -> None:
        if self.account.suspended:
            self.administer(actors.REINSTATE)
            self.account.suspended = False
            return
        self.administer(actors.SUSPEND, reason="a thief")
        # A suspension ends the link that undoes a change of address.
        self.is_lost |= self.account.email not in self.owner.mailboxes
        self.account.suspend()

    @action(needs=lambda self: self.owner.sessions, is_done=SOMETIMES)
    def an_administrator_ends_the_sessions(self, is_done: bool) -> None:
        # Half as often as the other actions: nothing is left of the example after it.
        if is_done:
            self.administer(actors.END_SESSIONS)
            self.account.sign_out()

    @action(seconds=st.sampled_from([35, 250, 700]))
    def time_passes(self, seconds: int) -> None:
        self.clock.pass_(seconds=seconds)

    # In the end.

    def teardown(self) -> None:
        # Not after a failure, which this one would replace.
        if sys.exc_info()[0] is None and hasattr(self, "account"):
            self.try_what_is_over()
            self.check_state()
            if not self.is_lost:
                self.recover()
        if hasattr(self, "owner"):
            for who in (self.owner, self.thief):
                self.run(who.http.aclose())

    def check_state(self) -> None:
        account, api = self.account, self.administrator()
        factor = account.factor
        assert self.run(api(actors.FACTORS, id=self.user_id))["user"] == {
            "email": account.email,
            "emailVerified": account.verified,
            "factors": [{"id": factor.id}] if factor else [],
            "recoveryCodesLeft": len(factor.codes) if factor else 0,
        }

    def recover(self) -> None:
        """The owner gets a session with the mailbox, and a code or the help of an administrator."""
        account, owner = self.account, self.owner
        self.clock.pass_(hours=2)
        if account.suspended:
            self.suspend_or_reinstate()
        if account.email not in owner.mailboxes:
            undo = [e for e in self.links if e.kind is Kind.UNDO and e.to in owner.mailboxes]
            outcomes = [self.follow(owner, each) for each in undo if not each.is_used]
            assert "UserChanged" in outcomes, "the owner cannot get the address back"
            assert account.email in owner.mailboxes
        self.request_a_reset()
        assert self.follow(owner, self.links[-1]) == "UserChanged"
        self.sign_in(owner=True)
        if account.factor and not self.recover_with_code():
            self.an_administrator_resets_the_factors()
            self.sign_in(owner=True)
        assert self.in_session(owner, owner.sessions[-1], actors.STATE_OF_ME)

    def recover_with_code(self) -> bool:
        """Whether the owner has a code that works. Each kind has to, if they have it, and once."""
        account, owner = self.account, self.owner
        spare = self.entered(owner, Proof.RECOVERY_CODE)
        # First, since it unlocks the codes of the app.
        recovered = spare.is_right and self.enter_once(spare)
        best = self.entered(owner, Proof.BEST)
        if best.is_right and (recovered or account.wrong_codes < LOCKING_FAILURES):
            return self.enter_once(best)
        return recovered

    def enter_once(self, entered: Entered) -> bool:
        """Sign the owner in with a code, which does not work a second time."""
        owner, outcomes = self.owner, list[str]()
        for each in (entered, entered._replace(is_right=False)):
            assert self.enter_password(owner, self.password_of(owner)) == "ChallengeRequired"
            outcomes.append(self.answer(owner, owner.challenges[-1], each))
        assert outcomes == ["SignedIn", "InvalidCode"]
        return True


@contextmanager
def machine(url: str, clock: FakeClock) -> Generator[dict[str, Any]]:
    """An application with the limits of production, an administrator, and a loop for both."""
    loop, outbox = asyncio.new_event_loop(), Outbox()
    app = create_app(settings_for(url, throttle_scale=1), clock, outbox)
    lifespan = app.router.lifespan_context(app)
    loop.run_until_complete(lifespan.__aenter__())
    admin = Actor.of(app)
    parts = {"app": app, "clock": clock, "loop": loop, "outbox": outbox, "admin": admin}
    person = Person("grace@example.com", "nanoseconds of wire")
    loop.run_until_complete(_make_administrator(app, admin.guest, person))
    yield {**parts, "admin_person": person}
    loop.run_until_complete(admin.http.aclose())
    loop.run_until_complete(lifespan.__aexit__(None, None, None))
    loop.close()


async def _make_administrator(app: FastAPI, guest: Api, person: Person) -> None:
    await guest.register(person)
    async with app.state.portico.services[Database].begin() as session:
        await session.execute(text("UPDATE users SET role = 'ADMIN'"))


@pytest.mark.timeout(60 + SEQUENCES * 10)
@pytest.mark.usefixtures("api")
def test_no_thief_goes_around_the_factor_and_no_owner_is_locked_out(
    migrated_url: str, clock: FakeClock
) -> None:
    with machine(migrated_url, clock) as parts:
        run_state_machine_as_test(
            type("Model", (OneAccount,), parts),
            settings=hypothesis.settings(
                max_examples=SEQUENCES, stateful_step_count=STEPS, deadline=None
            ),
        )
