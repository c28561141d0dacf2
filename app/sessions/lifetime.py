"""When a session is over: in SQL for its columns, and in Python for what was read of it.

It ends when somebody ends it. It lapses by itself if it is not refreshed, and at last when it has
lasted as long as a session may.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func


class Lifetime(NamedTuple):
    """What decides it, of one session. `SqlLifetime` says the same."""

    ended_at: datetime | None
    # Unless it is refreshed before.
    expires_at: datetime
    ends_by: datetime

    @property
    def effective_expiry(self) -> datetime:
        return min(self.expires_at, self.ends_by)

    @property
    def over_at(self) -> datetime:
        """When it was over, or will be."""
        return self.effective_expiry if self.ended_at is None else self.ended_at

    def is_active(self, now: datetime) -> bool:
        return self.ended_at is None and self.effective_expiry > now


class SqlLifetime(NamedTuple):
    """The same of columns, for statements."""

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
