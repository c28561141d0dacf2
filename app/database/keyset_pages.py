"""Keyset pagination: a page is found by its start, so its cost does not depend on its depth."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, bindparam, column, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app.database.page_size import DEFAULT_PAGE_SIZE

T = TypeVar("T")
Rows = Select[*tuple[Any, ...]]


class Position(NamedTuple):
    """The position of a row in an order: the value it is ordered by, and its id as tie-breaker."""

    value: Any
    id: uuid.UUID


class PageShape(NamedTuple):
    """The parts of a page request that change the SQL; the others are parameters."""

    backward: bool
    after: bool
    before: bool


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`size` rows from the start, or from the end, between two positions."""

    size: int = DEFAULT_PAGE_SIZE
    backward: bool = False
    after: Position | None = None
    before: Position | None = None

    @property
    def shape(self) -> PageShape:
        return PageShape(self.backward, self.after is not None, self.before is not None)

    @property
    def values(self) -> dict[str, Any]:
        """The parameters of the statement of `Keyset.select`."""
        after, before = self.after, self.before
        return {
            # One more row shows whether there is another page.
            "rows": self.size + 1,
            "after_value": after and after.value,
            "after_id": after and after.id,
            "before_value": before and before.value,
            "before_id": before and before.id,
        }


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    rows: Sequence[T]
    has_next: bool
    has_previous: bool


def page_of(rows: Sequence[T], request: PageRequest) -> Page[T]:
    """Returns the page of the rows that were found, in order."""
    more = len(rows) > request.size
    kept = rows[: request.size]
    if request.backward:
        return Page(kept[::-1], has_next=request.before is not None, has_previous=more)
    return Page(kept, has_next=more, has_previous=request.after is not None)


def pages_of(
    owners: Sequence[uuid.UUID],
    rows: Iterable[Sequence[Any]],
    make: Callable[[Sequence[Any]], T],
    request: PageRequest,
) -> dict[uuid.UUID, Page[T]]:
    """Returns the page of each owner, from the rows of `Keyset.select_each`."""
    found: dict[uuid.UUID, list[T]] = {owner: [] for owner in owners}
    for owner, *row in rows:
        found[owner].append(make(row))
    return {owner: page_of(theirs, request) for owner, theirs in found.items()}


@dataclass(frozen=True, slots=True)
class Keyset:
    """A total order: by one expression, then by id, both in the same direction.

    Without an expression, by id alone; without an id, by the expression alone, which is unique.
    """

    value: ColumnElement[Any] | None
    id: ColumnElement[uuid.UUID] | None
    descending: bool = False
    # The value that stands for null, if `value` maps null to one.
    absent: ColumnElement[Any] | None = None

    def select(self, statement: Rows, shape: PageShape) -> Rows:
        """Returns the statement limited to a page; its parameters are `PageRequest.values`."""
        if shape.after:
            statement = statement.where(self._condition("after", forward=True))
        if shape.before:
            statement = statement.where(self._condition("before", forward=False))
        return statement.order_by(*self._order(shape)).limit(bindparam("rows"))

    def select_each(
        self, statement: Rows, shape: PageShape, owner: ColumnElement[uuid.UUID]
    ) -> Rows:
        """Returns the statement for a page of each owner in the parameter `owners`.

        `owner` is the column with the id of the owner. Rows begin with that id, and those of a page
        are in order. Each page is read like a single one, from an index that begins with the owner.
        """
        ids = bindparam("owners", type_=ARRAY(UUID))
        owners = func.unnest(ids).table_valued(column("id", UUID), name="owners").render_derived()
        place = func.row_number().over(order_by=self._order(shape)).label("place")
        theirs = statement.where(owner == owners.c.id).add_columns(place)
        page = self.select(theirs, shape).lateral("page")
        *columns, page_place = page.columns
        found = select(owners.c.id, *columns).select_from(owners.join(page, true()))
        return found.order_by(page_place)

    def _order(self, shape: PageShape) -> list[ColumnElement[Any]]:
        descending = self.descending != shape.backward
        parts = [part for part in (self.value, self.id) if part is not None]
        return [part.desc() if descending else part.asc() for part in parts]

    def _condition(self, name: str, *, forward: bool) -> ColumnElement[bool]:
        row_position: Any = tuple_(*(part for part in (self.value, self.id) if part is not None))
        page_position: Any = tuple_(*self._position(name))
        return (
            row_position > page_position
            if forward != self.descending
            else row_position < page_position
        )

    def _position(self, name: str) -> Iterator[ColumnElement[Any]]:
        if self.value is not None:
            value: ColumnElement[Any] = bindparam(f"{name}_value", type_=self.value.type)
            yield value if self.absent is None else func.coalesce(value, self.absent)
        if self.id is not None:
            yield bindparam(f"{name}_id", type_=self.id.type)
