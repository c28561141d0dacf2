"""Random tokens that work once: of links and of challenges. They are stored as a hash."""

import re
import secrets
from dataclasses import dataclass, field

from app.security import keys

RANDOM_BYTES = 32


@dataclass(frozen=True, slots=True)
class RandomTokens:
    """Tokens of one kind: a prefix, for secret scanners to recognise, and 256 random bits."""

    prefix: str
    form: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        form = re.compile(rf"{self.prefix}[A-Za-z0-9_-]{{43}}", re.ASCII)
        object.__setattr__(self, "form", form)

    def make(self) -> str:
        """Returns a new token. It cannot be guessed, so a fast hash of it is stored."""
        return self.prefix + secrets.token_urlsafe(RANDOM_BYTES)

    def digest(self, token: str) -> bytes | None:
        """Returns the hash that is stored for a token; None if the text is not a token."""
        return keys.digest(token) if self.form.fullmatch(token) else None


LINK_TOKENS = RandomTokens("pot_")
CHALLENGE_TOKENS = RandomTokens("pct_")
