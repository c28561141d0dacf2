"""Where a request ends and the next one begins: llhttp says so, and the rules of RFC 9112."""

import asyncio
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.errors import Code
from app.server.head_rules import (
    DECISIVE,
    NO_TARGET,
    NO_VERSION,
    VERSIONS,
    objection_to,
    origin_form,
)

NOT_HTTP = "This is not HTTP."
# What a parser says before it has read a version.
NO_VERSION_YET = "0.0"
NOTED = DECISIVE | {b"expect"}
FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class FramedConnection(HttpToolsProtocol):
    """Reads requests off a connection and runs the application for each of them.

    No parser of ours is beside llhttp: two could be of two minds.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.reads_head = True
        self._decisive: tuple[tuple[bytes, bytes], ...] = ()
        # What is sent from now on is no request: one was refused, or was the last.
        self._ignores_input = False

    def refuse(self, status: int, message: str, code: Code = Code.BAD_REQUEST) -> None:
        """Answer the request that is being read in the application's stead, and close."""
        raise NotImplementedError

    def refuses_head(self) -> bool:
        """Refuse a head for reasons of another kind than those here."""
        raise NotImplementedError

    def head_was_read(self) -> None:
        """Note that `cycle` is a new request."""
        raise NotImplementedError

    def request_was_read(self) -> None:
        """Note that `cycle` has all of its body."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Read what was received, which may be several requests or a part of one."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offered:
            self._read_behind(offered, memoryview(data))
        except httptools.HttpParserError:
            self._refuse_what_is_not_http()

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer is no header (RFC 9110, 6.5.1): a proxy has not looked at it.
        if not self.reads_head:
            return
        name = name.lower()
        # Space around a value is no part of it (RFC 9110, 5.5).
        value = value.rstrip(b" \t")
        self.headers.append((name, value))
        if name in NOTED:
            self._note(name, value)

    def _note(self, name: bytes, value: bytes) -> None:
        if name != b"expect":
            self._decisive += ((name, value),)
        elif value.lower() == b"100-continue":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        if self._ignores_input or self.refuses_head():
            return
        version, method = self.parser.get_http_version(), self.parser.get_method()
        objection = objection_to(version, method, self._decisive)
        if objection is None and not (self.url.startswith(b"/") and b"#" not in self.url):
            self.url = origin_form(method, self.url) or b""
            objection = None if self.url else NO_TARGET
        if objection is not None:
            self.refuse(*objection)
            return
        if version == "1.0":
            # RFC 9110, 10.1.1: such a client does not know what it would be told.
            self.expect_100_continue = False
        super().on_headers_complete()
        self.reads_head = False
        self.head_was_read()

    def on_body(self, body: bytes) -> None:
        if not self._ignores_input:
            super().on_body(body)

    def on_message_complete(self) -> None:
        # Where an upgrade is offered, this is only the end of the head: see `_read_body_anew`.
        if self._ignores_input or self.parser.should_upgrade():
            return
        self.reads_head, self._decisive = True, ()
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()
        if not self.parser.should_keep_alive():
            # A trailer can say so too, and the parser reads nothing behind that.
            cycle.keep_alive = False
        # RFC 9112, 9.6: no request behind one that closes the connection is processed.
        self._ignores_input = not cycle.keep_alive
        self.request_was_read()

    def has_bad_version(self) -> bool:
        """Whether the head that is being read names a version that is not served."""
        version = self.parser.get_http_version()
        return version not in VERSIONS and version != NO_VERSION_YET

    def _read_behind(self, offered: httptools.HttpParserUpgrade, data: memoryview) -> None:
        """Go on behind each head that offers an upgrade."""
        while not self._ignores_input:
            data = data[offered.args[0] :]
            try:
                self._read_body_anew()
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as another:
                offered = another
            except httptools.HttpParserError:
                self._refuse_what_is_not_http()
            else:
                return

    def _read_body_anew(self) -> None:
        """Read a body as if no upgrade had been offered (RFC 9110, 7.8; RFC 9112, 6).

        A parser that knows nothing of the offer is told only how the body is framed, in the words
        that the one before it has accepted, and reads on from there.
        """
        self.parser = httptools.HttpRequestParser(_BehindHead(self))
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        framing = [field for field in self.headers if field[0] in FRAMING]
        lines = b"".join(b"%b: %b\r\n" % field for field in framing)
        method = self.scope["method"].encode()
        self.parser.feed_data(b"%b / HTTP/1.1\r\n%b\r\n" % (method, lines))

    def _refuse_what_is_not_http(self) -> None:
        if self.reads_head and self.has_bad_version():
            self.refuse(*NO_VERSION)
        else:
            self.refuse(400, NOT_HTTP)


class _BehindHead:
    """Tells a connection what a parser reads, but not of the head that the connection knows."""

    def __init__(self, connection: FramedConnection) -> None:
        self._connection = connection
        self.on_url = connection.on_url
        self.on_header = connection.on_header
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete

    def on_message_begin(self) -> None:
        if self._connection.reads_head:
            self._connection.on_message_begin()

    def on_headers_complete(self) -> None:
        if self._connection.reads_head:
            self._connection.on_headers_complete()
