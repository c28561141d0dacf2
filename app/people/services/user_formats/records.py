"""Splits files into records (lines, rows or elements), with one record in memory at a time."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, cast

import orjson

from app.people.services.user_formats.json_lists import JsonList

# Profiles of other systems contain arbitrary data of applications.
MAX_RECORD_BYTES = 1024 * 1024
HEAD_BYTES = 4096
CHUNK_BYTES = 64 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# For the whole process: a profile may be longer than the default limit of a field, 128 KiB.
csv.field_size_limit(MAX_RECORD_BYTES)


class UnreadableFile(Exception):
    """A file that is not of the expected format; the text is a complete sentence."""


class Record(NamedTuple):
    """A record and its number, or what is wrong with it, in a text that quotes none of it."""

    number: int
    content: dict[str, Any] | str


class Source(io.RawIOBase):
    """A file, a pipe or a terminal: read once, from its start, without its byte order mark.

    `head` is its beginning; `bytes_read` is how many bytes have been read.
    """

    def __init__(self, file: BinaryIO) -> None:
        head = file.read(HEAD_BYTES)
        self._file = file
        self.bytes_read = len(head)
        self.head = head.removeprefix(BYTE_ORDER_MARK).lstrip()
        self._unread_head = memoryview(head.removeprefix(BYTE_ORDER_MARK))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        if self._unread_head:
            some, self._unread_head = self._unread_head[:size], self._unread_head[size:]
        else:
            some = self._file.read(size)
            self.bytes_read += len(some)
        buffer[: len(some)] = some
        return len(some)


def json_lines(source: Source) -> Iterator[Record]:
    """Yields one JSON object per line (NDJSON). Empty lines are counted and skipped."""
    for number, line in enumerate(_lines(source), 1):
        stripped = line.strip()
        if stripped:
            yield Record(number, _object(stripped, "line"))


def json_list(source: Source, member: str | None) -> Iterator[Record]:
    """Yields the elements of a list: the document, or a member of it.

    There may be several documents, such as those of several files in one pipe.

    Raises:
        UnreadableFile: there is no such list.

    """
    elements, number = JsonList(member, MAX_RECORD_BYTES), 0
    for element in elements.read(iter(lambda: _chunk(source), b"")):
        number += 1
        yield Record(number, _object(element, "record"))
    if not elements.found:
        raise UnreadableFile(f"The file has no list `{member}`.")
    if not elements.ended:
        yield Record(number + 1, "the file ends in the middle of it")


def csv_rows(
    source: Source, columns: Sequence[str] | None, needed: Sequence[str]
) -> Iterator[Record]:
    """Yields the rows of a CSV file (RFC 4180), numbered by the line on which they begin.

    `columns` names the columns of a file without a header; None: the first row is the header.

    Raises:
        UnreadableFile: a needed column is not in the header, or a row is not CSV. Where the next
            row begins would be a guess then, and a wrong guess could mix two users up.

    """
    rows = _numbered_rows(source)
    names = columns
    if names is None:
        _, names = next(rows, (1, list[str]()))
        missing = [name for name in needed if name not in names]
        if missing:
            raise UnreadableFile(f"The header of the file has no column `{missing[0]}`.")
    for number, row in rows:
        if row:
            yield Record(number, _row(names, row, fixed=columns is not None))


def _numbered_rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader(_texts(source), strict=True)
    while True:
        number = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as problem:
            message = f"The record that begins on line {number} is not CSV: {problem}."
            raise UnreadableFile(message) from None
        if row is None:
            return
        yield number, row


def _row(names: Sequence[str], row: list[str], *, fixed: bool) -> dict[str, Any] | str:
    # In a file without a header, columns that are added later are at the end.
    if len(row) != len(names) and not fixed:
        return f"the line has {len(row)} columns, the header {len(names)}"
    return dict(zip(names, row, strict=False))


def _object(text: bytes, unit: str) -> dict[str, Any] | str:
    if len(text) > MAX_RECORD_BYTES:
        return f"the {unit} is too long"
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return f"the {unit} is not JSON"
    if not isinstance(value, dict):
        return f"the {unit} is not an object"
    return cast("dict[str, Any]", value)


def _lines(source: Source) -> Iterator[bytes]:
    """Yields lines with their ends. One that is too long is truncated, to limit the memory."""
    file = io.BufferedReader(source, CHUNK_BYTES)
    while line := file.readline(MAX_RECORD_BYTES + 2):
        if not line.endswith(b"\n"):
            while (rest := file.readline(MAX_RECORD_BYTES)) and not rest.endswith(b"\n"):
                pass
        yield line


def _texts(source: Source) -> Iterator[str]:
    for line in _lines(source):
        if len(line) > MAX_RECORD_BYTES:
            # It was truncated, perhaps between quotes.
            raise csv.Error("the line is too long")
        # Bytes that are not UTF-8 become characters that no field accepts: only the row is invalid.
        yield line.decode("utf-8", "surrogateescape")


def _chunk(source: Source) -> bytes:
    return source.read(CHUNK_BYTES) or b""
