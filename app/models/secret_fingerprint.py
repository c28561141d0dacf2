"""The secrets that servers have or had, by fingerprints: nothing can be opened with one."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class SecretFingerprint(Base):
    __tablename__ = "secret_fingerprints"

    fingerprint: Mapped[bytes] = mapped_column(primary_key=True)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    # The host of the server that announced it last.
    last_seen_on: Mapped[str]
    # When a server last sealed with it: for that server it is the first of its secrets.
    last_sealed_at: Mapped[datetime | None]
    # When it took the place of secrets that leaked. Once there is such a secret, no other is
    # accepted but those that come with one that is.
    declared_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
