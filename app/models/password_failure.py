"""Wrong passwords in a row, of each account and kind of client."""

import enum
import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class PasswordSource(enum.Enum):
    """Where a password comes from. Each has a count of its own, so none can lock out another."""

    UNKNOWN_DEVICE = "UNKNOWN_DEVICE"
    KNOWN_DEVICE = "KNOWN_DEVICE"
    SESSION = "SESSION"


class PasswordFailure(Base):
    __tablename__ = "password_failures"

    # The id of the user; for an address without an account an id derived from it.
    account: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    in_a_row: Mapped[int]
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    last_at: Mapped[datetime]


Index("ix_password_failures_user_id", PasswordFailure.user_id)
