"""What somebody does with the links in emails."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from app.jobs.services.worker import Worker
from tests.factors.model import actors
from tests.factors.model.account import LOCKING_FAILURES, Session
from tests.factors.model.actions import WHICH, WHO, action, chosen
from tests.factors.model.actors import Actor, Kind, Link, links_in
from tests.factors.model.passkeys import Passkeys


class Emails(Passkeys):
    """Each link does what it says once, and only until something else has ended it."""

    def read_emails(self) -> None:
        """Let the worker send what is waiting, and collect the links."""
        worker = replace(self.app.state.portico.services[Worker], delays=[timedelta(0)] * 3)
        self.run(worker.drain())
        self.links += links_in(self.outbox.messages, self.account.first_factors)
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

    @action(weight=2, needs=lambda self: self.thief.sessions)
    def take_the_account_over(self) -> None:
        """The thief leaves a passkey behind, and takes the address to their own mailbox."""
        self.register_a_passkey(owner=False, which=0, confirmed=True)
        self.change_the_address(owner=False, which=0, to_own=True, followed=True)

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
            assert link.first_factors == account.first_factors, "requested without the factor"
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
        assert not self.account.factors, "a session without the factor"
        found = [each for each in self.account.sessions if each.id == answer["session"]["id"]]
        assert [each.is_over for each in found] == [False]
