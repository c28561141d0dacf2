"""Byte streams of requests: normal, unusual but valid, and invalid ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from tests.wire.quirks import Quirk

LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
# A body that would be answered if it was read as a request.
DECOY = b"GET /decoy HTTP/1.1\r\nHost: x\r\n\r\n"
HOSTS = (b"x", b"X.example:80", b"[::1]:8000", b"", b"127.0.0.1", b"a%20b")
BAD_HOSTS = (b"a b", b"x/y", b"u@x", b"x:y", b":80", b"[::1", b"[::1::2]", b"a\tb", b"\xe9", b"x?")
FRAMING = (b"content-length", b"transfer-encoding")
TRAILERS = (
    b"X-T: y",
    b"Connection: close",
    b"Connection: Upgrade",
    b"Upgrade: x",
    b"Host: y",
    b"Expect: 100-continue",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
)
TOKENS = (b"close", b"keep-alive", b"Upgrade", b"HTTP2-Settings", b"TE", b"x", b"", b"UPGRADE")
UPGRADES = (b"h2c", b"websocket", b"x", b"h2c, x/1", b"", b"TLS/1.0")
CODINGS = (
    b"gzip, chunked",
    b"chunked, gzip",
    b"identity",
    b"xchunked",
    b"chunked;q=1",
    b"",
    b"\tx",
)
LENGTHS = (b"+N", b"-N", b"0xN", b"N.0", b"N, N", b"N N", b"'N'", b"", b"9" * 30)
CONTROLS = (b"\x00", b"\x01", b"\x0b", b"\x0c", b"\x1f", b"\x7f", b"\xff", b"\r", b"\n")
METHODS = (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"HEAD", b"TRACE")
OTHER_METHODS = (b"BREW", b"get", b"PROPFIND", b"SOURCE", b"DESCRIBE", b"PRI")
PATHS = (b"/", b"/a/b?c=d", b"/early", b"/slow", b"//x/y", b"/a%20b", b"/x?y?z", b"/slow?a")
ABSOLUTE = (b"http://x/a", b"HTTP://x:80/a?b", b"https://[::1]/slow", b"http://x", b"http://x?a=b")
BAD_TARGETS = (
    b"*x",
    b"x",
    b"x:80",
    b"ftp://x/",
    b"http:///a",
    b"http://u@x/",
    b"?a",
    b"/a#b",
    b"http://x/#",
)
OTHER_VERSIONS = (b"HTTP/1.2", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/0.9", b"HTTP/9.9")


@dataclass
class Stream:
    """Bytes to send, their parts, and what a strict parser gets instead."""

    wire: bytearray = field(default_factory=bytearray)
    shown: bytearray = field(default_factory=bytearray)
    # The positions of quirks in the bytes for the parser.
    quirks: list[tuple[int, Quirk]] = field(default_factory=list[tuple[int, Quirk]])
    cuts: Sequence[int] = ()
    pause: float = 0

    def add(self, text: bytes, quirk: Quirk | None = None, shown: bytes | None = None) -> None:
        if quirk is not None:
            self.quirks.append((len(self.shown), quirk))
        self.wire += text
        self.shown += text if shown is None else shown

    def replace(self, start: int, end: int, new: bytes) -> None:
        """Replace bytes, and move the positions behind them, so that they stay at their text."""
        for each in (self.wire, self.shown):
            each[start:end] = new
        longer = len(new) - (end - start)
        self.quirks = [(at + longer if at >= end else at, quirk) for at, quirk in self.quirks]

    def parts(self) -> list[bytes]:
        ends = [*self.cuts, len(self.wire)]
        starts = [0, *self.cuts]
        return [bytes(self.wire[a:b]) for a, b in zip(starts, ends, strict=True)]

    def quirks_within(self, start: int, end: int) -> set[Quirk]:
        return {
            quirk for at, quirk in self.quirks if at < end and (start <= at or quirk.reaches_on)
        }

    def is_mutated_within(self, start: int, end: int) -> bool:
        """Whether a byte was changed there, which may have made valid what was not."""
        return any(start <= at < end for at, quirk in self.quirks if quirk is Quirk.MUTATION)


class Generator:
    """Generates the stream of a seed and a number, the same each time."""

    def __init__(self, seed: str, number: int, *, legal: bool = False) -> None:
        self.random = Random(f"{seed}:{number}")  # noqa: S311 - not for secrets
        self.stream = Stream()
        # The probability of something invalid, wherever that is possible.
        self._oddness = 0.0 if legal else self.random.choice((0, 0, 0.01, 0.03, 0.1))
        # Whether both parsers still agree about where a request begins.
        self._is_plain = True

    def make(self) -> Stream:
        for _ in range(self.random.randint(1, 4)):
            self._request(self.random.choice(METHODS), self._target(), self._body())
        self.stream.add(LAST)
        if self._is_odd():
            self._mutate()
        self.cut()
        return self.stream

    def cut(self) -> None:
        """Choose the parts of the stream, and the pauses between them."""
        size = len(self.stream.wire)
        parts = self.random.choice((0, 0, 1, 2, 5, 20))
        if self.random.random() < 0.03:
            parts = size - 1
        self.stream.cuts = sorted(self.random.sample(range(1, size), min(parts, size - 1)))
        self.stream.pause = self.random.choice((0, 0, 0.001, 0.01)) if parts < 30 else 0

    def request(self, method: bytes, target: bytes, body: bytes, *fields: bytes) -> None:
        """Add a request with these fields, and others about the connection."""
        self._request(method, target, body, *fields)

    def _is_odd(self) -> bool:
        odd = self.random.random() < self._oddness
        self._is_plain = self._is_plain and not odd
        return odd

    def _often(self, part: float = 0.3) -> bool:
        return self.random.random() < part

    def _request(self, method: bytes, target: bytes, body: bytes, *fields: bytes) -> None:
        version = b"HTTP/1.0" if self._often(0.1) else b"HTTP/1.1"
        if self._often(0.03):
            self.stream.add(self.random.choice((b"\r\n", b"\r\n\r\n")), Quirk.EMPTY_LINE)
        self._request_line(method, target, version)
        lines: list[Callable[[], None]] = [partial(self._field, line) for line in fields]
        lines.append(partial(self._host, version))
        lines += [self._connection_field for _ in range(self._few())]
        send_body = self._framing(lines, version, body)
        self.random.shuffle(lines)
        for line in lines:
            line()
        self._end_of_line()
        send_body()

    def _few(self) -> int:
        return self.random.choice((0, 0, 1, 2, 3, 5))

    def _target(self) -> bytes:
        return self.random.choice(ABSOLUTE if self._often(0.1) else PATHS)

    def _body(self) -> bytes:
        return self.random.choice(
            (b"", b"a", DECOY, DECOY * 3, b"\r\n" + DECOY, b"0\r\n\r\n" + DECOY)
        )

    def _request_line(self, method: bytes, target: bytes, version: bytes) -> None:
        self._method(method)
        self._space()
        if self._is_odd():
            self.stream.add(self.random.choice(BAD_TARGETS), Quirk.BAD_TARGET)
        else:
            self.stream.add(target)
        self._space()
        if self._is_odd():
            self.stream.add(self.random.choice(OTHER_VERSIONS), Quirk.OTHER_VERSION)
        else:
            self.stream.add(version)
        self._end_of_line()

    def _method(self, method: bytes) -> None:
        if self._is_odd():
            self.stream.add(self.random.choice(OTHER_METHODS), Quirk.OTHER_METHOD)
        elif self._is_odd():
            self.stream.add(b"CONNECT", Quirk.TUNNEL)
        else:
            self.stream.add(method)

    def _space(self) -> None:
        if self._is_plain and self._often(0.01):
            self.stream.add(b"  ", Quirk.WIDE_SPACE, b" ")
        else:
            self.stream.add(b" ")

    def _end_of_line(self) -> None:
        if not self._is_odd():
            self.stream.add(b"\r\n")
        elif self._often(0.5):
            self.stream.add(b"\n", Quirk.BARE_LF)
        else:
            self.stream.add(self.random.choice((b"\r", b"\r\r\n", b"\n\r")), Quirk.BARE_CR)

    def _field(self, line: bytes) -> None:
        """Add a field line, sometimes with white space and errors."""
        name, _, value = line.partition(b": ")
        if self._often(0.2):
            name = self.random.choice((name.upper(), name.lower()))
        before, after = self._white_space(), self._white_space()
        if self._is_odd():
            name += self.random.choice((b" ", b"\t", b"\x00"))
        self.stream.add(name + b":" + before)
        if value and self._is_odd():
            value += self.random.choice(CONTROLS) + b"z"
            self.stream.add(value, Quirk.CONTROL)
        else:
            self.stream.add(value)
        tabbed = b"\t" in after and name.lower() in FRAMING
        self.stream.add(after, Quirk.TAB_AFTER_FRAMING if tabbed else None)
        self._end_of_line()
        if self._is_odd():
            self.stream.add(self.random.choice((b" x", b"\tx: y", b" ")), Quirk.FOLDED_LINE)
            self._end_of_line()

    def _white_space(self) -> bytes:
        return self.random.choice((b"", b" ", b" ", b" ", b"\t", b" \t "))

    def _host(self, version: bytes) -> None:
        if not self._is_odd():
            self._field(b"Host: " + self.random.choice(HOSTS))
            return
        number = self.random.choice((0, 1, 2))
        if number == 0 and version == b"HTTP/1.0":
            return
        self.stream.quirks.append((len(self.stream.shown), Quirk.BAD_HOST))
        for _ in range(number):
            self._field(b"Host: " + self.random.choice(HOSTS if number > 1 else BAD_HOSTS))

    def _connection_field(self) -> None:
        if self._often(0.05):
            line = b"Proxy-Connection: " + self.random.choice(TOKENS)
            self._marked(line, Quirk.PROXY_CONNECTION)
        else:
            self._field(self._any_connection_field())

    def _any_connection_field(self) -> bytes:
        choice = self.random.choice
        tokens = b", ".join(choice(TOKENS) for _ in range(self.random.randint(1, 3)))
        return choice(
            (
                b"Connection: " + (tokens if self._often(0.3) else b"Upgrade, HTTP2-Settings"),
                b"Connection: Upgrade",
                b"Upgrade: " + choice(UPGRADES),
                b"Upgrade: h2c",
                b"HTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA",
                b"TE: trailers, deflate;q=0.5",
                b"Trailer: X-T",
                b"Keep-Alive: timeout=5, max=9",
                b"Expect: " + choice((b"100-continue", b"100-Continue", b"other")),
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                b"X-" + choice((b"A", b"B_c", b"!#$%&'*+-.^_`|~")) + b": " + choice((b"", b"a  b")),
            )
        )

    def _framing(
        self, lines: list[Callable[[], None]], version: bytes, body: bytes
    ) -> Callable[[], None]:
        """Add the field that frames the body, and return what sends it."""
        odd = self._is_odd()
        if odd and self._often(0.5):
            return self._odd_framing(lines, version, body)
        if version == b"HTTP/1.1" and self._often(0.5):
            lines.append(lambda: self._field(b"Transfer-Encoding: " + self._chunked()))
            return lambda: self._chunks(body)
        if not body and self._often(0.5):
            return lambda: None
        length = len(body)
        if odd:
            length = max(0, length + self.random.choice((-3, -1, 1, len(LAST))))
        zeros = b"0" * self.random.choice((0, 0, 0, 0, 3))
        lines.append(lambda: self._field(b"Content-Length: %b%d" % (zeros, length)))
        quirk = Quirk.WRONG_LENGTH if length != len(body) else None
        return lambda: self.stream.add(body, quirk)

    def _odd_framing(
        self, lines: list[Callable[[], None]], version: bytes, body: bytes
    ) -> Callable[[], None]:
        for line, quirk in self._odd_framing_fields(version, b"%d" % len(body)):
            lines.append(partial(self._marked, line, quirk))
        return lambda: self._chunks(body)

    def _odd_framing_fields(self, version: bytes, length: bytes) -> list[tuple[bytes, Quirk]]:
        choice = self.random.choice
        chunked = b"Transfer-Encoding: chunked"
        if version == b"HTTP/1.0":
            return [(chunked, Quirk.OLD_CODING)]
        same = (b"Content-Length: " + length, Quirk.REPEATED_LENGTH)
        wrong = (b"Content-Length: " + choice(LENGTHS).replace(b"N", length), Quirk.REPEATED_LENGTH)
        both = [(same[0], Quirk.BOTH_FRAMINGS), (chunked, Quirk.BOTH_FRAMINGS)]
        other = (b"Transfer-Encoding: " + choice(CODINGS), Quirk.OTHER_CODING)
        return choice((both, [same, same], [wrong], [other], [(chunked, Quirk.OTHER_CODING)] * 2))

    def _marked(self, line: bytes, quirk: Quirk | None) -> None:
        if quirk is not None:
            self.stream.quirks.append((len(self.stream.shown), quirk))
        self._field(line)

    def _chunked(self) -> bytes:
        return self.random.choice((b"chunked", b"chunked", b"Chunked", b"CHUNKED"))

    def _chunks(self, body: bytes) -> None:
        while body:
            size = self.random.choice((1, 7, len(body)))
            chunk, body = body[:size], body[size:]
            self._chunk_head(len(chunk))
            self.stream.add(chunk)
            self._end_of_line()
        self._chunk_head(0)
        for _ in range(self.random.choice((0, 0, 1, 2))):
            self._trailer(self.random.choice(TRAILERS))
        self._end_of_line()

    def _trailer(self, line: bytes) -> None:
        name = line.partition(b":")[0].lower()
        if name == b"connection":
            self._marked(line, Quirk.CONNECTION_IN_TRAILER)
        else:
            self._marked(line, Quirk.FRAMING_IN_TRAILER if name in FRAMING else None)

    def _chunk_head(self, size: int) -> None:
        form = self.random.choice((b"%x", b"%X", b"0%x"))
        self.stream.add(form % size)
        if self._often(0.1):
            extension = self.random.choice((b";a", b";a=b", b';a="b;c"', b";a;b=c"))
            self.stream.add(extension)
        elif self._is_odd():
            bad = self.random.choice((b" ", b" ;a", b"; a", b";", b';a="b', b";a=\x01", b";=b"))
            self.stream.add(bad, Quirk.CHUNK_EXTENSION)
        self._end_of_line()

    def _mutate(self) -> None:
        """Change, remove or add a byte."""
        stream = self.stream
        if stream.wire != stream.shown:
            return
        at = self.random.randrange(len(stream.wire))
        kind = self.random.choice(("change", "remove", "add"))
        new = self.random.choice((b"\r", b"\n", b"\t", b":", b"0", b"1", b"\x00", b"\xff", b","))
        end = at if kind == "add" else at + 1
        stream.replace(at, end, b"" if kind == "remove" else new)
        stream.quirks.append((at, Quirk.MUTATION))


def stream_of(seed: str, number: int) -> Stream:
    return Generator(seed, number).make()
