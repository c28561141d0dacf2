"""Sessions: one row per sign-in. Refresh tokens are derived from it, never stored."""

import enum
import uuid
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ForeignKey, Index, Text, literal_column, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base
from app.database.personal_data import OWNER, PersonalColumns
from app.database.table_info import table_info
from app.sessions.lifetime import Lifetime, SqlLifetime


class EndReason(enum.Enum):
    """Why a session is over. UNKNOWN_TOKEN: there is no session with this refresh token."""

    EXPIRED = "EXPIRED"
    LOGGED_OUT = "LOGGED_OUT"
    REVOKED = "REVOKED"
    TOKEN_REUSED = "TOKEN_REUSED"  # noqa: S105 - a reason
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 - a reason
    SUSPENDED = "SUSPENDED"
    UNKNOWN_TOKEN = "UNKNOWN_TOKEN"  # noqa: S105 - a reason


class AuthenticationMethod(enum.Enum):
    """A way in which a user proves who they are."""

    PASSWORD = "PASSWORD"  # noqa: S105 - a name
    EMAIL = "EMAIL"
    TOTP = "TOTP"
    RECOVERY_CODE = "RECOVERY_CODE"
    PASSKEY = "PASSKEY"


# What proves a second factor. A passkey proves both: the user is verified by the device.
FACTOR_METHODS = frozenset(
    {
        AuthenticationMethod.TOTP,
        AuthenticationMethod.RECOVERY_CODE,
        AuthenticationMethod.PASSKEY,
    }
)
# Those that can be enrolled, the strongest first. A passkey cannot be entered on a page of others.
ENROLLED_METHODS = (AuthenticationMethod.PASSKEY, AuthenticationMethod.TOTP)

COUNTER = "a number that tells tokens apart"


class Session(Base):
    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_user_id_id", "user_id", "id"),
        table_info(
            personal_data=PersonalColumns(
                "sessions",
                exported=(
                    "id",
                    "created_at",
                    "proved_at",
                    "methods",
                    "is_passkey_synced",
                    "last_used_at",
                    "rotated_at",
                    "expires_at",
                    "ends_by",
                    "ended_at",
                    "end_reason",
                    "ip_address",
                    "user_agent",
                ),
                withheld={
                    "user_id": OWNER,
                    "token_salt": "a secret",
                    "generation": COUNTER,
                    "used_generation": COUNTER,
                    "first_generation": COUNTER,
                    "rotated_by": "a digest of address and program, which are exported",
                    "wrong_codes": "a number that limits guesses",
                    "must_step_up": "whether the next sensitive change asks for a proof again",
                },
            )
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # Half of what a refresh token is derived from; the other half is SECRET_KEY.
    token_salt: Mapped[bytes]
    generation: Mapped[int] = mapped_column(server_default=text("0"))
    rotated_at: Mapped[datetime]
    used_generation: Mapped[int] = mapped_column(server_default=text("-1"))
    # Tokens of earlier generations are invalid: the password was changed since.
    first_generation: Mapped[int] = mapped_column(server_default=text("0"))
    # A digest of the IP address and user agent of the last refresh.
    rotated_by: Mapped[bytes | None]
    user_agent: Mapped[str | None]
    ip_address: Mapped[str | None]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ends_by: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]
    # When the user last proved who they are; null: when the session began.
    proved_at: Mapped[datetime | None]
    # How, an `AuthenticationMethod` each. Servers of the release before do not say how.
    methods: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    # Whether the last passkey among them may exist on several devices; null: there is none.
    is_passkey_synced: Mapped[bool | None]
    # Whether that proof no longer suffices: the account got its first second factor since.
    must_step_up: Mapped[bool] = mapped_column(server_default=text("false"))
    # Wrong codes of a second factor in a row, in this session.
    wrong_codes: Mapped[int] = mapped_column(server_default=text("0"))


# `SessionRow.has_proved_factor`, as an SQL condition.
HAS_PROVED_FACTOR = Session.methods.overlap(
    literal_column(f"'{{{','.join(sorted(each.value for each in FACTOR_METHODS))}}}'::text[]")
)
LIFETIME = SqlLifetime(
    Session.ended_at.expression, Session.expires_at.expression, Session.ends_by.expression
)
Index("ix_sessions_over_at", LIFETIME.over_at)


class SessionRow(NamedTuple):
    """The columns of a session that are shown, and those that decide whether it is active."""

    id: uuid.UUID
    user_id: uuid.UUID
    token_salt: bytes
    generation: int
    rotated_at: datetime
    used_generation: int
    first_generation: int
    rotated_by: bytes | None
    user_agent: str | None
    ip_address: str | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ends_by: datetime
    ended_at: datetime | None
    end_reason: str | None
    proved_at: datetime | None
    methods: list[str]
    is_passkey_synced: bool | None

    @property
    def authenticated_at(self) -> datetime:
        """When the user last proved who they are. A refresh does not move it."""
        return self.proved_at or self.created_at

    @property
    def has_proved_factor(self) -> bool:
        """Whether a second factor was proved in the session."""
        return any(AuthenticationMethod(each) in FACTOR_METHODS for each in self.methods)

    @property
    def lifetime(self) -> Lifetime:
        return Lifetime(self.ended_at, self.expires_at, self.ends_by)

    def reason_of_end(self, now: datetime) -> EndReason | None:
        """Returns why the session is over; None if it is active."""
        if self.end_reason is not None:
            return EndReason(self.end_reason)
        return None if self.lifetime.is_active(now) else EndReason.EXPIRED

    @property
    def is_unused(self) -> bool:
        """Whether none of its tokens has been used since it started."""
        return self.generation == 0 and self.used_generation < 0


class PasswordSource(enum.Enum):
    """Where a password was entered. Each has its own count, so that none can lock out another."""

    UNKNOWN_DEVICE = "UNKNOWN_DEVICE"
    KNOWN_DEVICE = "KNOWN_DEVICE"
    SESSION = "SESSION"


class PasswordFailure(Base):
    __tablename__ = "password_failures"
    __table_args__ = table_info(
        personal_data=PersonalColumns(
            "passwordFailures",
            exported=("source", "in_a_row", "last_at"),
            withheld={"account": OWNER, "user_id": OWNER},
            newest_first="last_at",
        )
    )

    # The id of the user; for an address without an account, an id derived from the address.
    account: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    in_a_row: Mapped[int]
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    last_at: Mapped[datetime]


Index("ix_password_failures_user_id", PasswordFailure.user_id)


class Challenge(Base):
    """A sign-in whose first proof was right, until a second factor completes it."""

    __tablename__ = "challenges"
    __table_args__ = (
        Index("ix_challenges_user_id", "user_id"),
        table_info(
            personal_data=PersonalColumns(
                "challenges",
                exported=("methods", "created_at", "expires_at", "used_at"),
                withheld={
                    "id": "names nothing outside of the table",
                    "user_id": OWNER,
                    "token_hash": "derived from a secret",
                    "used_with": "a digest of address, program and code",
                    "session_id": "which session it began",
                },
            )
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    # What was proved before, an `AuthenticationMethod` each.
    methods: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    # The client that used it, with the same answer, gets the same session again.
    used_with: Mapped[bytes | None]
    session_id: Mapped[uuid.UUID | None]
