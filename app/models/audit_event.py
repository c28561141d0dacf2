"""What happened: one row for each change and each refused sign-in, written with it."""

import enum
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class AuditName(enum.StrEnum):
    """Noun and verb, in the past tense."""

    USER_REGISTERED = "user.registered"
    SESSION_STARTED = "session.started"
    SESSION_REFUSED = "session.refused"
    SESSION_ENDED = "session.ended"
    TOKEN_REUSED = "token.reused"  # noqa: S105 - a name
    EMAIL_VERIFIED = "email.verified"
    EMAIL_CHANGE_REQUESTED = "email.change_requested"
    EMAIL_CHANGED = "email.changed"
    PASSWORD_REFUSED = "password.refused"  # noqa: S105 - a name
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - a name
    PASSWORD_RESET = "password.reset"  # noqa: S105 - a name
    PROFILE_CHANGED = "profile.changed"
    USER_CREATED = "user.created"
    ROLE_CHANGED = "role.changed"
    USER_SUSPENDED = "user.suspended"
    USER_REINSTATED = "user.reinstated"
    USER_DELETED = "user.deleted"


class AuditEvent(Base):
    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_target_id_id", "target_id", "id"),
        Index("ix_audit_events_name_id", "name", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    name: Mapped[str]
    # Without foreign keys: an event outlives the people in it.
    actor_id: Mapped[uuid.UUID | None]
    target_id: Mapped[uuid.UUID | None]
    ip_address: Mapped[str | None]
    request_id: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
