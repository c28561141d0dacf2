"""Splits a list in a JSON document into its elements, without the document in memory."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

STRING: Final = rb'"(?:[^"\\]++|\\.)*+"'
REST_OF_STRING: Final = re.compile(rb'(?:[^"\\]++|\\.)*+(")?', re.DOTALL)
# Up to the next bracket, or the quote of a string that does not end in this chunk.
NEXT_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|%b)*+([\["\]{}])' % STRING, re.DOTALL)
NEXT_SPLIT: Final = re.compile(rb'(?:[^"\[\]{},]++|%b)*+([\["\]{},])' % STRING, re.DOTALL)
QUOTE, COMMA, OPENING, CLOSING = b'"', b",", b"[{", b"]}"


class JsonList:
    """Splits a document at the commas of one list: the document, or a member of its object.

    It only counts brackets and skips strings. Each element is parsed by itself afterwards, so that
    a number that is too large, half of a surrogate pair or a thousand brackets invalidate one
    element and not the file. An element of more than `max_bytes` is truncated.
    """

    def __init__(self, member: str | None, max_bytes: int) -> None:
        self.found = False
        self._max_bytes = max_bytes
        name = b"" if member is None else rb'"%b"\s*:\s*' % re.escape(member.encode())
        self._name = re.compile(rb"\s*" + name)
        # How many brackets are open around the list.
        self._list_depth = 0 if member is None else 1
        self._depth = 0
        self._in_string = False
        self._in_list = False
        # What follows the last split in earlier chunks.
        self._kept = bytearray()

    @property
    def ended(self) -> bool:
        """Whether every bracket and every string that was opened has been closed."""
        return self._depth == 0 and not self._in_string

    def read(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yields each element unparsed, of one document or of several in sequence."""
        for chunk in _whole_escapes(chunks):
            start = 0
            for position in self._structure(chunk):
                inside = self._in_list
                if not self._splits(chunk, start, position):
                    continue
                self._keep(chunk[start:position])
                if inside and self._kept.strip():
                    yield bytes(self._kept)
                self._kept.clear()
                start = position + 1
            self._keep(chunk[start:])

    def _structure(self, chunk: bytes) -> Iterator[int]:
        """Yields the positions of brackets and of commas between elements, outside of strings."""
        start = self._end_of_string(chunk, 0) if self._in_string else 0
        while True:
            # Most commas are inside elements, and are skipped.
            between = self._depth == self._list_depth + self._in_list
            found = (NEXT_SPLIT if between else NEXT_BRACKET).match(chunk, start)
            if found is None:
                return
            start = found.end()
            if found[1] == QUOTE:
                start = self._end_of_string(chunk, start)
            else:
                yield start - 1

    def _end_of_string(self, chunk: bytes, start: int) -> int:
        rest = REST_OF_STRING.match(chunk, start)
        self._in_string = rest is None or rest[1] is None
        return rest.end() if rest else start

    def _splits(self, chunk: bytes, start: int, position: int) -> bool:
        """Count a bracket. Returns whether an element, or what surrounds them, ends here."""
        token = chunk[position : position + 1]
        if token == COMMA:
            return True
        if token in CLOSING:
            self._depth = max(0, self._depth - 1)
            ends_list = self._in_list and self._depth == self._list_depth
            self._in_list = self._in_list and not ends_list
            return ends_list or self._depth == 0
        before, self._depth = self._depth, self._depth + 1
        if self._in_list or before > self._list_depth:
            return False
        if before == self._list_depth and token == OPENING[:1]:
            head = bytes(self._kept) + chunk[start:position]
            self._in_list = self._name.fullmatch(head) is not None
            self.found = self.found or self._in_list
            return self._in_list
        return self._depth == self._list_depth

    def _keep(self, some: bytes) -> None:
        self._kept += some[: self._max_bytes + 1 - len(self._kept)]


def _whole_escapes(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the same bytes in chunks that do not end between a backslash and what it escapes."""
    held = b""
    for chunk in chunks:
        joined = held + chunk
        backslashes = len(joined) - len(joined.rstrip(b"\\"))
        held = b"\\" * (backslashes % 2)
        yield joined.removesuffix(held) if held else joined
