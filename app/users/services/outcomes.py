"""Outcomes of operations on users."""

from dataclasses import dataclass

from app.users.models import UserRow


@dataclass(frozen=True, slots=True)
class UserChanged:
    user: UserRow
    # For the device that opened the link of an email.
    device_token: str | None = None
