"""When a session is over: in SQL for its columns, and in Python for what was read of it.

It ends when somebody ends it. It lapses by itself if it is not refreshed, and at last when it has
lasted as long as a session may.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, func


class Lifetime(NamedTuple):
    """What decides it, of one session. `InSql` says the same."""

    ended_at: datetime | None
    # Unless it is refreshed before.
    expires_at: datetime
    ends_by: datetime

    @property
    def lapses_at(self) -> datetime:
        return min(self.expires_at, self.ends_by)

    @property
    def over_at(self) -> datetime:
        """When it was over, or will be."""
        return self.lapses_at if self.ended_at is None else self.ended_at

    def is_alive(self, now: datetime) -> bool:
        return self.ended_at is None and self.lapses_at > now


class InSql(NamedTuple):
    """The same of columns, for statements."""

    ended_at: ColumnElement[Any]
    expires_at: ColumnElement[datetime]
    ends_by: ColumnElement[datetime]

    @property
    def lapses_at(self) -> ColumnElement[datetime]:
        return func.least(self.expires_at, self.ends_by)

    @property
    def over_at(self) -> ColumnElement[datetime]:
        return func.coalesce(self.ended_at, self.lapses_at)

    def is_alive(self, now: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
        return self.ended_at.is_(None) & (self.lapses_at > now)
