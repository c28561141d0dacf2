"""The keys that sign access tokens; their private halves are sealed under SECRET_KEY."""

from datetime import datetime
from typing import Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class SigningKey(Base):
    __tablename__ = "signing_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    public_jwk: Mapped[dict[str, Any]] = mapped_column(JSONB)
    sealed_private_key: Mapped[str]
    created_at: Mapped[datetime]
    # The fingerprint of the secret that sealed it; none of keys of the release before.
    sealed_with: Mapped[bytes | None]
    signs_from: Mapped[datetime] = mapped_column(index=True)
