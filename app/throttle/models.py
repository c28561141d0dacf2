"""The table of budgets: the times of recent attempts, under a key that names no one."""

import uuid
from datetime import datetime

from sqlalchemy import DateTime, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base
from app.database.personal_data import NotExported
from app.database.table_info import table_info


class Budget(Base):
    __tablename__ = "budgets"
    __table_args__ = table_info(
        personal_data=NotExported(
            "keys name no one, and what was refused becomes an event of the audit"
        )
    )

    key: Mapped[bytes] = mapped_column(primary_key=True)
    spent: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)))
    over_at: Mapped[datetime] = mapped_column(index=True)
    # Refused attempts since the first refusal, until they are reported to the audit.
    refused: Mapped[int] = mapped_column(server_default=text("0"))
    refused_from: Mapped[datetime | None]
    refused_until: Mapped[datetime | None]
    name: Mapped[str | None]
    target_id: Mapped[uuid.UUID | None]
    ip_address: Mapped[str | None]
