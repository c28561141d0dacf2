"""People: one row each, addressed by a normalised email address that the database keeps unique."""

import enum
import uuid
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import CheckConstraint, Index, TextClause, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base
from app.database.personal_data import PersonalColumns
from app.database.table_info import table_info


class Role(enum.Enum):
    MEMBER = "MEMBER"
    ADMIN = "ADMIN"


def _orders(prefix: str, *first: str, where: str | None = None) -> list[Index]:
    """Indexes for each order that people are listed in."""
    condition = None if where is None else text(where)
    last_login = text("coalesce(last_login_at, '-infinity'::timestamptz)")
    orders: dict[str, tuple[str | TextClause, ...]] = {
        "created_at_id": ("created_at", "id"),
        "last_login_at_id": (last_login, "id"),
        "email": ("email",),
    }
    # An address alone has its index: it is unique.
    wanted = {name: of for name, of in orders.items() if first or where or name != "email"}
    return [
        Index(prefix + name, *first, *of, postgresql_where=condition) for name, of in wanted.items()
    ]


class User(Base):
    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('MEMBER', 'ADMIN')", name="role"),
        CheckConstraint("octet_length(email) <= 254", name="email_length"),
        *_orders("ix_users_"),
        # Of what few have, or may have: among everybody a page of them would be a long way.
        *_orders("ix_users_email_verified_", "email_verified"),
        *_orders("ix_users_admin_", where="role = 'ADMIN'"),
        *_orders("ix_users_suspended_", where="suspended_at IS NOT NULL"),
        Index(
            "ix_users_external_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        table_info(
            personal_data=PersonalColumns(
                "profile",
                exported=(
                    "id",
                    "email",
                    "email_verified",
                    "display_name",
                    "role",
                    "external_id",
                    "created_at",
                    "updated_at",
                    "last_login_at",
                    "suspended_at",
                    "suspended_until",
                    "suspension_reason",
                ),
                withheld={
                    "password_hash": "a secret: `hasPassword` says whether there is one",
                    "open_to_registration": "whether the next registration may take its place",
                    "device_generation": "a number that tells tokens apart",
                },
                owner="id",
            )
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
    # Made by a registration: until somebody shows that they read mail there, the next registration
    # of the address may take its place. Never so where an administrator or an import made it.
    open_to_registration: Mapped[bool] = mapped_column(server_default=text("false"))
    # Device tokens carry the number that stood here when they were issued; any other is not valid.
    device_generation: Mapped[int] = mapped_column(server_default=text("0"))
    # What another system calls this person; of an import, and never changed afterwards.
    external_id: Mapped[str | None]


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
    external_id: str | None

    def is_active(self, now: datetime) -> bool:
        """A suspension with an end lifts itself."""
        if self.suspended_at is None:
            return True
        return self.suspended_until is not None and self.suspended_until <= now
