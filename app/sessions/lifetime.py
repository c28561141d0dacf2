"""When a session is over: in SQL for its columns, and in Python for a row that was read.

A session can be ended. Otherwise it expires if it is not refreshed, and in any case when it reaches
the maximum age of a session.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func


class Lifetime(NamedTuple):
    """The times that decide whether a session is active. `SqlLifetime` has the same rules."""

    ended_at: datetime | None
    # Each refresh moves it.
    expires_at: datetime
    ends_by: datetime

    @property
    def effective_expiry(self) -> datetime:
        return min(self.expires_at, self.ends_by)

    @property
    def over_at(self) -> datetime:
        """When the session was over, or will be."""
        return self.effective_expiry if self.ended_at is None else self.ended_at

    def is_active(self, now: datetime) -> bool:
        return self.ended_at is None and self.effective_expiry > now


class SqlLifetime(NamedTuple):
    """`Lifetime` for columns, in SQL statements."""

    ended_at: ColumnElement[Any]
    expires_at: ColumnElement[datetime]
    ends_by: ColumnElement[datetime]

    @property
    def effective_expiry(self) -> ColumnElement[datetime]:
        return func.least(self.expires_at, self.ends_by)

    @property
    def over_at(self) -> ColumnElement[datetime]:
        return func.coalesce(self.ended_at, self.effective_expiry)

    def is_active(self, now: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
        return self.ended_at.is_(None) & (self.effective_expiry > now)
