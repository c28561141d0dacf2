"""Second factors: what a user has beside a password, and the codes for when it is lost."""

import enum
import uuid
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    Select,
    Text,
    exists,
    func,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base
from app.database.personal_data import OWNER, NotExported, PersonalColumns
from app.database.table_info import table_info

SEALED = "a secret"


class FactorKind(enum.Enum):
    """The kinds of factors. Each is an `AuthenticationMethod` of the same name."""

    TOTP = "TOTP"
    PASSKEY = "PASSKEY"


class Factor(Base):
    """A factor of any kind; what only one kind has is in a table of its own.

    So whether a user has a factor, and the removal of all of them, is one statement for all kinds.
    """

    __tablename__ = "factors"
    __table_args__ = (
        Index("ix_factors_user_id", "user_id"),
        table_info(
            personal_data=PersonalColumns(
                "factors",
                exported=("id", "kind", "created_at", "last_used_at"),
                withheld={"user_id": OWNER},
            )
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[str]
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class TotpSecret(Base):
    """The secret of a TOTP factor (RFC 6238). A user has at most one."""

    __tablename__ = "totp_secrets"
    __table_args__ = table_info(
        personal_data=NotExported("has secrets; `factors` says that they exist")
    )

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    factor_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("factors.id", ondelete="CASCADE"), unique=True
    )
    sealed_secret: Mapped[str]
    sealed_with: Mapped[bytes]
    # The time step of the last code that was accepted: no code is accepted twice.
    last_step: Mapped[int]
    # Wrong codes in a row, from unknown devices and from known ones.
    wrong_codes: Mapped[int] = mapped_column(server_default=text("0"))
    wrong_codes_of_known: Mapped[int] = mapped_column(server_default=text("0"))


class Passkey(Base):
    """A passkey (WebAuthn): its public key, and what its authenticator says of it."""

    __tablename__ = "passkeys"
    __table_args__ = (
        Index("ix_passkeys_user_id", "user_id"),
        Index("ix_passkeys_rp_id", "rp_id"),
        table_info(
            personal_data=PersonalColumns(
                "passkeys",
                exported=(
                    "factor_id",
                    "name",
                    "aaguid",
                    "is_backup_eligible",
                    "is_backed_up",
                    "transports",
                    "rp_id",
                    "needs_password",
                ),
                withheld={
                    "user_id": OWNER,
                    "credential_id": "names the passkey to authenticators",
                    "public_key": "verifies signatures",
                    "sign_count": "a number that tells copies apart",
                },
                newest_first="factor_id",
            )
        ),
    )

    factor_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("factors.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    credential_id: Mapped[bytes] = mapped_column(unique=True)
    # As COSE_Key (RFC 9052).
    public_key: Mapped[bytes]
    # That of the last signature; 0 if the authenticator does not count.
    sign_count: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str]
    # The model of the authenticator; zeros if it does not say.
    aaguid: Mapped[str]
    is_backup_eligible: Mapped[bool]
    is_backed_up: Mapped[bool]
    transports: Mapped[list[str]] = mapped_column(ARRAY(Text))
    # The domain for which it was made. It works for no other.
    rp_id: Mapped[str]
    # Whether it signs in only together with the password, until it has done so once: trust in the
    # account was lost since it was registered, and a stranger may have done that.
    needs_password: Mapped[bool] = mapped_column(server_default=text("false"))


class PasskeyUser(Base):
    """The user handle: what authenticators store for a user. Neither an id nor an address."""

    __tablename__ = "passkey_users"
    __table_args__ = table_info(
        personal_data=PersonalColumns(
            "passkeyUsers",
            exported=("created_at",),
            withheld={"user_id": OWNER, "handle": "names the user to authenticators"},
            newest_first="created_at",
        )
    )

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    handle: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class UsedCeremony(Base):
    """A ceremony of a passkey that was used, until it would expire: it works once."""

    __tablename__ = "used_ceremonies"
    __table_args__ = table_info(
        personal_data=NotExported("tells requests of the last minutes apart")
    )

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    used_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    # What it was used with, and for which session; null if it was refused. The client that repeats
    # its request gets the same session again.
    used_with: Mapped[bytes | None]
    session_id: Mapped[uuid.UUID | None]


class TotpEnrollment(Base):
    """A TOTP secret that was shown to a session and has yet to be confirmed with a code."""

    __tablename__ = "totp_enrollments"
    __table_args__ = (
        Index("ix_totp_enrollments_user_id", "user_id"),
        table_info(
            personal_data=PersonalColumns(
                "totpEnrollments",
                exported=("created_at", "expires_at"),
                withheld={
                    "session_id": "which session began it",
                    "user_id": OWNER,
                    "sealed_secret": SEALED,
                    "sealed_with": "which SECRET_KEY sealed it",
                },
                newest_first="created_at",
            )
        ),
    )

    session_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    sealed_secret: Mapped[str]
    sealed_with: Mapped[bytes]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class RecoveryCodes(Base):
    """The unused recovery codes of a user, as MACs with a key of their own.

    The key is sealed, not derived from SECRET_KEY, so that it can be sealed with another one: the
    codes, which nobody but the user has, could not be hashed again.
    """

    __tablename__ = "recovery_codes"
    __table_args__ = table_info(
        personal_data=PersonalColumns(
            "recoveryCodes",
            exported=("created_at",),
            withheld={
                "user_id": OWNER,
                "sealed_key": SEALED,
                "sealed_with": "which SECRET_KEY sealed it",
                "hashes": "derived from secrets",
            },
            newest_first="created_at",
        )
    )

    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    sealed_key: Mapped[str]
    sealed_with: Mapped[bytes]
    hashes: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary))
    created_at: Mapped[datetime]


# All that goes when factors are removed, the factors first. Secrets go with their factors.
TABLES_OF_FACTORS = (Factor, TotpEnrollment, RecoveryCodes)


class FactorRow(NamedTuple):
    """The columns of a factor that are shown."""

    id: uuid.UUID
    user_id: uuid.UUID
    kind: str
    created_at: datetime
    last_used_at: datetime | None
    # Of a passkey only.
    name: str | None = None
    is_backed_up: bool | None = None


def select_factors() -> Select[*tuple[Any, ...]]:
    """Returns the statement that reads a `FactorRow` of each factor."""
    of_all = (Factor.id, Factor.user_id, Factor.kind, Factor.created_at, Factor.last_used_at)
    passkey = Passkey
    return select(*of_all, passkey.name, passkey.is_backed_up).outerjoin(
        passkey, passkey.factor_id == Factor.id
    )


def has_factor(
    user_id: uuid.UUID | ColumnElement[uuid.UUID], kind: FactorKind | None = None
) -> ColumnElement[bool]:
    """Returns the condition that a user has a second factor of a kind; None: of any kind."""
    of_kind = true() if kind is None else Factor.kind == kind.value
    return exists().where(Factor.user_id == user_id, of_kind)


def kinds_of(user_id: uuid.UUID | ColumnElement[uuid.UUID]) -> ColumnElement[list[str]]:
    """Returns the kinds of the factors of a user, as an array; null if there are none."""
    kinds = select(func.array_agg(Factor.kind.distinct())).where(Factor.user_id == user_id)
    return kinds.scalar_subquery()
