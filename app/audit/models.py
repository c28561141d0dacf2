"""Audit events, one for each change and each refused sign-in, and what proves them."""

import uuid
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, FetchedValue, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base
from app.database.personal_data import NOT_ABOUT_USERS, PersonalColumns
from app.database.rights import APPEND, Rights
from app.database.table_info import table_info

WRITTEN_COLUMNS = (
    "id",
    "at",
    "name",
    "actor_id",
    "target_id",
    "ip_address",
    "request_id",
    "details",
)
# Erasing an IP address is the only change that the database allows.
ERASABLE_COLUMNS = ("ip_address", "ip_salt")
# Python cannot represent all times of PostgreSQL.
VALID_TIME = "{} BETWEEN '2000-01-01 00:00:00+00' AND '9000-01-01 00:00:00+00'"
PROOF = "proves that the audit is unchanged"


class AuditEvent(Base):
    """An event; a trigger of the database appends it to a chain."""

    __tablename__ = "audit_events"
    __table_args__ = (
        Index("ix_audit_events_target_id_id", "target_id", "id"),
        Index("ix_audit_events_actor_id_id", "actor_id", "id"),
        Index("ix_audit_events_name_id", "name", "id"),
        UniqueConstraint("chain", "position", name="uq_audit_events_chain_position"),
        table_info(
            rights=Rights(
                {"SELECT": (), "INSERT": WRITTEN_COLUMNS, "UPDATE": ERASABLE_COLUMNS},
                retention={"DELETE": ()},
            ),
            personal_data=PersonalColumns(
                "events",
                exported=WRITTEN_COLUMNS,
                withheld={
                    "chain": PROOF,
                    "position": PROOF,
                    "previous_hash": PROOF,
                    "hash": PROOF,
                    "ip_salt": PROOF,
                    "ip_digest": PROOF,
                },
                owner="target_id",
            ),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    name: Mapped[str]
    # Without foreign keys: an event is kept after the users in it are deleted.
    actor_id: Mapped[uuid.UUID | None]
    target_id: Mapped[uuid.UUID | None]
    ip_address: Mapped[str | None]
    request_id: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    chain: Mapped[str] = mapped_column(server_default=FetchedValue())
    position: Mapped[int] = mapped_column(BigInteger, server_default=FetchedValue())
    previous_hash: Mapped[bytes] = mapped_column(server_default=FetchedValue())
    hash: Mapped[bytes] = mapped_column(server_default=FetchedValue())
    # The chain hashes the digest of address and salt, so that both can be erased.
    ip_salt: Mapped[bytes | None] = mapped_column(server_default=FetchedValue())
    ip_digest: Mapped[bytes | None] = mapped_column(server_default=FetchedValue())


class AuditChain(Base):
    """The end of each chain, up to where it is signed, and up to where it is trimmed."""

    __tablename__ = "audit_chains"
    __table_args__ = table_info(
        rights=Rights(
            {"SELECT": (), "UPDATE": ("signed_position",)},
            retention={"UPDATE": ("trimmed_position",)},
        ),
        personal_data=NOT_ABOUT_USERS,
    )

    chain: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[bytes]
    signed_position: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    trimmed_position: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class AuditCheckpoint(Base):
    """A signature over the ends of chains at one time."""

    __tablename__ = "audit_checkpoints"
    __table_args__ = (
        Index("ix_audit_checkpoints_heads", "heads", postgresql_using="gin"),
        table_info(rights=APPEND, personal_data=NOT_ABOUT_USERS),
    )

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    previous_hash: Mapped[bytes]
    heads: Mapped[dict[str, Any]] = mapped_column(JSONB)
    sealed_public_key: Mapped[str]
    signature: Mapped[bytes]
    # The fingerprint of the secret that sealed the public key; null in rows of the release
    # before.
    sealed_with: Mapped[bytes | None]
    # Only of the first checkpoint after a leak: a MAC under the new secret over the hash of the
    # last checkpoint before, whose sealed key the new secret does not open.
    epoch_mac: Mapped[bytes | None]


class AuditVerification(Base):
    """The result of a run of `portico audit verify`."""

    __tablename__ = "audit_verifications"
    __table_args__ = (
        CheckConstraint(VALID_TIME.format("at"), name="ck_audit_verifications_at"),
        CheckConstraint(
            VALID_TIME.format("latest_event_at"), name="ck_audit_verifications_latest_event_at"
        ),
        table_info(rights=APPEND, personal_data=NOT_ABOUT_USERS),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    valid: Mapped[bool]
    events: Mapped[int] = mapped_column(BigInteger)
    checkpoints: Mapped[int] = mapped_column(BigInteger)
    latest_event_at: Mapped[datetime | None]
    verified_by: Mapped[str] = mapped_column(server_default=text("CURRENT_USER"))
    # Under SECRET_KEY, so that a role that may insert rows cannot forge a result.
    mac: Mapped[bytes]


class AuditRow(NamedTuple):
    """The columns of an event that administrators may see."""

    id: uuid.UUID
    at: datetime
    name: str
    actor_id: uuid.UUID | None
    target_id: uuid.UUID | None
    ip_address: str | None
    request_id: str | None
    details: Any
