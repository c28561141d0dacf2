"""Signing in, with a challenge where there is a factor."""

from enum import Enum
from typing import Any

from hypothesis import strategies as st

from tests.factors.model.account import (
    CHALLENGE_SECONDS,
    LOCKING_FAILURES,
    Challenge,
    Session,
)
from tests.factors.model.actions import WHICH, WHO, action, chosen
from tests.factors.model.actors import Actor
from tests.factors.model.people import Entered, People
from tests.support import passkeys
from tests.support.authenticator import ANSWER, LOGIN
from tests.support.passkeys import ES256, Credential, SoftwareAuthenticator

WRONG_CODE = "0000-0000-0000-0000"


class Proof(Enum):
    """What somebody enters: the best that they know, or what must not do."""

    BEST = "BEST"
    PASSKEY = "PASSKEY"
    RECOVERY_CODE = "RECOVERY_CODE"
    WRONG = "WRONG"
    REPLAYED = "REPLAYED"


PROOFS = st.sampled_from([Proof.BEST, Proof.BEST, Proof.PASSKEY, *Proof])


class SignIns(People):
    """Whoever signs in gets a session only with every factor that the account asks for."""

    @action(weight=3, owner=WHO, proof=st.none() | PROOFS)
    def sign_in(self, owner: bool, proof: Proof | None = None) -> None:
        who = self.actor(owner)
        if self.enter_password(who, self.password_of(who)) == "ChallengeRequired" and proof:
            self.prove(who, who.challenges[-1], proof)

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
            self.enter(who, answer, has_password=True)
        return kind

    def enter(self, who: Actor, answer: dict[str, Any], *, has_password: bool = False) -> None:
        """Go on with a challenge if there is a factor, else with a session."""
        account = self.account
        if not account.factors:
            self.begin_session(who, answer)
            return
        assert answer["__typename"] == "ChallengeRequired", "a session without the factor"
        challenge = Challenge(answer["challenge"]["token"], account.now, has_password)
        account.challenges.append(challenge)
        who.challenges.append(challenge)

    def begin_session(
        self, who: Actor, answer: dict[str, Any], *, of_passkey: bool = False
    ) -> None:
        account = self.account
        assert answer["__typename"] == "SignedIn", answer
        tokens, now = answer["tokens"], account.now
        session = Session(
            answer["session"]["id"], tokens["accessToken"], tokens["refreshToken"], now, now
        )
        session.is_of_passkey = of_passkey
        account.sessions.append(session)
        who.sessions.append(session)
        who.remember_device(answer)

    def entered(self, who: Actor, proof: Proof) -> Entered:
        """Returns what a person enters as a second factor."""
        totp, unused = self.account.totp, self.account.recovery_codes
        if proof is Proof.REPLAYED and self.used_answers:
            return Entered(self.used_answers[-1], is_right=False)
        if proof is Proof.RECOVERY_CODE and who.codes:
            good = [each for each in who.codes if each in unused]
            return Entered({"recoveryCode": (good or who.codes)[0]}, bool(good))
        if proof is Proof.RECOVERY_CODE:
            return Entered({"recoveryCode": WRONG_CODE}, is_right=False)
        if proof is Proof.BEST and totp and totp.app in who.apps:
            return Entered({"totp": totp.app.next_code()}, is_right=True)
        if proof is Proof.BEST and who.apps:
            return Entered({"totp": self.unlike_right(who.apps[-1].code())}, is_right=False)
        return Entered({"totp": self.unlike_right("000000")}, is_right=False)

    def unlike_right(self, code: str) -> str:
        """Returns a code, or another one if it is right by chance."""
        totp = self.account.totp
        right = {totp.app.code(drift) for drift in range(-2, 3)} if totp else set[str]()
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
            self.prove(who, chosen(who.challenges, which), proof)

    def prove(self, who: Actor, challenge: Challenge, proof: Proof) -> str:
        """Answer a challenge with this proof."""
        if self.needs_passkey(who, proof):
            return self.answer_with_passkey(who, challenge, self.device_of(who))
        return self.answer(who, challenge, self.entered(who, proof))

    def needs_passkey(self, who: Actor, proof: Proof) -> bool:
        """Whether somebody proves it with a passkey. The best is an app, which can be locked."""
        totp = self.account.totp
        has_app = totp is not None and totp.app in who.apps
        has_passkey = any(each.device in who.devices for each in self.account.passkeys)
        return proof is Proof.PASSKEY or (proof is Proof.BEST and has_passkey and not has_app)

    def device_of(self, who: Actor) -> SoftwareAuthenticator:
        """Returns an authenticator: one that is registered, or was, or any other."""
        registered = [each for each in who.devices if self.account.passkey_of(each)]
        if registered or who.devices:
            return (registered or who.devices)[-1]
        return SoftwareAuthenticator(credentials=[Credential(ES256, b"nobody")])

    def answer_with_passkey(
        self, who: Actor, challenge: Challenge, device: SoftwareAuthenticator
    ) -> str:
        begun = self.run(who.guest(passkeys.BEGIN_CHALLENGE, token=challenge.token))
        options = begun["beginPasskeyChallenge"]
        kind: str = options["__typename"]
        if self.is_limited(kind):
            return kind
        if kind == "ChallengeExpired":
            self.check_expired(challenge)
            return kind
        passkey = self.account.passkey_of(device)
        outcome = self.answer(who, challenge, signed(device, options, is_right=bool(passkey)))
        if outcome == "SignedIn" and passkey and challenge.has_password:
            passkey.needs_password = False
        return outcome

    def check_expired(self, challenge: Challenge) -> None:
        in_time = self.account.within(challenge.at, CHALLENGE_SECONDS)
        assert challenge.is_over or in_time is not True
        self.charged += 1

    def answer(self, who: Actor, challenge: Challenge, entered: Entered) -> str:
        account = self.account
        sent = {"token": challenge.token, "answer": entered.answer}
        answer = self.run(who.guest(ANSWER, input=sent))["answerChallenge"]
        kind: str = answer["__typename"]
        if self.is_limited(kind):
            return kind
        if kind == "ChallengeExpired":
            self.check_expired(challenge)
            return kind
        assert not challenge.is_over, "a challenge that is over was answered"
        assert account.within(challenge.at, CHALLENGE_SECONDS) is not False
        if kind == entered.refusal:
            self.refused(entered)
            return kind
        assert entered.is_right, "a session for a wrong answer"
        challenge.is_over = True
        self.use(entered)
        self.begin_session(who, answer)
        self.accepted.append((who, challenge, entered, who.sessions[-1]))
        return kind

    def refused(self, entered: Entered) -> None:
        account = self.account
        if entered.is_right:
            assert "totp" in entered.answer, "what cannot be guessed was refused"
            assert account.wrong_codes >= LOCKING_FAILURES
        if "totp" in entered.answer:
            account.wrong_codes += 1
        self.charged += 1

    def use(self, entered: Entered) -> None:
        """Note that an answer was accepted: it must never be again."""
        account = self.account
        if entered.is_recovery:
            # A right code of the app ends only some counts; so this is the most there can be.
            account.wrong_codes = 0
            account.recovery_codes.discard(entered.answer["recoveryCode"])
        self.used_answers.append(entered.answer)

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

    # With a passkey alone.

    @action(weight=2, needs=lambda self: self.owner.devices or self.thief.devices, owner=WHO)
    def sign_in_with_passkey(self, owner: bool) -> None:
        who = self.actor(owner)
        self.enter_passkey(who, self.device_of(who))

    def enter_passkey(
        self, who: Actor, device: SoftwareAuthenticator, *, is_copy: bool = False
    ) -> str:
        options = self.run(who.guest(passkeys.BEGIN_SIGN_IN))["beginPasskeySignIn"]
        entered = signed(device, options, is_right=self.signs_in_alone(device) and not is_copy)
        answer = self.run(who.guest(passkeys.SIGN_IN, input=entered.answer["passkey"]))
        kind: str = answer["signInWithPasskey"]["__typename"]
        if self.is_limited(kind):
            return kind
        if kind == "PasskeyRefused":
            assert not entered.is_right
            self.charged += 1
            return kind
        assert entered.is_right, "a session for a wrong passkey"
        self.begin_session(who, answer["signInWithPasskey"], of_passkey=True)
        self.used_answers.append(entered.answer)
        return kind

    def signs_in_alone(self, device: SoftwareAuthenticator) -> bool:
        passkey = self.account.passkey_of(device)
        return bool(passkey and not passkey.needs_password and not self.account.suspended)


def signed(device: SoftwareAuthenticator, options: dict[str, Any], *, is_right: bool) -> Entered:
    """Sign what a browser is asked for, with the only passkey of an authenticator."""
    [credential] = device.credentials
    passkey = {
        "ceremony": options["ceremony"],
        "credential": device.get(options["publicKey"], credential),
    }
    return Entered({"passkey": passkey}, is_right)
