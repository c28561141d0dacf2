"""Finding people: one by one for those who may see them, page by page for administrators."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import TIMESTAMP, ColumnElement, Select, func, literal_column, or_, select

from app import models
from app.db import Database
from app.models import Role, UserRow
from app.security.viewer import Admin, Viewer
from app.services.inputs import known_form
from app.services.pages import Keyset, Page, PageRequest, Position
from app.services.rows import USER_COLUMNS, is_active


class UserOrderField(Enum):
    CREATED_AT = "CREATED_AT"
    LAST_LOGIN_AT = "LAST_LOGIN_AT"
    EMAIL = "EMAIL"


@dataclass(frozen=True, slots=True)
class UserOrder:
    field: UserOrderField = UserOrderField.CREATED_AT
    descending: bool = False


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Each part narrows, None does not. `created_from` is included, `created_before` is not."""

    search: str | None = None
    role: Role | None = None
    is_active: bool | None = None
    email_verified: bool | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


Rows = Select[*tuple[Any, ...]]

# Those who never signed in come before everybody who did: an order has no place for null.
NEVER = literal_column("'-infinity'::timestamptz", TIMESTAMP(timezone=True))
LAST_LOGIN: ColumnElement[Any] = func.coalesce(models.User.last_login_at, NEVER)
ORDERED_BY: dict[UserOrderField, ColumnElement[Any]] = {
    UserOrderField.CREATED_AT: models.User.created_at.expression,
    UserOrderField.LAST_LOGIN_AT: LAST_LOGIN,
    UserOrderField.EMAIL: models.User.email.expression,
}


@dataclass(frozen=True, slots=True)
class Users:
    db: Database
    clock: Callable[[], datetime]

    async def page(
        self, _admin: Admin, found: UserFilter, order: UserOrder, request: PageRequest
    ) -> Page[UserRow]:
        keyset = Keyset(
            ORDERED_BY[order.field], models.User.id.expression, order.descending, absent=NEVER
        )
        statement = keyset.select(self._matching(select(*USER_COLUMNS), found), request)
        rows = [UserRow._make(row) for row in await self.db.rows(statement)]
        return keyset.page(rows, request)

    async def count(self, _admin: Admin, found: UserFilter) -> int:
        """Count everybody who matches, on every page. Costs a scan: ask only when it is shown."""
        statement = self._matching(select(func.count()).select_from(models.User), found)
        return (await self.db.rows(statement))[0][0]

    async def by_id(self, viewer: Viewer, user_id: uuid.UUID) -> UserRow | None:
        """Members see themselves; of anybody else they do not even learn that there is one."""
        if user_id == viewer.user.id:
            return viewer.user
        return await self._one(viewer, models.User.id == user_id)

    async def by_email(self, viewer: Viewer, email: str) -> UserRow | None:
        """As `by_id`, by an address in any spelling."""
        address = known_form(email)
        if address == viewer.user.email:
            return viewer.user
        return await self._one(viewer, models.User.email == address) if address else None

    async def _one(self, viewer: Viewer, condition: ColumnElement[bool]) -> UserRow | None:
        if not viewer.is_admin:
            return None
        rows = await self.db.rows(select(*USER_COLUMNS).where(condition))
        return UserRow._make(rows[0]) if rows else None

    def _matching(self, statement: Rows, found: UserFilter) -> Rows:
        return statement.where(*self._conditions(found))

    def _conditions(self, found: UserFilter) -> Iterator[ColumnElement[bool]]:
        user = models.User
        if found.search is not None:
            yield _mentions(found.search)
        if found.role is not None:
            yield user.role == found.role.value
        if found.is_active is not None:
            active = is_active(self.clock())
            yield active if found.is_active else ~active
        if found.email_verified is not None:
            yield user.email_verified.is_(found.email_verified)
        if found.created_from is not None:
            yield user.created_at >= found.created_from
        if found.created_before is not None:
            yield user.created_at < found.created_before


def position_of(user: UserRow, order: UserOrderField) -> Position:
    """Where a row stands in an order."""
    values = {
        UserOrderField.CREATED_AT: user.created_at,
        UserOrderField.LAST_LOGIN_AT: user.last_login_at,
        UserOrderField.EMAIL: user.email,
    }
    return Position(values[order], user.id)


def _mentions(text: str) -> ColumnElement[bool]:
    """Whether address or name contain the text as it stands: `%` and `_` mean themselves."""
    user = models.User
    return or_(
        user.email.icontains(text, autoescape=True),
        user.display_name.icontains(text, autoescape=True),
    )
