"""Relay's pages: arguments in, `PageInfo` and opaque cursors out."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Annotated, Any, TypeVar
from zlib import crc32

import strawberry

from app.errors import BadInput
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
# Days, seconds and microseconds, as Python keeps a span: one number of them would cost more to make
# than all the rest of a cursor.
SPAN = Struct(">iII")
TIMED = Struct(">4s16siII").pack


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


class Cursors:
    """Writes and reads positions. The order is in the cursor, so that none passes for another.

    In hexadecimal: a checksum of the name of the order, the id, and the value (a time since 1970, a
    text, or nothing).
    """

    def __init__(self, order: str, *, of_time: bool = True) -> None:
        self._order = crc32(order.encode()).to_bytes(4, "big")
        self._of_time = of_time

    def writer(self, position: Callable[[Any], Any]) -> Callable[[Any], str]:
        """Give what writes the cursor of a row, whose value `position` reads."""
        order = self._order

        def of_time(row: Any) -> str:
            value = position(row)
            if value is None:
                return (order + row.id.bytes).hex()
            # Exact in microseconds, as PostgreSQL keeps it.
            at = value - EPOCH
            return TIMED(order, row.id.bytes, at.days, at.seconds, at.microseconds).hex()

        def of_text(row: Any) -> str:
            return (order + row.id.bytes + position(row).encode()).hex()

        return of_time if self._of_time else of_text

    def read(self, text: str, argument: str) -> Position:
        """Give the position.

        Raises:
            BadInput: it is no cursor, or one of another order.

        """
        try:
            raw = bytes.fromhex(text)
            of_this_order = raw.startswith(self._order)
            # A value of another order may be none of this one.
            value = self._value(raw[20:]) if of_this_order else None
            position = Position(value, uuid.UUID(bytes=raw[4:20]))
        except (ValueError, OverflowError):
            raise BadInput(f"`{argument}` is not a cursor of this server.") from None
        if not of_this_order:
            raise BadInput(f"`{argument}` is a cursor of another order.")
        return position

    def _value(self, raw: bytes) -> Any:
        if not self._of_time:
            text = raw.decode()
            if "\0" in text:
                raise ValueError
            return text
        if not raw:
            return None
        if len(raw) != SPAN.size:
            raise ValueError
        return EPOCH + timedelta(*SPAN.unpack(raw))

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
