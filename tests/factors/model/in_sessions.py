"""What somebody does in a session: factors, step-up, and the password."""

from typing import Any

from hypothesis import strategies as st

from app.testing.clients import ME
from tests.factors.model import actors
from tests.factors.model.account import (
    ENROLLMENT_SECONDS,
    LOCKING_FAILURES,
    REPEATED_SECONDS,
    Factor,
    Pending,
    Session,
)
from tests.factors.model.actions import WHICH, WHO, action, chosen
from tests.factors.model.actors import Actor
from tests.factors.model.people import Entered, Power
from tests.factors.model.sign_ins import PROOFS, Proof, SignIns
from tests.support.authenticator import BEGIN, CONFIRM, Authenticator

REFRESH_AFTER_SECONDS = 240


class InSessions(SignIns):
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
