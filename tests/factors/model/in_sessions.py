"""What somebody does in a session: factors, step-up, and the password."""

from typing import Any

from hypothesis import strategies as st

from app.testing.clients import ME
from tests.factors.model import actors
from tests.factors.model.account import (
    ENROLLMENT_SECONDS,
    FRESH_SECONDS,
    LOCKING_FAILURES,
    REPEATED_SECONDS,
    Pending,
    Session,
    Totp,
)
from tests.factors.model.actions import WHICH, WHO, action, chosen
from tests.factors.model.actors import Actor
from tests.factors.model.people import Entered, Power
from tests.factors.model.sign_ins import PROOFS, Proof, SignIns, signed
from tests.support import passkeys
from tests.support.authenticator import BEGIN, CONFIRM, Authenticator
from tests.support.passkeys import SoftwareAuthenticator

REFRESH_AFTER_SECONDS = 240


class InSessions(SignIns):
    """Nothing is answered in a session that is over, nor anything sensitive in a stale one."""

    def in_session(
        self,
        who: Actor,
        session: Session,
        query: str,
        *,
        guarded: bool = False,
        fresh_seconds: float = FRESH_SECONDS,
        **variables: Any,
    ) -> dict[str, Any] | None:
        """Send an operation; None if it is refused. Whether it may be is what the model says.

        `guarded`: the session must have been proved within so many seconds.
        """
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
            is_fresh = account.is_fresh(session, fresh_seconds)
            if code == "STEP_UP_REQUIRED":
                assert is_fresh is not True, "a fresh session was refused"
                assert api.errors[0]["extensions"]["methods"] == account.step_up_methods
                return None
            assert is_fresh is not False, "a stale session was accepted"
        if code == "EMAIL_NOT_VERIFIED":
            assert not account.verified
            return None
        if self.is_limited(code):
            return None
        assert code is None, api.errors
        assert data
        [answer] = data.values()
        # Without a factor there are no recovery codes to renew.
        return None if answer is None or self.is_limited(answer.get("__typename")) else answer

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
        expected = "FactorAlreadyEnrolled" if account.totp else "TotpEnrollment"
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
            who.apps.append(app)
            self.take_recovery_codes(who, answer)
            account.add_totp(Totp(answer["factor"]["id"], app), session)
            self.note_proof(session, {"totp": code})

    def take_recovery_codes(self, who: Actor, answer: dict[str, Any]) -> None:
        """Keep the codes that come with the first factor."""
        codes: list[str] | None = answer["recoveryCodes"]
        assert (codes is None) == bool(self.account.factors)
        if codes:
            who.codes, self.account.recovery_codes = [*codes], set(codes)

    def note_proof(self, session: Session, answer: dict[str, Any]) -> None:
        self.used_answers.append(answer)
        session.proofs.append((answer, self.account.now))

    @action(
        weight=2,
        needs=lambda self: self.account.factors and self.owner.sessions,
        owner=WHO,
        which=WHICH,
        factor=WHICH,
    )
    def remove_a_factor(self, owner: bool, which: int, factor: int) -> None:
        who, account = self.holder(owner), self.account
        session, removed = self.session_of(who, which), chosen(account.factors, factor)
        sent = {"factorId": removed.id}
        answer = self.in_session(who, session, actors.REMOVE_FACTOR, guarded=True, input=sent)
        if answer is None:
            return
        self.charged += 1
        if account.can_lose(removed):
            assert answer["__typename"] == "UserChanged"
            account.remove_factor(removed, session)
        else:
            assert answer["__typename"] == "LastWayIn"

    @action(needs=lambda self: self.owner.sessions or self.thief.sessions, owner=WHO, which=WHICH)
    def renew_the_recovery_codes(self, owner: bool, which: int) -> None:
        who, account = self.holder(owner), self.account
        session = self.session_of(who, which)
        answer = self.in_session(who, session, actors.RENEW_CODES, guarded=True)
        if answer is not None:
            assert account.factors
            account.recovery_codes = set(answer["codes"])
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
        if by_password or (not self.account.factors and proof is Proof.BEST):
            self.step_up_by_password(who, session)
            return
        if self.needs_passkey(who, proof):
            self.step_up_with_passkey(who, session, self.device_of(who))
            return
        entered = self.entered(who, proof)
        if not entered.is_recovery:
            self.step_up_with(who, session, entered)

    def step_up_by_password(self, who: Actor, session: Session) -> str | None:
        account, password = self.account, self.password_of(who)
        sent = {"answer": {"password": password}}
        answer = self.in_session(who, session, actors.STEP_UP, input=sent)
        if answer is None:
            return None
        kind: str = answer["__typename"]
        if kind == "SteppedUp":
            assert not account.factors, "a password stepped up in spite of the factor"
            assert password == account.password
            account.prove(session)
            session.is_of_passkey = False
        elif kind == "InvalidCredentials":
            is_locked = account.wrong_passwords >= LOCKING_FAILURES
            assert not account.factors
            assert password != account.password or is_locked
            account.wrong_passwords += 1
        else:
            assert kind == "InvalidCode"
            assert account.factors
        self.charged += 1
        return kind

    def step_up_with_passkey(
        self, who: Actor, session: Session, device: SoftwareAuthenticator
    ) -> None:
        options = self.in_session(who, session, passkeys.BEGIN_STEP_UP)
        if options is None:
            return
        passkey = self.account.passkey_of(device)
        # Who began the session may have a copy of the passkey, and not the password.
        is_right = passkey and not (passkey.needs_password and session.is_of_passkey)
        self.step_up_with(who, session, signed(device, options, is_right=bool(is_right)))

    def step_up_with(self, who: Actor, session: Session, entered: Entered) -> str | None:
        sent = {"answer": entered.answer}
        answer = self.in_session(who, session, actors.STEP_UP, input=sent)
        if answer is None:
            return None
        kind: str = answer["__typename"]
        if kind == "SteppedUp":
            if not self.is_repeated(session, entered):
                assert entered.is_right, "a wrong answer stepped up"
                self.account.prove(session)
                session.is_of_passkey = session.is_of_passkey and "passkey" in entered.answer
                self.note_proof(session, entered.answer)
        else:
            assert kind == entered.refusal
            assert not entered.is_right
            self.charged += 1
            if self.account.totp and "totp" in entered.answer:
                session.count_wrong_code()
        return kind

    def is_repeated(self, session: Session, entered: Entered) -> bool:
        """Whether the answer is one that has just proved the session."""
        return not entered.is_right and any(
            answer == entered.answer and self.account.within(at, REPEATED_SECONDS) is not False
            for answer, at in session.proofs
        )

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
