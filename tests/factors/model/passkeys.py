"""Registering passkeys in a session."""

from typing import Any

from hypothesis import strategies as st

from tests.factors.model.account import (
    CEREMONY_SECONDS,
    FRESH_SECONDS,
    Passkey,
    Registration,
    Session,
)
from tests.factors.model.actions import WHICH, WHO, action, chosen
from tests.factors.model.actors import Actor
from tests.factors.model.in_sessions import InSessions
from tests.support import passkeys
from tests.support.passkeys import SoftwareAuthenticator


class Passkeys(InSessions):
    """Only the session that has begun to register a passkey makes it a factor."""

    @action(
        weight=3,
        needs=lambda self: self.owner.sessions or self.thief.sessions,
        owner=WHO,
        which=WHICH,
        confirmed=st.sampled_from([True, True, True, False]),
    )
    def register_a_passkey(self, owner: bool, which: int, confirmed: bool) -> None:
        who = self.holder(owner)
        session = self.session_of(who, which)
        self.begin_registration(who, session)
        if confirmed and session.id in who.registrations:
            self.finish_registration(who, session)

    def begin_registration(self, who: Actor, session: Session) -> None:
        begin = passkeys.BEGIN_REGISTRATION
        options = self.in_session(who, session, begin, guarded=True)
        if options is not None:
            assert self.account.verified, "a factor for an address of somebody else"
            device = SoftwareAuthenticator(counts=len(who.devices) % 2 == 0)
            credential = device.create(options["publicKey"])
            who.registrations[session.id] = Registration(
                options["ceremony"], credential, device, self.account.now
            )

    @action(
        weight=2,
        needs=lambda self: self.owner.registrations or self.thief.registrations,
        owner=WHO,
        which=WHICH,
    )
    def finish_a_registration(self, owner: bool, which: int) -> None:
        who = self.actor(owner)
        sessions = [each for each in who.sessions if each.id in who.registrations]
        if sessions:
            self.finish_registration(who, chosen(sessions, which))

    def finish_registration(self, who: Actor, session: Session) -> None:
        account, begun = self.account, who.registrations.pop(session.id)
        sent: dict[str, Any] = {"ceremony": begun.ceremony, "credential": begun.credential}
        finish = passkeys.FINISH_REGISTRATION
        # The person may take as long as the ceremony lives.
        seconds = FRESH_SECONDS + CEREMONY_SECONDS
        answer = self.in_session(
            who, session, finish, guarded=True, fresh_seconds=seconds, input=sent
        )
        if answer is None:
            return
        in_time = account.within(begun.at, CEREMONY_SECONDS)
        self.charged += 1
        if answer["__typename"] == "PasskeyRefused":
            assert in_time is not True
            return
        assert answer["__typename"] == "FactorAdded"
        assert in_time is not False, "a registration that is over was finished"
        who.devices.append(begun.device)
        self.take_recovery_codes(who, answer)
        account.add_passkey(Passkey(answer["factor"]["id"], begun.device), session)

    @action(
        weight=2, needs=lambda self: self.account.passkeys, which=WHICH, has_session=st.booleans()
    )
    def use_a_copy(self, which: int, has_session: bool) -> None:
        """A copy of a passkey counts from where it was made: it is noticed, and not trusted.

        Nor does the passkey step up in a session that nothing else has begun.
        """
        passkey = chosen(self.account.passkeys, which)
        [credential] = passkey.device.credentials
        if not passkey.device.counts:
            return
        has_session = has_session and self.enter_passkey(self.thief, passkey.device) == "SignedIn"
        count, credential.counter = credential.counter, 0
        outcome = self.enter_passkey(self.thief, passkey.device, is_copy=True)
        credential.counter = count
        if outcome == "PasskeyRefused" and not self.account.suspended:
            self.account.notice_copy(passkey)
        if has_session:
            self.step_up_with_passkey(self.thief, self.thief.sessions[-1], passkey.device)
