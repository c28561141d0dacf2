"""Sign-ins: a row from login until it ends; tokens are derived from it, never stored."""

import uuid
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class Session(Base):
    __tablename__ = "sessions"
    __table_args__ = (Index("ix_sessions_user_id_id", "user_id", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # Half of what a refresh token is derived from; the other half is SECRET_KEY.
    token_salt: Mapped[bytes]
    generation: Mapped[int] = mapped_column(server_default=text("0"))
    rotated_at: Mapped[datetime]
    used_generation: Mapped[int] = mapped_column(server_default=text("-1"))
    user_agent: Mapped[str | None]
    ip_address: Mapped[str | None]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ends_by: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]


class SessionRow(NamedTuple):
    """What may be shown of a session, and what deciding about it takes."""

    id: uuid.UUID
    user_id: uuid.UUID
    token_salt: bytes
    generation: int
    used_generation: int
    user_agent: str | None
    ip_address: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ends_by: datetime

    def is_alive(self, now: datetime) -> bool:
        """Of a session that nobody has ended: whether its time has not run out."""
        return self.expires_at > now and self.ends_by > now
