"""The access log: a line for each request, written in batches.

A batch is written after a tenth of a second, or when it has a hundred lines: writing more at once
would delay all requests in flight.

`logging` would create, format and flush a record for each request, a tenth of what a small query
costs. A batch is lost if the process is killed; errors go through `logging` at once.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import orjson

from app.database.statements import StatementCount
from app.http.metadata import OAUTH, OPENID

FLUSH_SECONDS = 0.1
MAX_LINES = 100
MAX_PATH_CHARACTERS = 200
MAX_NAME_CHARACTERS = 64
# No path of the API has a segment that matches, except KNOWN_LONG_SEGMENTS and GraphiQL's files.
LOOKS_SECRET = re.compile(r"@|%40|[\w-]{20}")
KNOWN_LONG_SEGMENTS = frozenset(path.rpartition("/")[2] for path in (OPENID, OAUTH))


@dataclass(slots=True)
class Line:
    """What is logged of a request. It contains no secrets and no email addresses."""

    at: float
    method: str
    path: str
    request_id: str
    tally: StatementCount
    status: int = 500
    seconds: float = 0.0
    # The root fields by their names in the schema, and the operation name that the client chose.
    operation: str | None = None
    name: str | None = None
    document: str | None = None
    user: str | None = None
    outcome: str | None = None


class Stream(Protocol):
    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class AccessLog:
    """Writes batches of lines to a stream, if there is one, and passes them to `observe`."""

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
        if len(self._lines) == MAX_LINES:
            # Not within this request, which must not fail because the log cannot be written.
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
        f"{_timestamp(line.at)} {line.method} {_printable(line.path)} {line.status} "
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
    fields = {
        "time": _timestamp(line.at),
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
    present = {name: value for name, value in fields.items() if value is not None}
    return orjson.dumps(present, option=orjson.OPT_APPEND_NEWLINE).decode()


def _timestamp(at: float) -> str:
    return f"{_second(int(at))}.{int(at % 1 * 1000):03}Z"


@lru_cache(maxsize=4)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _short(name: str | None) -> str | None:
    return name[:MAX_NAME_CHARACTERS] if name else None


@lru_cache(maxsize=64)
def _printable(path: str) -> str:
    # A path comes from the client: it must not add lines to the log, and a link that was opened on
    # the wrong server must not leave its token or an email address there.
    segments = ("…" if _looks_secret(each) else each for each in path.split("/"))
    return "".join(c if c.isprintable() else "?" for c in "/".join(segments)[:MAX_PATH_CHARACTERS])


def _looks_secret(segment: str) -> bool:
    return segment not in KNOWN_LONG_SEGMENTS and LOOKS_SECRET.search(segment) is not None
