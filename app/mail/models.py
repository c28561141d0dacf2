"""One-time tokens, which links in emails contain; only their hashes are stored."""

import enum
import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base
from app.database.personal_data import OWNER, PersonalColumns
from app.database.table_info import table_info


class TokenPurpose(enum.Enum):
    VERIFY_EMAIL = "VERIFY_EMAIL"
    RESET_PASSWORD = "RESET_PASSWORD"  # noqa: S105 - a name
    CHANGE_EMAIL = "CHANGE_EMAIL"
    INVITATION = "INVITATION"
    UNDO_EMAIL_CHANGE = "UNDO_EMAIL_CHANGE"


class OneTimeToken(Base):
    __tablename__ = "one_time_tokens"
    __table_args__ = (
        Index("ix_one_time_tokens_user_id_purpose", "user_id", "purpose"),
        table_info(
            personal_data=PersonalColumns(
                "links",
                exported=("purpose", "email", "created_at", "expires_at", "used_at"),
                withheld={
                    "id": "names nothing outside of the table",
                    "user_id": OWNER,
                    "token_hash": "derived from a secret",
                    "password_hash": "derived from a secret",
                    "display_name": "of a registration that may be a stranger's",
                    "used_by": "a digest of address and program",
                    "session_id": "which session a used link began",
                },
            )
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    # The address that it was sent to, and that using it verifies.
    email: Mapped[str]
    # Set by a registration, and only applied by the link of that registration.
    password_hash: Mapped[str | None]
    display_name: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    # The client that used it gets the same answer again, with the session that was started.
    used_by: Mapped[bytes | None]
    session_id: Mapped[uuid.UUID | None]
