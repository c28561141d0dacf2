"""Finding users: single ones for those who may see them, pages of them for administrators."""

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
    Select,
    Text,
    bindparam,
    func,
    literal_column,
    select,
)

from app.clock import Clock
from app.database.database import Database, Query
from app.database.keyset_pages import Keyset, Page, PageRequest, PageShape, page_of
from app.database.replica import Replica
from app.factors.models import Factor, RecoveryCodes
from app.sessions.models import LIFETIME, Session
from app.users.models import Role, User, UserRow
from app.users.services.inputs import normalised_address
from app.users.services.rows import USER_COLUMNS, is_active, user_part
from app.users.services.viewer import Admin, Operator, Viewer


class UserOrderField(Enum):
    """The column that users are ordered by: its name in upper case."""

    CREATED_AT = "CREATED_AT"
    LAST_LOGIN_AT = "LAST_LOGIN_AT"
    EMAIL = "EMAIL"


@dataclass(frozen=True, slots=True)
class UserOrder:
    field: UserOrderField = UserOrderField.CREATED_AT
    descending: bool = False


@dataclass(frozen=True, slots=True)
class UserFilter:
    """A field that is None does not filter. `created_from` is inclusive, `created_before` not."""

    search: str | None = None
    role: Role | None = None
    is_active: bool | None = None
    email_verified: bool | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    external_id: str | None = None


ALL_COLUMNS = frozenset(UserRow._fields)
# Users who never signed in are ordered before all others: keyset pages cannot order by null.
NEVER = literal_column("'-infinity'::timestamptz", TIMESTAMP(timezone=True))
ORDERED_BY: dict[UserOrderField, ColumnElement[Any]] = {
    UserOrderField.CREATED_AT: User.created_at.expression,
    UserOrderField.LAST_LOGIN_AT: func.coalesce(User.last_login_at, NEVER),
    UserOrderField.EMAIL: User.email.expression,
}
POSITIONS: dict[UserOrderField, Callable[[UserRow], Any]] = {
    field: attrgetter(field.value.lower()) for field in UserOrderField
}


