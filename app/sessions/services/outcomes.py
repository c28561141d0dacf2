"""Outcomes of signing in and refreshing."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from app.sessions.models import AuthenticationMethod, SessionRow
from app.users.models import UserRow


@dataclass(frozen=True, slots=True)
class Tokens:
    access_token: str
    access_token_expires_at: datetime
    access_token_expires_in_seconds: int
    refresh_token: str
    refresh_token_expires_at: datetime
    # After a sign-in with a password or a link; None after a refresh.
    device_token: str | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    user: UserRow
    session: SessionRow
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class ChallengeRequired:
    """The first proof was right, and the account asks for a second factor."""

    token: str
    # The factors that answer it.
    methods: tuple[AuthenticationMethod, ...]
    expires_at: datetime


class StartedSession(NamedTuple):
    """A new session with its user, and the token of the device."""

    user: UserRow
    session: SessionRow
    device_token: str | None
