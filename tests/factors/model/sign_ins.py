"""Signing in, with a challenge where there is a factor."""

from enum import Enum
from typing import Any

from hypothesis import strategies as st

from tests.factors.model.account import CHALLENGE_SECONDS, LOCKING_FAILURES, Challenge, Session
from tests.factors.model.actions import WHICH, WHO, action, chosen
from tests.factors.model.actors import Actor
from tests.factors.model.people import Entered, People
from tests.support.authenticator import ANSWER, LOGIN

WRONG_CODE = "0000-0000-0000-0000"


class Proof(Enum):
    """What somebody enters: the best that they know, or what must not do."""

    BEST = "BEST"
    RECOVERY_CODE = "RECOVERY_CODE"
    WRONG = "WRONG"
    REPLAYED = "REPLAYED"


PROOFS = st.sampled_from([Proof.BEST, Proof.BEST, *Proof])


class SignIns(People):
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