class FilterShape(NamedTuple):
    """The part of a filter that its statement depends on; the rest are parameters.

    Roles and flags are literals in the statement: a plan for any role could not use the index of
    administrators, and would estimate as many of them as of members.
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
        """Whether few matches need another plan than many, which depends on the values.

        After some searches for which trigrams find nothing, such as for two letters, the database
        would prefer a generic plan, which reads all users each time.
        """
        return self.search or self.created_from or self.created_before


class Overview(NamedTuple):
    """A user, and what an operator needs to know to help them."""

    user: UserRow
    has_password: bool
    factors: int
    recovery_codes: int
    active_sessions: int


class PageQuery(NamedTuple):
    """The statement of a page, and the function that makes a row of its values."""

    query: Query
    make: Callable[[Iterable[Any]], UserRow]


@dataclass(frozen=True, slots=True)
class Users:
    db: Database
    replica: Replica
    clock: Clock

    async def page(
        self,
        _admin: Admin,
        user_filter: UserFilter,
        order: UserOrder,
        request: PageRequest,
        *,
        columns: frozenset[str] = ALL_COLUMNS,
    ) -> Page[UserRow]:
        """Returns a page. Its rows have these columns, the id, and the column of the order."""
        query, make = page_query(user_filter, order, request.shape, columns)
        rows = await self.replica.fetch(query, **request.values, **self.values(user_filter))
        return page_of(list(map(make, rows)), request)

    async def count(self, _admin: Admin, user_filter: UserFilter) -> int:
        """Count all users who match. Costs a scan: call it only if the count is shown."""
        rows = await self.replica.fetch(
            _count_query(_shape(user_filter)), **self.values(user_filter)
        )
        return rows[0][0]

    async def by_id(self, viewer: Viewer, user_id: uuid.UUID) -> UserRow | None:
        """Returns a user. Members can see themselves only, and not whether another user exists."""
        if user_id == viewer.user.id:
            return viewer.user
        return await self._one(viewer, User.id == user_id)

    async def by_email(self, viewer: Viewer, email: str) -> UserRow | None:
        """Returns a user as `by_id`, by an address in any spelling."""
        address = normalised_address(email)
        if address == viewer.user.email:
            return viewer.user
        return await self._one(viewer, User.email == address) if address else None

    async def overview(self, _operator: Operator, named: uuid.UUID | str) -> Overview | None:
        """Find a user for an operator, by their id or by an address in any spelling."""
        user, session = User, Session
        is_id = isinstance(named, uuid.UUID)
        condition = user.id == named if is_id else user.email == (normalised_address(named) or "")
        is_active_session = LIFETIME.is_active(self.clock())
        factors = select(func.count()).where(Factor.user_id == user.id)
        sessions = select(func.count()).where(session.user_id == user.id, is_active_session)
        facts = (
            user.password_hash.is_not(None),
            factors.scalar_subquery(),
            func.coalesce(_codes_left().scalar_subquery(), 0),
            sessions.scalar_subquery(),
        )
        rows = await self.db.rows(select(*USER_COLUMNS, *facts).where(condition))
        if not rows:
            return None
        columns, values = rows[0][: len(USER_COLUMNS)], rows[0][len(USER_COLUMNS) :]
        return Overview(UserRow._make(columns), *values)

    async def _one(self, viewer: Viewer, condition: ColumnElement[bool]) -> UserRow | None:
        if not viewer.is_admin:
            return None
        rows = await self.db.rows(select(*USER_COLUMNS).where(condition))
        return UserRow._make(rows[0]) if rows else None

    def values(self, user_filter: UserFilter) -> dict[str, Any]:
        """Returns the parameters of the statements of a filter."""
        return {
            "search": None if user_filter.search is None else f"%{_literal(user_filter.search)}%",
            "now": self.clock(),
            "created_from": user_filter.created_from,
            "created_before": user_filter.created_before,
            "external_id": user_filter.external_id,
        }


def _codes_left() -> Select[tuple[int]]:
    table = RecoveryCodes
    return select(func.cardinality(table.hashes)).where(table.user_id == User.id)


def page_query(
    user_filter: UserFilter, order: UserOrder, shape: PageShape, columns: frozenset[str]
) -> PageQuery:
    """Returns the statement of a page, compiled once for all filters of the same shape."""
    return _page_query(_shape(user_filter), order, shape, columns)


def _shape(user_filter: UserFilter) -> FilterShape:
    return FilterShape(
        user_filter.search is not None,
        user_filter.role,
        user_filter.is_active,
        user_filter.email_verified,
        user_filter.created_from is not None,
        user_filter.created_before is not None,
        user_filter.external_id is not None,
    )


@lru_cache(maxsize=1024)
def _page_query(
    filters: FilterShape, order: UserOrder, shape: PageShape, columns: frozenset[str]
) -> PageQuery:
    part = user_part(columns | {"id", order.field.value.lower()})
    absent = NEVER if order.field is UserOrderField.LAST_LOGIN_AT else None
    # Addresses are unique: the order needs no id, and its index has none.
    row_id = None if order.field is UserOrderField.EMAIL else User.id.expression
    keyset = Keyset(ORDERED_BY[order.field], row_id, order.descending, absent)
    narrowed = select(*part.columns).where(*_conditions(filters))
    query = Query(
        keyset.select(narrowed, shape), plan_depends_on_values=filters.plan_depends_on_values
    )
    return PageQuery(query, part.make)


@lru_cache(maxsize=128)
def _count_query(shape: FilterShape) -> Query:
    counted = select(func.count()).select_from(User).where(*_conditions(shape))
    return Query(counted, plan_depends_on_values=shape.plan_depends_on_values)


def _conditions(shape: FilterShape) -> Iterator[ColumnElement[bool]]:
    user, pattern = User, bindparam("search", type_=Text)
    if shape.search:
        # The expression of the index, if there is one: see the migration.
        searched = (
            user.email
            + literal_column("E'\\n'", Text)
            + func.coalesce(user.display_name, literal_column("''", Text))
        )
        yield searched.ilike(pattern, escape="/")
    if shape.role:
        yield user.role == literal_column(f"'{shape.role.value}'", Text)
    if shape.is_active is not None:
        active = is_active(bindparam("now", type_=TIMESTAMP(timezone=True)))
        yield active if shape.is_active else ~active
    if shape.email_verified is not None:
        yield user.email_verified.is_(shape.email_verified)
    if shape.created_from:
        yield user.created_at >= bindparam("created_from", type_=TIMESTAMP(timezone=True))
    if shape.created_before:
        yield user.created_at < bindparam("created_before", type_=TIMESTAMP(timezone=True))
    if shape.external_id:
        yield user.external_id == bindparam("external_id", type_=Text)


def _literal(text: str) -> str:
    """Escape `%` and `_` for LIKE."""
    return text.replace("/", "//").replace("%", "/%").replace("_", "/_")
