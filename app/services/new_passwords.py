"""Whether a password may be chosen: not a known one, not within reach of guessing."""

from dataclasses import dataclass

from app.security.passwords import Passwords, normalised
from app.services.breaches import Breaches
from app.services.outcomes import InputIssue, InputIssueCode

TOO_GUESSABLE = InputIssue(
    ("password",),
    InputIssueCode.PASSWORD_TOO_GUESSABLE,
    "This password is too easy to guess. Use a few unrelated words.",
)
BREACHED = InputIssue(
    ("password",),
    InputIssueCode.PASSWORD_BREACHED,
    "This password is known from a breach of another service. Use one that you use nowhere else.",
)


@dataclass(frozen=True, slots=True)
class NewPasswords:
    passwords: Passwords
    breaches: Breaches
    min_length: int
    min_guesses: int

    async def issue_with(self, password: str, email: str, name: str | None) -> InputIssue | None:
        """Judge a password that has passed the checks of its form.

        The length matters less than what attackers try first (NIST SP 800-63B 3.1.1.2), so it is
        measured by zxcvbn's estimate, to which the person's own address and name are known words,
        and looked up among those that have become public.
        """
        words = [word.casefold() for word in (email, email.partition("@")[0], name or "") if word]
        if normalised(password).casefold() in words:
            return TOO_GUESSABLE
        if await self.passwords.guesses(password, words) < self.min_guesses:
            return TOO_GUESSABLE
        return BREACHED if await self.breaches.know(normalised(password)) else None
