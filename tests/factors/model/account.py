"""What an account should be after each action: the rules that the model test compares with."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app.testing.clock import FakeClock
from tests.support.authenticator import Authenticator
from tests.support.passkeys import SoftwareAuthenticator

FRESH_SECONDS = 600
CHALLENGE_SECONDS = 600
ENROLLMENT_SECONDS = 900
CEREMONY_SECONDS = 300
# The server reads the clock some time before or after the model does.
BLUR_SECONDS = 5
LOCKING_FAILURES = 100
WRONG_CODES_OF_SESSION = 10
# For which an answer that has proved a session may be sent again.
REPEATED_SECONDS = 30


@dataclass(eq=False)
class Pending:
    """A secret that was shown and has yet to be confirmed."""

    app: Authenticator
    at: float
    is_over: bool = False


@dataclass(eq=False)
class Registration:
    """A passkey that an authenticator has made, and that the server does not know yet."""

    ceremony: str
    credential: dict[str, Any]
    device: SoftwareAuthenticator
    at: float


@dataclass(eq=False)
class Session:
    """A session, and the tokens that everybody who has them shares."""

    id: str
    access_token: str
    refresh_token: str
    proved_at: float
    refreshed_at: float
    is_over: bool = False
    must_step_up: bool = False
    pending: Pending | None = None
    # Whether nothing but a passkey was proved in it.
    is_of_passkey: bool = False
    # In a row, in this session.
    wrong_codes: int = 0
    # The answers that have proved it, and when.
    proofs: list[tuple[dict[str, Any], float]] = field(
        default_factory=list[tuple[dict[str, Any], float]]
    )

    def count_wrong_code(self) -> None:
        """The tenth ends the session, and locks nothing else."""
        self.wrong_codes += 1
        self.is_over = self.is_over or self.wrong_codes >= WRONG_CODES_OF_SESSION


@dataclass(eq=False)
class Challenge:
    token: str
    at: float
    # Whether the first factor was the password.
    has_password: bool
    is_over: bool = False


@dataclass(eq=False)
class Totp:
    """An app that is a factor."""

    id: str
    app: Authenticator


@dataclass(eq=False)
class Passkey:
    """An authenticator with one passkey that is a factor."""

    id: str
    device: SoftwareAuthenticator
    # Whether it signs in only together with the password.
    needs_password: bool = False


@dataclass
class Account:
    """The account. Methods are the changes that end something."""

    clock: FakeClock
    email: str
    password: str | None
    verified: bool = False
    suspended: bool = False
    totp: Totp | None = None
    passkeys: list[Passkey] = field(default_factory=list[Passkey])
    recovery_codes: set[str] = field(default_factory=set[str])
    # How often a first factor was added.
    first_factors: int = 0
    sessions: list[Session] = field(default_factory=list[Session])
    challenges: list[Challenge] = field(default_factory=list[Challenge])
    # In a row, since the last success that resets them.
    wrong_codes: int = 0
    wrong_passwords: int = 0

    @property
    def now(self) -> float:
        return self.clock().timestamp()

    def within(self, since: float, seconds: float) -> bool | None:
        """Whether a time has not passed yet; None if the model cannot know."""
        left = since + seconds - self.now
        return None if abs(left) < BLUR_SECONDS else left > 0

    def is_fresh(self, session: Session, seconds: float) -> bool | None:
        return not session.must_step_up and self.within(session.proved_at, seconds)

    @property
    def factors(self) -> list[Totp | Passkey]:
        return [*([self.totp] if self.totp else []), *self.passkeys]

    @property
    def step_up_methods(self) -> list[str]:
        methods = ["PASSKEY"] * bool(self.passkeys) + ["TOTP"] * bool(self.totp)
        return methods or ["PASSWORD"] * bool(self.password)

    def passkey_of(self, device: SoftwareAuthenticator) -> Passkey | None:
        return next((each for each in self.passkeys if each.device is device), None)

    def can_lose(self, factor: Totp | Passkey) -> bool:
        """Whether the user can sign in without it."""
        others = [each for each in self.passkeys if each is not factor and not each.needs_password]
        return isinstance(factor, Totp) or bool(self.password or others)

    def end_sessions(self, spared: Iterable[Session] = ()) -> None:
        for session in self.sessions:
            session.is_over = session.is_over or session not in spared

    def end_challenges(self) -> None:
        for challenge in self.challenges:
            challenge.is_over = True

    def end_freshness(self, current: Session | None) -> None:
        """Also of secrets that a session has begun to enroll while it was fresh."""
        for session in self.sessions:
            if session is not current:
                session.must_step_up = True
                if session.pending:
                    session.pending.is_over = True

    def prove(self, session: Session) -> None:
        session.proved_at, session.must_step_up = self.now, False
        session.wrong_codes = 0

    def add_totp(self, totp: Totp, session: Session) -> None:
        self._add_factor(session)
        self.totp, self.wrong_codes = totp, 0
        session.is_of_passkey = False
        for each in self.sessions:
            each.pending = None

    def add_passkey(self, passkey: Passkey, session: Session) -> None:
        self._add_factor(session)
        self.passkeys.append(passkey)

    def _add_factor(self, session: Session) -> None:
        self.prove(session)
        if not self.factors:
            self.first_factors += 1
            self.end_challenges()
            self.end_freshness(session)

    def remove_factor(self, factor: Totp | Passkey, session: Session) -> None:
        self.end_freshness(session)
        if isinstance(factor, Totp):
            self.totp = None
        else:
            self.passkeys.remove(factor)
        if not self.factors:
            self.recovery_codes = set()
        self.end_challenges()

    def reset_factors(self) -> None:
        """By an administrator: nothing happens if there is none."""
        if self.factors:
            self.totp, self.passkeys, self.recovery_codes = None, [], set()
            self.end_challenges()
            self.end_sessions()

    def change_password(self, new: str, session: Session, *, keep: bool) -> None:
        self.password, self.wrong_passwords = new, 0
        self.end_challenges()
        self.end_freshness(session)
        self.end_sessions(self.sessions if keep else (session,))

    def reset_password(self, new: str) -> None:
        self.password, self.verified, self.wrong_passwords = new, True, 0
        self.distrust_passkeys()
        self.end_challenges()
        self.end_sessions()

    def verify(self, *, in_session: bool) -> None:
        if not self.verified and not in_session:
            self.password = None
            self.end_sessions()
        self.verified = True
        self.end_challenges()

    def change_email(self, email: str) -> None:
        self.email, self.verified = email, True
        self.end_challenges()

    def undo_email_change(self, email: str) -> None:
        self.change_email(email)
        self.password, self.wrong_passwords = None, 0
        self.distrust_passkeys()
        self.end_sessions()

    def notice_copy(self, passkey: Passkey) -> None:
        if not passkey.needs_password:
            passkey.needs_password = True
            self.end_freshness(None)

    def distrust_passkeys(self) -> None:
        """Whoever had the account may have registered one."""
        for passkey in self.passkeys:
            passkey.needs_password = True

    def suspend(self) -> None:
        self.suspended = True
        self.sign_out()

    def sign_out(self) -> None:
        """By an administrator."""
        self.end_challenges()
        self.end_sessions()
