"""How a `UserRow` is read out of the database."""

from collections import namedtuple
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Update, and_, or_, select
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.rows import Columns, changed_row
from app.users.models import User, UserRow

USER_COLUMNS: Columns = tuple(getattr(User, name) for name in UserRow._fields)
# A registration that no one has confirmed, perhaps made in the name of somebody else.
UNCONFIRMED = and_(
    User.open_to_registration,
    User.email_verified.is_(False),
    User.last_login_at.is_(None),
)


class UserPart(NamedTuple):
    """Some columns of a user, and how they become a row that has these alone.

    What was not read is not there: asking such a row for it is an AttributeError.
    """

    columns: Columns
    make: Callable[[Iterable[Any]], UserRow]


@lru_cache(maxsize=512)
def user_part(names: frozenset[str]) -> UserPart:
    """Of the columns of these names."""
    kept = [name for name in UserRow._fields if name in names]
    # Its fields are known here alone, so nothing can check their types.
    plain: Any = cast("Any", namedtuple)("UserRow", kept)  # noqa: PYI024 - see above
    methods = {"__slots__": (), "is_active": UserRow.is_active}
    row: Any = type("UserRow", (plain,), methods)
    columns = tuple(getattr(User, name) for name in kept)
    # What `_make` does, without a frame for each row.
    make: Any = cast("Any", tuple).__new__
    return UserPart(columns, partial(make, row))


def is_active(now: object) -> ColumnElement[bool]:
    """The same as `UserRow.is_active`, for the database to decide."""
    return or_(
        User.suspended_at.is_(None),
        and_(User.suspended_until.is_not(None), User.suspended_until <= now),
    )


async def locked_user(session: AsyncSession, *where: ColumnElement[bool]) -> UserRow | None:
    """Give one person as they are now, and keep them so until the transaction ends.

    Whatever else belongs to them is touched afterwards, so that nobody waits in a circle.
    """
    found = select(*USER_COLUMNS).where(*where).with_for_update()
    row = (await session.execute(found)).one_or_none()
    return UserRow._make(row) if row else None


async def changed_user(session: AsyncSession, change: Insert | Update) -> UserRow | None:
    """Make a change and give the row as it is now; None where there was nothing to change."""
    row = await changed_row(session, change, USER_COLUMNS)
    return UserRow._make(row) if row else None
