"""Whether a user may sign in and use their sessions."""

from dataclasses import dataclass
from datetime import datetime

from app.sessions.models import EndReason
from app.users.models import UserRow


@dataclass(frozen=True, slots=True)
class AccountPolicy:
    # Whether users must have verified their address (EMAIL_VERIFICATION=required).
    verified_only: bool

    def refusal(self, user: UserRow, now: datetime) -> EndReason | None:
        """Returns why the user may not use their sessions; None if they may."""
        if not user.is_active(now):
            return EndReason.SUSPENDED
        if self.verified_only and not user.email_verified:
            return EndReason.REVOKED
        return None
