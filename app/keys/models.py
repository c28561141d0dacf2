"""The keys that sign access tokens; their private halves are sealed under SECRET_KEY."""

from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base
from app.database.personal_data import NOT_ABOUT_USERS
from app.database.table_info import table_info


class SigningKey(Base):
    __tablename__ = "signing_keys"
    __table_args__ = table_info(personal_data=NOT_ABOUT_USERS)

    id: Mapped[str] = mapped_column(primary_key=True)
    public_jwk: Mapped[dict[str, Any]] = mapped_column(JSONB)
    sealed_private_key: Mapped[str]
    created_at: Mapped[datetime]
    # The fingerprint of the secret that sealed it; null in rows of the release before.
    sealed_with: Mapped[bytes | None]
    signs_from: Mapped[datetime] = mapped_column(index=True)


class SecretFingerprint(Base):
    __tablename__ = "secret_fingerprints"
    __table_args__ = table_info(personal_data=NOT_ABOUT_USERS)

    fingerprint: Mapped[bytes] = mapped_column(primary_key=True)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    # The host of the server that last announced it.
    last_seen_on: Mapped[str]
    # When a server last announced that it seals with it: it is the first secret of that server.
    last_sealed_at: Mapped[datetime | None]
    # When it replaced a leaked secret. From then on a secret is only accepted if it is announced
    # together with an accepted one.
    declared_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
