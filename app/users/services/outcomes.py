"""What operations on users return."""

from dataclasses import dataclass

from app.users.models import UserRow


@dataclass(frozen=True, slots=True)
class UserChanged:
    user: UserRow
    # For whoever has just opened the link of an email.
    device_token: str | None = None
