"""What operations on users return."""

from dataclasses import dataclass

from app.users.models import UserRow


@dataclass(frozen=True, slots=True)
class UserChanged:
    user: UserRow
    # For whoever has just read a letter.
    device_token: str | None = None
