"""Finding people: one by one for those who may see them, page by page for administrators."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    TIMESTAMP,
    ColumnElement,
    Text,
    bindparam,
    func,
    literal_column,
    select,
)

from app.database.database import Database, Query
from app.database.keyset_pages import Keyset, Page, PageRequest, PageShape, page_of
from app.database.replica import Replica
from app.sessions.models import LIFETIME, Session
from app.users.models import Role, User, UserRow
from app.users.services.inputs import known_form
from app.users.services.rows import USER_COLUMNS, is_active, user_part
from app.users.services.viewer import Admin, Operator, Viewer


class UserOrderField(Enum):
    """By which column; in lower case it is its name."""

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
    external_id: str | None = None


ALL_COLUMNS = frozenset(UserRow._fields)
# Those who never signed in come before everybody who did: an order has no place for null.
NEVER = literal_column("'-infinity'::timestamptz", TIMESTAMP(timezone=True))
ORDERED_BY: dict[UserOrderField, ColumnElement[Any]] = {
    UserOrderField.CREATED_AT: User.created_at.expression,
    UserOrderField.LAST_LOGIN_AT: func.coalesce(User.last_login_at, NEVER),
    UserOrderField.EMAIL: User.email.expression,
}
POSITIONS: dict[UserOrderField, Callable[[UserRow], Any]] = {
    field: attrgetter(field.value.lower()) for field in UserOrderField
}


class Parts(NamedTuple):
    """What of a filter its statement hangs on; the rest are parameters.

    Where there are few values they stand in the statement: a plan for any role could not use the
    index of administrators, and would take the few for as many as the many.
    """

    search: bool
    role: Role | None
    is_active: bool | None
    email_verified: bool | None
    created_from: bool
    created_before: bool
    external_id: bool

    @property
    def plan_depends_on_values(self) -> bool:
        """Whether the way to the few is another than to the many, and the values tell which.

        After some searches that find nobody by trigrams, such as for two letters, one plan for all
        of them would look cheaper to the database, and everybody would be read each time.
        """
        return self.search or self.created_from or self.created_before


class Overview(NamedTuple):
    """A user, and what an operator has to know to help them."""

    user: UserRow
    has_password: bool
    living_sessions: int


class PageQuery(NamedTuple):
    """The statement of a page, and what makes a row of each that it finds."""

    query: Query
    make: Callable[[Iterable[Any]], UserRow]


@dataclass(frozen=True, slots=True)
class Users:
    db: Database
    replica: Replica
    clock: Callable[[], datetime]

    async def page(
        self,
        _admin: Admin,
        found: UserFilter,
        order: UserOrder,
        request: PageRequest,
        *,
        columns: frozenset[str] = ALL_COLUMNS,
    ) -> Page[UserRow]:
        """Read a page, of each row these columns alone, its id, and what it is ordered by."""
        query, make = page_query(found, order, request.shape, columns)
        rows = await self.replica.fetch(query, **request.values, **self.values(found))
        return page_of(list(map(make, rows)), request)

    async def count(self, _admin: Admin, found: UserFilter) -> int:
        """Count everybody who matches, on every page. Costs a scan: ask only when it is shown."""
        rows = await self.replica.fetch(_count_query(_parts(found)), **self.values(found))
        return rows[0][0]

    async def by_id(self, viewer: Viewer, user_id: uuid.UUID) -> UserRow | None:
        """Members see themselves; of anybody else they do not even learn that there is one."""
        if user_id == viewer.user.id:
            return viewer.user
        return await self._one(viewer, User.id == user_id)

    async def by_email(self, viewer: Viewer, email: str) -> UserRow | None:
        """As `by_id`, by an address in any spelling."""
        address = known_form(email)
        if address == viewer.user.email:
            return viewer.user
        return await self._one(viewer, User.email == address) if address else None

    async def overview(self, _operator: Operator, named: uuid.UUID | str) -> Overview | None:
        """Find a user for an operator, by their id or by an address in any spelling."""
        user, session = User, Session
        is_id = isinstance(named, uuid.UUID)
        condition = user.id == named if is_id else user.email == (known_form(named) or "")
        alive = LIFETIME.is_alive(self.clock())
        living = select(func.count()).where(session.user_id == user.id, alive).scalar_subquery()
        found = select(*USER_COLUMNS, user.password_hash.is_not(None), living).where(condition)
        rows = await self.db.rows(found)
        if not rows:
            return None
        *columns, has_password, living_sessions = rows[0]
        return Overview(UserRow._make(columns), has_password, living_sessions)

    async def _one(self, viewer: Viewer, condition: ColumnElement[bool]) -> UserRow | None:
        if not viewer.is_admin:
            return None
        rows = await self.db.rows(select(*USER_COLUMNS).where(condition))
        return UserRow._make(rows[0]) if rows else None

    def values(self, found: UserFilter) -> dict[str, Any]:
        """Give the parameters of the statements that a filter leads to."""
        return {
            "search": None if found.search is None else f"%{_literal(found.search)}%",
            "now": self.clock(),
            "created_from": found.created_from,
            "created_before": found.created_before,
            "external_id": found.external_id,
        }


def page_query(
    found: UserFilter, order: UserOrder, shape: PageShape, columns: frozenset[str]
) -> PageQuery:
    """Give the statement of a page, compiled once for all that differ in their values alone."""
    return _page_query(_parts(found), order, shape, columns)


def _parts(found: UserFilter) -> Parts:
    return Parts(
        found.search is not None,
        found.role,
        found.is_active,
        found.email_verified,
        found.created_from is not None,
        found.created_before is not None,
        found.external_id is not None,
    )


@lru_cache(maxsize=1024)
def _page_query(
    parts: Parts, order: UserOrder, shape: PageShape, columns: frozenset[str]
) -> PageQuery:
    part = user_part(columns | {"id", order.field.value.lower()})
    absent = NEVER if order.field is UserOrderField.LAST_LOGIN_AT else None
    # Nobody else has the address: it needs no id behind it, and its index has none.
    row_id = None if order.field is UserOrderField.EMAIL else User.id.expression
    keyset = Keyset(ORDERED_BY[order.field], row_id, order.descending, absent)
    narrowed = select(*part.columns).where(*_conditions(parts))
    query = Query(
        keyset.select(narrowed, shape), plan_depends_on_values=parts.plan_depends_on_values
    )
    return PageQuery(query, part.make)


@lru_cache(maxsize=128)
def _count_query(parts: Parts) -> Query:
    counted = select(func.count()).select_from(User).where(*_conditions(parts))
    return Query(counted, plan_depends_on_values=parts.plan_depends_on_values)


def _conditions(parts: Parts) -> Iterator[ColumnElement[bool]]:
    user, pattern = User, bindparam("search", type_=Text)
    if parts.search:
        # As the index has it, where there is one: see the migration.
        searched = (
            user.email
            + literal_column("E'\\n'", Text)
            + func.coalesce(user.display_name, literal_column("''", Text))
        )
        yield searched.ilike(pattern, escape="/")
    if parts.role:
        yield user.role == literal_column(f"'{parts.role.value}'", Text)
    if parts.is_active is not None:
        active = is_active(bindparam("now", type_=TIMESTAMP(timezone=True)))
        yield active if parts.is_active else ~active
    if parts.email_verified is not None:
        yield user.email_verified.is_(parts.email_verified)
    if parts.created_from:
        yield user.created_at >= bindparam("created_from", type_=TIMESTAMP(timezone=True))
    if parts.created_before:
        yield user.created_at < bindparam("created_before", type_=TIMESTAMP(timezone=True))
    if parts.external_id:
        yield user.external_id == bindparam("external_id", type_=Text)


def _literal(text: str) -> str:
    """Text in which `%` and `_` mean themselves."""
    return text.replace("/", "//").replace("%", "/%").replace("_", "/_")
