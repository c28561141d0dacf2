"""Files as records, a line, a row or an element at a time, and never more than one in memory."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple, cast

import orjson

from app.people.services.user_formats.json_lists import JsonList

# Profiles of other systems hold whatever their applications put there.
MAX_RECORD_BYTES = 1024 * 1024
HEAD_BYTES = 4096
CHUNK_BYTES = 64 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# For the process: a profile may be longer than the 128 KiB that a field of CSV has otherwise.
csv.field_size_limit(MAX_RECORD_BYTES)


class UnreadableFile(Exception):
    """A file that is not of the format that was named; the text is a whole sentence."""


class Record(NamedTuple):
    """One record by its number, or what is wrong with it in words that quote nothing."""

    number: int
    content: dict[str, Any] | str


class Source(io.RawIOBase):
    """A file, a pipe or a terminal: read once, from the front, without its byte order mark.

    `head` is how it begins; `taken` is how many bytes have been read.
    """

    def __init__(self, file: BinaryIO) -> None:
        head = file.read(HEAD_BYTES)
        self._file = file
        self.taken = len(head)
        self.head = head.removeprefix(BYTE_ORDER_MARK).lstrip()
        self._begun = memoryview(head.removeprefix(BYTE_ORDER_MARK))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        if self._begun:
            some, self._begun = self._begun[:size], self._begun[size:]
        else:
            some = self._file.read(size)
            self.taken += len(some)
        buffer[: len(some)] = some
        return len(some)


def json_lines(source: Source) -> Iterator[Record]:
    """One JSON object a line (NDJSON); empty lines are counted and left out."""
    for number, line in enumerate(_lines(source), 1):
        stripped = line.strip()
        if stripped:
            yield Record(number, _object(stripped, "line"))


def json_list(source: Source, member: str | None) -> Iterator[Record]:
    """The elements of a list: the whole document, or this member of it.

    Documents may follow one another, as those of several files in one pipe do.

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
    """Rows of a CSV file (RFC 4180), numbered by the line on which they begin.

    Their columns are named by the first row, or are these.

    Raises:
        UnreadableFile: the first row does not name the columns that are needed, or a row is not
            CSV: where the next one begins is a guess then, and a wrong one mixes two people up.

    """
    rows = _numbered_rows(source)
    names = columns
    if names is None:
        _, names = next(rows, (1, list[str]()))
        missing = [name for name in needed if name not in names]
        if missing:
            raise UnreadableFile(f"The first line of the file names no column `{missing[0]}`.")
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
    # Columns that are added later stand at the end of those that have no names.
    if len(row) != len(names) and not fixed:
        return f"the line has {len(row)} columns, and the first one {len(names)}"
    return dict(zip(names, row, strict=False))


def _object(text: bytes, unit: str) -> dict[str, Any] | str:
    if len(text) > MAX_RECORD_BYTES:
        return f"the {unit} is too long"
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return f"the {unit} is no JSON"
    return cast("dict[str, Any]", value) if isinstance(value, dict) else f"the {unit} is no object"


def _lines(source: Source) -> Iterator[bytes]:
    """Lines with their ends; one that is too long comes cut, so that it takes no memory."""
    file = io.BufferedReader(source, CHUNK_BYTES)
    while line := file.readline(MAX_RECORD_BYTES + 2):
        if not line.endswith(b"\n"):
            while (rest := file.readline(MAX_RECORD_BYTES)) and not rest.endswith(b"\n"):
                pass
        yield line


def _texts(source: Source) -> Iterator[str]:
    for line in _lines(source):
        if len(line) > MAX_RECORD_BYTES:
            # It comes cut, perhaps between quotes.
            raise csv.Error("the line is too long")
        # Whatever is no UTF-8 becomes characters that no field takes, so that it costs one row.
        yield line.decode("utf-8", "surrogateescape")


def _chunk(source: Source) -> bytes:
    return source.read(CHUNK_BYTES) or b""
