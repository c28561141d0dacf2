"""Reading a `UserRow` from the database."""

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
# The condition of an unconfirmed registration: a stranger may have made it with this address.
UNCONFIRMED = and_(
    User.open_to_registration,
    User.email_verified.is_(False),
    User.last_login_at.is_(None),
)


class UserPart(NamedTuple):
    """Some columns of a user, and a function that makes a row of their values.

    Reading another column from such a row raises an AttributeError.
    """

    columns: Columns
    make: Callable[[Iterable[Any]], UserRow]


@lru_cache(maxsize=512)
def user_part(names: frozenset[str]) -> UserPart:
    """Returns the `UserPart` of the columns with these names."""
    kept = [name for name in UserRow._fields if name in names]
    # Its fields are known at run time only, so their types cannot be checked.
    plain: Any = cast("Any", namedtuple)("UserRow", kept)  # noqa: PYI024 - see above
    methods = {"__slots__": (), "is_active": UserRow.is_active}
    row: Any = type("UserRow", (plain,), methods)
    columns = tuple(getattr(User, name) for name in kept)
    # As `_make`, without a Python frame per row.
    make: Any = cast("Any", tuple).__new__
    return UserPart(columns, partial(make, row))


def is_active(now: object) -> ColumnElement[bool]:
    """Returns `UserRow.is_active` as an SQL condition."""
    return or_(
        User.suspended_at.is_(None),
        and_(User.suspended_until.is_not(None), User.suspended_until <= now),
    )


async def locked_user(session: AsyncSession, *where: ColumnElement[bool]) -> UserRow | None:
    """Read and lock one user until the transaction ends; None if there is none.

    Lock the user before any other row of theirs, to avoid deadlocks.
    """
    found = select(*USER_COLUMNS).where(*where).with_for_update()
    row = (await session.execute(found)).one_or_none()
    return UserRow._make(row) if row else None


async def changed_user(session: AsyncSession, change: Insert | Update) -> UserRow | None:
    """Make a change and return the row after it; None if no row was changed."""
    row = await changed_row(session, change, USER_COLUMNS)
    return UserRow._make(row) if row else None
