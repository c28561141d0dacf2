"""Relay's pages: arguments in, `PageInfo` and opaque cursors out."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import orjson
import strawberry

from app.errors import BadInput
from app.graphql.ids import read_base64, write_base64
from app.services.pages import DEFAULT_PAGE, MAX_PAGE, Page, PageRequest, Position

First = Annotated[
    int | None, strawberry.argument(description=f"How many from the front, up to {MAX_PAGE}.")
]
After = Annotated[
    str | None, strawberry.argument(description="A cursor: only what comes after it.")
]
Last = Annotated[
    int | None, strawberry.argument(description=f"How many from the back, up to {MAX_PAGE}.")
]
Before = Annotated[
    str | None, strawberry.argument(description="A cursor: only what comes before it.")
]

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RESOLUTION = timedelta(microseconds=1)


@strawberry.type(description="Where a page lies among the others.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether anything comes after this page.")
    has_previous_page: bool = strawberry.field(
        description="Whether anything comes before this page."
    )
    start_cursor: str | None = strawberry.field(
        description="The cursor of the first edge, if there is one."
    )
    end_cursor: str | None = strawberry.field(
        description="The cursor of the last edge, if there is one."
    )

    @classmethod
    def of(cls, page: Page[T], cursor: Callable[[T], str]) -> "PageInfo":
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=cursor(page.rows[0]) if page.rows else None,
            end_cursor=cursor(page.rows[-1]) if page.rows else None,
        )


@dataclass(frozen=True, slots=True)
class Cursors:
    """Writes and reads positions. The order is in the cursor, so that none passes for another."""

    order: str
    of_time: bool = True

    def write(self, value: Any, row_id: uuid.UUID) -> str:
        if isinstance(value, datetime):
            # Exact in microseconds, as PostgreSQL keeps it.
            since = value - EPOCH
            value = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        return write_base64(orjson.dumps((self.order, value, row_id.hex)))

    def read(self, text: str, argument: str) -> Position:
        try:
            order, value, row_id = orjson.loads(read_base64(text))
            position = Position(self._value(value), uuid.UUID(hex=row_id))
        except (ValueError, TypeError, AttributeError, OverflowError):
            msg = f"`{argument}` is not a cursor of this server."
            raise BadInput(msg) from None
        if order != self.order:
            msg = f"`{argument}` is a cursor of another order."
            raise BadInput(msg)
        return position

    def _value(self, value: Any) -> Any:
        if self.of_time and type(value) is int:
            return EPOCH + value * RESOLUTION
        if value is None if self.of_time else isinstance(value, str) and "\0" not in value:
            return value
        raise ValueError

    def request(
        self, first: int | None, after: str | None, last: int | None, before: str | None
    ) -> PageRequest:
        """Read the four arguments of a connection. Null is as good as absent, as Relay sends it.

        Raises:
            BadInput: names the argument that is at fault.

        """
        if first is not None and last is not None:
            msg = "`first` and `last` exclude each other: ask from one end."
            raise BadInput(msg)
        for argument, size in (("first", first), ("last", last)):
            if size is not None and not 0 <= size <= MAX_PAGE:
                msg = f"`{argument}` must be from 0 to {MAX_PAGE}."
                raise BadInput(msg)
        asked = last if last is not None else first
        return PageRequest(
            size=DEFAULT_PAGE if asked is None else asked,
            backward=last is not None,
            after=None if after is None else self.read(after, "after"),
            before=None if before is None else self.read(before, "before"),
        )
