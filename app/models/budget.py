"""Budgets: when something was tried lately, under a key that names nobody."""

from datetime import datetime

from sqlalchemy import DateTime
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base


class Budget(Base):
    __tablename__ = "budgets"

    key: Mapped[bytes] = mapped_column(primary_key=True)
    spent: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)))
    over_at: Mapped[datetime] = mapped_column(index=True)
