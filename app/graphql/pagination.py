"""Relay's cursor connections: their arguments, `PageInfo` and opaque cursors."""

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
from app.graphql.inputs import none_if_unset

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
# Days, seconds and microseconds, as in a timedelta: converting them to one number would cost more
# than the rest of the cursor.
TIME = Struct(">iII")
ID_AND_TIME = Struct(">16siII")
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


class CursorEncoding(Protocol):
    """Encodes the positions of one order, and rejects cursors of any other order."""

    @property
    def write(self) -> Callable[[bytes], bytes]: ...

    def read(self, encoded: bytes) -> bytes | None: ...


class PlainEncoding:
    """Encodes a position as it is, after a checksum of the order's name.

    For orders by creation: ids and times of creation are not personal data. Cursors of other orders
    are encrypted, which makes a page of fifty a third slower.
    """

    def __init__(self, order: str) -> None:
        self._order = crc32(order.encode()).to_bytes(4, "big")
        # Called for every row of a page: the method of `bytes` itself needs no Python frame.
        self.write: Callable[[bytes], bytes] = self._order.__add__

    def read(self, encoded: bytes) -> bytes | None:
        return encoded.removeprefix(self._order) if encoded.startswith(self._order) else None


class Cursors:
    """Writes and reads the positions of one order, in hexadecimal.

    A position is the id of a row and the value it is ordered by: a time, a text, or nothing.
    """

    def __init__(
        self, encoding: CursorEncoding, value: Callable[[Any], Any], *, of_time: bool = True
    ) -> None:
        self._encoding, self._of_time = encoding, of_time
        # Writes the cursor of a row, whose value is read by `value`.
        self.write = _time_writer(encoding, value) if of_time else _text_writer(encoding, value)

    def read(self, text: str, argument: str) -> Position:
        """Returns the position of a cursor.

        Raises:
            BadInput: it is not a cursor of this server, or of another order.

        """
        try:
            return self._position(text)
        except (ValueError, OverflowError):
            msg = f"`{argument}` is not a cursor of this server and this order."
            raise BadInput(msg) from None

    def _position(self, text: str) -> Position:
        encoded = bytes.fromhex(text)
        raw = self._encoding.read(encoded)
        # `fromhex` accepts capital letters and white space too, but a position has one cursor.
        if raw is None or encoded.hex() != text:
            raise ValueError(text)
        return Position(self._value(raw[ID_BYTES:]), uuid.UUID(bytes=raw[:ID_BYTES]))

    def _value(self, raw: bytes) -> Any:
        if not self._of_time:
            return raw.decode()
        if not raw:
            return None
        if len(raw) != TIME.size:
            raise ValueError
        return EPOCH + timedelta(*TIME.unpack(raw))

    def request(
        self, first: int | None, after: str | None, last: int | None, before: str | None
    ) -> PageRequest:
        """Read the arguments of a connection. Null counts as absent, since Relay sends it.

        Raises:
            BadInput: names the invalid argument.

        """
        first, after = none_if_unset(first), none_if_unset(after)
        last, before = none_if_unset(last), none_if_unset(before)
        if first is not None and last is not None:
            msg = "`first` and `last` cannot be used together."
            raise BadInput(msg)
        for argument, size in (("first", first), ("last", last)):
            if size is not None and not 0 <= size <= MAX_PAGE_SIZE:
                msg = f"`{argument}` must be from 0 to {MAX_PAGE_SIZE}."
                raise BadInput(msg)
        requested = last if last is not None else first
        return PageRequest(
            size=DEFAULT_PAGE_SIZE if requested is None else requested,
            backward=last is not None,
            after=None if after is None else self.read(after, "after"),
            before=None if before is None else self.read(before, "before"),
        )


def _time_writer(encoding: CursorEncoding, value: Callable[[Any], Any]) -> Callable[[Any], str]:
    encode, pack = encoding.write, ID_AND_TIME.pack

    def write(row: Any) -> str:
        at = value(row)
        if at is None:
            return encode(row.id.bytes).hex()
        # Exact to the microsecond, as in PostgreSQL.
        since = at - EPOCH
        return encode(pack(row.id.bytes, since.days, since.seconds, since.microseconds)).hex()

    return write


def _text_writer(encoding: CursorEncoding, value: Callable[[Any], Any]) -> Callable[[Any], str]:
    encode = encoding.write

    def write(row: Any) -> str:
        return encode(row.id.bytes + value(row).encode()).hex()

    return write
