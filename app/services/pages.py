"""Keyset paging: a page is found by where it starts, so its cost does not grow with its depth."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, literal, tuple_

DEFAULT_PAGE = 50
MAX_PAGE = 100

T = TypeVar("T")
Rows = Select[*tuple[Any, ...]]


class Position(NamedTuple):
    """A place between rows: what the row is ordered by, and its id, which makes it the only one."""

    value: Any
    id: uuid.UUID


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`size` rows from the front, or from the back, between two positions."""

    size: int = DEFAULT_PAGE
    backward: bool = False
    after: Position | None = None
    before: Position | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    rows: Sequence[T]
    has_next: bool
    has_previous: bool


@dataclass(frozen=True, slots=True)
class Keyset:
    """A total order: by one expression, then by id, both in the same direction."""

    value: ColumnElement[Any]
    id: ColumnElement[uuid.UUID]
    descending: bool = False
    # What a row without a value counts as, where `value` maps null to it.
    absent: ColumnElement[Any] | None = None

    def select(self, statement: Rows, request: PageRequest) -> Rows:
        """Narrow a statement to the page and one row more, which tells whether there is another."""
        if request.after is not None:
            statement = statement.where(self._beyond(request.after, forward=True))
        if request.before is not None:
            statement = statement.where(self._beyond(request.before, forward=False))
        falling = self.descending != request.backward
        order = [part.desc() if falling else part.asc() for part in (self.value, self.id)]
        return statement.order_by(*order).limit(request.size + 1)

    def page(self, rows: Sequence[T], request: PageRequest) -> Page[T]:
        """Put what `select` found in order and say what lies beyond."""
        more = len(rows) > request.size
        kept = rows[: request.size]
        if request.backward:
            return Page(kept[::-1], has_next=request.before is not None, has_previous=more)
        return Page(kept, has_next=more, has_previous=request.after is not None)

    def _beyond(self, position: Position, *, forward: bool) -> ColumnElement[bool]:
        here = tuple_(self.value, self.id)
        value = literal(position.value, self.value.type)
        if position.value is None and self.absent is not None:
            value = self.absent
        there = tuple_(value, literal(position.id, self.id.type))
        return here > there if forward != self.descending else here < there
