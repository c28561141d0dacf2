"""A model of one account with second factors: its owner, an administrator, and a thief.

The thief has the password, a session, or reads the emails, or any of these together. Whatever
they and the owner do, each answer is compared with the rules in `model/account.py`. In the end the
owner, who has the mailbox, and a factor or an administrator, gets a session.

FACTOR_SEQUENCES=1000 runs more of them.
"""

import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import hypothesis
import pytest
from fastapi import FastAPI
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from sqlalchemy import text

from app.database.database import Database
from app.main import create_app
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from app.testing.settings import settings_for
from tests.factors.model import actors
from tests.factors.model.account import LOCKING_FAILURES
from tests.factors.model.actions import ACTIONS, action, any_action
from tests.factors.model.actors import Actor, Kind
from tests.factors.model.emails import Emails
from tests.factors.model.in_sessions import REFRESH_AFTER_SECONDS
from tests.factors.model.people import WRONG_PASSWORD, Entered, Power
from tests.factors.model.sign_ins import Proof

SEQUENCES = int(os.environ.get("FACTOR_SEQUENCES", "8"))
STEPS = 30
# More than any budget allows, and less than locks the codes.
GUESSES = 11
# Half of the sequences would else be over before anything happens in them.
SOMETIMES = st.sampled_from([False, False, True])
SELDOM = st.sampled_from([*[None] * 14, 0, 2])


class Place(Enum):
    """Where somebody guesses."""

    LOGIN = "LOGIN"
    CHALLENGE = "CHALLENGE"
    SESSION = "SESSION"


class OneAccount(Emails):
    """Each rule is an action of the owner, the thief or the administrator."""

    @initialize(
        powers=st.sets(st.sampled_from(Power), min_size=1),
        verified=st.sampled_from([True, True, True, False]),
        # Without a session, the link removes the password.
        by_link=st.sampled_from([False, False, True]),
        # In which of the sessions: an older one leaves that of the link unused.
        enrolled=st.sampled_from([None, 0, 1]),
        has_passkey=st.booleans(),
        early=st.booleans(),
    )
    def register(
        self,
        powers: set[Power],
        verified: bool,
        by_link: bool,
        enrolled: int | None,
        has_passkey: bool,
        early: bool,
    ) -> None:
        self.meet(powers)
        self.admin_api: Api | None = None
        self.admin_since = 0.0
        self.sign_in(owner=True)
        if verified:
            self.request_verification()
            session = None if by_link else self.owner.sessions[-1]
            self.follow(self.owner, self.links[-1], session)
            assert self.account.verified
        if early:
            # A thief of the password, before there is a factor.
            self.sign_in(owner=False)
            if verified and self.thief.sessions:
                self.begin(self.thief, self.thief.sessions[-1])
                self.begin_registration(self.thief, self.thief.sessions[-1])
        if verified and enrolled is not None:
            add = self.register_a_passkey if has_passkey else self.enroll
            # After the link, no older session goes on.
            add(owner=True, which=0 if by_link else enrolled, confirmed=True)
            assert self.account.factors
        if Power.SESSION in powers:
            self.steal_the_session()

    @rule(drawn=st.deferred(any_action))
    def act(self, drawn: tuple[str, dict[str, Any]]) -> None:
        name, arguments = drawn
        if ACTIONS[name].needs(self):
            getattr(self, name)(**arguments)

    @action(weight=3)
    def try_what_is_over(self) -> None:
        """Nothing that a change has ended works, whoever tries it."""
        for who in (self.owner, self.thief):
            for challenge in [each for each in who.challenges if each.is_over][-2:]:
                self.prove(who, challenge, Proof.BEST)
            for device in [e for e in who.devices if not self.signs_in_alone(e)][-2:]:
                self.enter_passkey(who, device)
            for session in who.sessions[-3:]:
                is_trusted = not (session.is_over or session.must_step_up)
                if session.id in who.registrations and not is_trusted:
                    self.finish_registration(who, session)
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
            self.step_up_with(thief, thief.sessions[-1], wrong) == "InvalidCode"
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

    @action(needs=lambda self: self.account.factors)
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
        state = self.run(api(actors.FACTORS, id=self.user_id))["user"]
        factors = {each["id"] for each in state.pop("factors")}
        assert factors == {each.id for each in account.factors}
        assert state == {
            "email": account.email,
            "emailVerified": account.verified,
            "recoveryCodesLeft": len(account.recovery_codes),
        }

    def recover(self) -> None:
        """The owner gets a session with the mailbox, and a factor or an administrator.

        A passkey that a thief has registered does not sign in alone any more.
        """
        account, owner = self.account, self.owner
        self.clock.pass_(hours=2)
        if account.suspended:
            self.suspend_or_reinstate()
        if account.email not in owner.mailboxes:
            undo = [e for e in self.links if e.kind is Kind.UNDO and e.to in owner.mailboxes]
            outcomes = [self.follow(owner, each) for each in undo if not each.is_used]
            assert "UserChanged" in outcomes, "the owner cannot get the address back"
            assert account.email in owner.mailboxes
            self.refuse_passkeys_of_thief()
        self.request_a_reset()
        assert self.follow(owner, self.links[-1]) == "UserChanged"
        self.refuse_passkeys_of_thief()
        self.sign_in(owner=True)
        if account.factors and not self.recover_with_factor():
            self.an_administrator_resets_the_factors()
            self.sign_in(owner=True)
        assert self.in_session(owner, owner.sessions[-1], actors.STATE_OF_ME)

    def refuse_passkeys_of_thief(self) -> None:
        for device in self.thief.devices:
            assert self.enter_passkey(self.thief, device) == "PasskeyRefused"

    def recover_with_factor(self) -> bool:
        """Whether the owner has a factor that works. Each kind has to, if they have it, and once.

        A passkey signs in alone again once it has been accepted with the new password.
        """
        account, owner = self.account, self.owner
        spare = self.entered(owner, Proof.RECOVERY_CODE)
        # First, since it unlocks the codes of the app.
        recovered = spare.is_right and self.enter_once(spare)
        if account.totp and account.totp.app in owner.apps:
            is_locked = not recovered and account.wrong_codes >= LOCKING_FAILURES
            recovered |= not is_locked and self.enter_once(self.entered(owner, Proof.BEST))
        device = self.device_of(owner)
        if account.passkey_of(device):
            recovered = True
            assert self.enter_passkey(owner, device) == "PasskeyRefused"
            assert self.enter_password(owner, self.password_of(owner)) == "ChallengeRequired"
            assert self.prove(owner, owner.challenges[-1], Proof.PASSKEY) == "SignedIn"
            assert self.enter_passkey(owner, device) == "SignedIn"
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
