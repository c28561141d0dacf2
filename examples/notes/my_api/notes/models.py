"""Notes: a title and a body each. They are deleted with their user."""

import uuid
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base
from app.database.personal_data import OWNER, PersonalColumns
from app.database.table_info import table_info
from app.users.models import User


class Note(Base):
    __tablename__ = "notes"
    __table_args__ = (
        # Pages are read in this order.
        Index("ix_notes_user_id_created_at_id", "user_id", "created_at", "id"),
        # What is in the copy of a user's data.
        table_info(
            personal_data=PersonalColumns(
                "notes",
                exported=("id", "title", "body", "created_at", "updated_at"),
                withheld={"user_id": OWNER},
            )
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(User.id, ondelete="CASCADE"))
    title: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class NoteRow(NamedTuple):
    id: uuid.UUID
    user_id: uuid.UUID
    title: str
    body: str
    created_at: datetime
    updated_at: datetime


class NoteReminder(Base):
    """When the last weekly email of a user was enqueued."""

    __tablename__ = "note_reminders"

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(User.id, ondelete="CASCADE"), primary_key=True
    )
    enqueued_at: Mapped[datetime]
