"""Relay's pages: arguments in, `PageInfo` and opaque cursors out."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Annotated, Any, Protocol, TypeVar
from zlib import crc32

import strawberry

from app.database.keyset_pages import Page, PageRequest, Position
from app.database.page_size import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from app.errors import BadInput

First = Annotated[
    int | None, strawberry.argument(description=f"How many from the start, up to {MAX_PAGE_SIZE}.")
]
After = Annotated[
    str | None, strawberry.argument(description="A cursor: only what comes after it.")
]
Last = Annotated[
    int | None, strawberry.argument(description=f"How many from the end, up to {MAX_PAGE_SIZE}.")
]
Before = Annotated[
    str | None, strawberry.argument(description="A cursor: only what comes before it.")
]

T = TypeVar("T")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Days, seconds and microseconds, as Python keeps a span: one number of them would cost more to make
# than all the rest of a cursor.
SPAN = Struct(">iII")
TIMED = Struct(">16siII").pack
ID_BYTES = 16


@strawberry.type(description="The position of a page in the whole list.")
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


class CursorForm(Protocol):
    """How the positions of one order are written, and what makes them cursors of no other."""

    def write(self, position: bytes) -> bytes: ...

    def read(self, written: bytes) -> bytes | None: ...


class PlainForm:
    """A checksum of the order's name, and the position as it is.

    For orders by creation: an id and when something was made name nobody. Any other order is
    encrypted, which takes a page of fifty a third longer.
    """

    def __init__(self, order: str) -> None:
        self._order = crc32(order.encode()).to_bytes(4, "big")

    def write(self, position: bytes) -> bytes:
        return self._order + position

    def read(self, written: bytes) -> bytes | None:
        return written.removeprefix(self._order) if written.startswith(self._order) else None


class Cursors:
    """Writes and reads the positions of one order, in hexadecimal.

    A position is the id, and the value (a time since 1970, a text, or nothing).
    """

    def __init__(
        self, form: CursorForm, value: Callable[[Any], Any], *, of_time: bool = True
    ) -> None:
        self._form, self._of_time = form, of_time
        # Writes the cursor of a row, whose value `value` reads.
        self.write = _of_time(form, value) if of_time else _of_text(form, value)

    def read(self, text: str, argument: str) -> Position:
        """Returns the position.

        Raises:
            BadInput: it is no cursor of this server, or one of another order.

        """
        try:
            return self._position(text)
        except (ValueError, OverflowError):
            msg = f"`{argument}` is not a cursor of this server, in this order."
            raise BadInput(msg) from None

    def _position(self, text: str) -> Position:
        written = bytes.fromhex(text)
        raw = self._form.read(written)
        # `fromhex` takes capital letters and white space too: one position has one text.
        if raw is None or written.hex() != text:
            raise ValueError(text)
        return Position(self._value(raw[ID_BYTES:]), uuid.UUID(bytes=raw[:ID_BYTES]))

    def _value(self, raw: bytes) -> Any:
        if not self._of_time:
            return raw.decode()
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
            if size is not None and not 0 <= size <= MAX_PAGE_SIZE:
                msg = f"`{argument}` must be from 0 to {MAX_PAGE_SIZE}."
                raise BadInput(msg)
        asked = last if last is not None else first
        return PageRequest(
            size=DEFAULT_PAGE_SIZE if asked is None else asked,
            backward=last is not None,
            after=None if after is None else self.read(after, "after"),
            before=None if before is None else self.read(before, "before"),
        )


def _of_time(form: CursorForm, value: Callable[[Any], Any]) -> Callable[[Any], str]:
    written = form.write

    def write(row: Any) -> str:
        at = value(row)
        if at is None:
            return written(row.id.bytes).hex()
        # Exact in microseconds, as PostgreSQL keeps it.
        span = at - EPOCH
        return written(TIMED(row.id.bytes, span.days, span.seconds, span.microseconds)).hex()

    return write


def _of_text(form: CursorForm, value: Callable[[Any], Any]) -> Callable[[Any], str]:
    written = form.write

    def write(row: Any) -> str:
        return written(row.id.bytes + value(row).encode()).hex()

    return write
