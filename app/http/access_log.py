"""The access log: a line for each request, gathered and written in one go.

That is after a tenth of a second, or a hundred lines: writing more at once would halt all requests
in flight for as long as it takes.

A log record made, formatted and flushed for each request costs a tenth of what a small query does.
What is gathered is lost when the process is killed outright; errors go through `logging` at once.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import orjson

from app.database.statements import Tally
from app.http.metadata import OAUTH, OPENID

FLUSH_SECONDS = 0.1
MOST_LINES = 100
MAX_PATH_CHARACTERS = 200
MAX_NAME_CHARACTERS = 64
STATE = "line"
# No path of ours has a word as long as this, but for these and the names of GraphiQL's files.
SECRETIVE = re.compile(r"@|%40|[\w-]{20}")
LONG_WORDS = frozenset(path.rpartition("/")[2] for path in (OPENID, OAUTH))


@dataclass(slots=True)
class Line:
    """What is known of a request in the end. Nothing in it is secret, or anybody's address."""

    at: float
    method: str
    path: str
    request_id: str
    tally: Tally
    status: int = 500
    seconds: float = 0.0
    # What was asked, as the schema names it, and what the client calls it.
    operation: str | None = None
    name: str | None = None
    document: str | None = None
    user: str | None = None
    outcome: str | None = None


class Stream(Protocol):
    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class AccessLog:
    """Hands lines on: to a stream, where there is one, and to whoever counts them."""

    def __init__(
        self,
        stream: Stream | None,
        write: Callable[[Line], str],
        observe: Callable[[Sequence[Line]], object],
    ) -> None:
        self._stream, self._write, self._observe = stream, write, observe
        self._lines: list[Line] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, line: Line) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(FLUSH_SECONDS, self._flush_late)
        self._lines.append(line)
        if len(self._lines) == MOST_LINES:
            # Not here: a log that cannot be written is no fault of this request.
            asyncio.get_running_loop().call_soon(self.flush)

    def _flush_late(self) -> None:
        self._timer = None
        self.flush()

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        self._observe(lines)
        if lines and self._stream is not None:
            self._stream.write("".join(map(self._write, lines)))
            self._stream.flush()


def console_line(line: Line) -> str:
    text = (
        f"{_moment(line.at)} {line.method} {_printable(line.path)} {line.status} "
        f"{line.seconds * 1000:.1f}ms {line.request_id}"
    )
    if line.operation:
        text += f" {line.operation!r}"
    if line.name:
        text += f" as {_short(line.name)}"
    if line.outcome:
        text += f" {line.outcome}"
    if line.user:
        text += f" user={line.user}"
    if line.document:
        text += f" document={line.document} statements={line.tally.statements}"
    return text + "\n"


def json_line(line: Line) -> str:
    known = {
        "time": _moment(line.at),
        "level": "INFO",
        "logger": "access",
        "method": line.method,
        "path": _printable(line.path),
        "status": line.status,
        "milliseconds": round(line.seconds * 1000, 3),
        "requestId": line.request_id,
        "operation": line.operation,
        "operationName": _short(line.name),
        "document": line.document,
        "user": line.user,
        "statements": line.tally.statements,
        "outcome": line.outcome,
    }
    written = {name: value for name, value in known.items() if value is not None}
    return orjson.dumps(written, option=orjson.OPT_APPEND_NEWLINE).decode()


def _moment(at: float) -> str:
    return f"{_second(int(at))}.{int(at % 1 * 1000):03}Z"


@lru_cache(maxsize=4)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _short(name: str | None) -> str | None:
    return name[:MAX_NAME_CHARACTERS] if name else None


@lru_cache(maxsize=64)
def _printable(path: str) -> str:
    # A path is the client's text: it must not write lines of its own into the log, and whoever
    # follows a link to the wrong server must not leave its token or an address there.
    words = ("…" if _is_secretive(word) else word for word in path.split("/"))
    return "".join(c if c.isprintable() else "?" for c in "/".join(words)[:MAX_PATH_CHARACTERS])


def _is_secretive(word: str) -> bool:
    return word not in LONG_WORDS and SECRETIVE.search(word) is not None
