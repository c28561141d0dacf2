"""The table of users. Their normalised email addresses are unique."""

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
    """Returns an index for each order of a list of users."""
    condition = None if where is None else text(where)
    last_login = text("coalesce(last_login_at, '-infinity'::timestamptz)")
    orders: dict[str, tuple[str | TextClause, ...]] = {
        "created_at_id": ("created_at", "id"),
        "last_login_at_id": (last_login, "id"),
        "email": ("email",),
    }
    # The address alone has the index of its unique constraint.
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
        # For filters that few users may match: without them, a page would scan many others.
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
    # Created by a registration: until the address is verified, the next registration of it may
    # replace this one. False if an administrator or an import created the account.
    open_to_registration: Mapped[bool] = mapped_column(server_default=text("false"))
    # Device tokens contain the number at their issue, and are invalid with any other.
    device_generation: Mapped[int] = mapped_column(server_default=text("0"))
    # The id of the user in the system that they were imported from. It never changes.
    external_id: Mapped[str | None]


class UserRow(NamedTuple):
    """The columns of a user that may be shown, as a tuple, which is cheap."""

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
        """Whether the user is not suspended now. A suspension may end by itself."""
        if self.suspended_at is None:
            return True
        return self.suspended_until is not None and self.suspended_until <= now
