"""Outcomes of signing in and refreshing."""

from dataclasses import dataclass
from datetime import datetime

from app.sessions.models import SessionRow
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
