"""What an account should be after each action: the rules that the model test compares with."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.testing.clock import FakeClock
from tests.support.authenticator import Authenticator

FRESH_SECONDS = 600
CHALLENGE_SECONDS = 600
ENROLLMENT_SECONDS = 900
# The server reads the clock some time before or after the model does.
BLUR_SECONDS = 5
LOCKING_FAILURES = 100
WRONG_CODES_OF_SESSION = 10
# For which the code that has proved a session may be sent again.
REPEATED_SECONDS = 30


@dataclass(eq=False)
class Pending:
    """A secret that was shown and has yet to be confirmed."""

    app: Authenticator
    at: float
    is_over: bool = False


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
    # In a row, in this session.
    wrong_codes: int = 0
    # The code that proved it last, and when.
    last_code: tuple[str, float] | None = None

    def count_wrong_code(self) -> None:
        """The tenth ends the session, and locks nothing else."""
        self.wrong_codes += 1
        self.is_over = self.is_over or self.wrong_codes >= WRONG_CODES_OF_SESSION


@dataclass(eq=False)
class Challenge:
    token: str
    at: float
    is_over: bool = False


@dataclass(eq=False)
class Factor:
    id: str
    app: Authenticator
    codes: set[str]


@dataclass
class Account:
    """The account. Methods are the changes that end something."""

    clock: FakeClock
    email: str
    password: str | None
    verified: bool = False
    suspended: bool = False
    factor: Factor | None = None
    factors_added: int = 0
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

    def is_fresh(self, session: Session) -> bool | None:
        return not session.must_step_up and self.within(session.proved_at, FRESH_SECONDS)

    @property
    def step_up_methods(self) -> list[str]:
        if self.factor:
            return ["TOTP"]
        return ["PASSWORD"] if self.password else []

    def end_sessions(self, spared: Iterable[Session] = ()) -> None:
        for session in self.sessions:
            session.is_over = session.is_over or session not in spared

    def end_challenges(self) -> None:
        for challenge in self.challenges:
            challenge.is_over = True

    def end_freshness(self, current: Session) -> None:
        """Also of secrets that a session has begun to enroll while it was fresh."""
        for session in self.sessions:
            if session is not current:
                session.must_step_up = True
                if session.pending:
                    session.pending.is_over = True

    def prove(self, session: Session) -> None:
        session.proved_at, session.must_step_up = self.now, False
        session.wrong_codes = 0

    def add_factor(self, factor: Factor, session: Session) -> None:
        self.factor = factor
        self.factors_added += 1
        self.wrong_codes = 0
        self.prove(session)
        self.end_challenges()
        self.end_freshness(session)
        for each in self.sessions:
            each.pending = None

    def remove_factor(self) -> None:
        self.factor = None
        self.end_challenges()

    def reset_factors(self) -> None:
        """By an administrator: nothing happens if there is none."""
        if self.factor:
            self.factor = None
            self.end_challenges()
            self.end_sessions()

    def change_password(self, new: str, session: Session, *, keep: bool) -> None:
        self.password, self.wrong_passwords = new, 0
        self.end_challenges()
        self.end_freshness(session)
        self.end_sessions(self.sessions if keep else (session,))

    def reset_password(self, new: str) -> None:
        self.password, self.verified, self.wrong_passwords = new, True, 0
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
        self.end_sessions()

    def suspend(self) -> None:
        self.suspended = True
        self.sign_out()

    def sign_out(self) -> None:
        """By an administrator."""
        self.end_challenges()
        self.end_sessions()
