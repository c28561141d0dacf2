"""People: one row each, addressed by a normalised e-mail address that the database keeps unique."""

import enum
import uuid
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class Role(enum.Enum):
    MEMBER = "MEMBER"
    ADMIN = "ADMIN"


class User(Base):
    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('MEMBER', 'ADMIN')", name="role"),
        CheckConstraint("octet_length(email) <= 254", name="email_length"),
        Index("ix_users_created_at_id", "created_at", "id"),
        Index("ix_users_role_created_at_id", "role", "created_at", "id"),
        Index("ix_users_email_verified_created_at_id", "email_verified", "created_at", "id"),
        Index(
            "ix_users_suspended",
            "created_at",
            "id",
            postgresql_where=text("suspended_at IS NOT NULL"),
        ),
        Index(
            "ix_users_last_login_at_id",
            text("coalesce(last_login_at, '-infinity'::timestamptz)"),
            "id",
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    email_verified: Mapped[bool] = mapped_column(server_default=text("false"))
    password_hash: Mapped[str | None]
    display_name: Mapped[str | None]
    role: Mapped[str] = mapped_column(server_default=Role.MEMBER.value)
    suspended_at: Mapped[datetime | None]
    suspended_until: Mapped[datetime | None]
    suspension_reason: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]


class UserRow(NamedTuple):
    """What may be shown of a user: the row without its secret, as cheap as a tuple."""

    id: uuid.UUID
    email: str
    email_verified: bool
    display_name: str | None
    role: str
    suspended_at: datetime | None
    suspended_until: datetime | None
    suspension_reason: str | None
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None

    def is_active(self, now: datetime) -> bool:
        """A suspension with an end lifts itself."""
        if self.suspended_at is None:
            return True
        return self.suspended_until is not None and self.suspended_until <= now
