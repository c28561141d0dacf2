"""Where a request ends and the next one begins: llhttp says so, and the rules of RFC 9112."""

import asyncio
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.errors import Code
from app.http.heads import (
    DECISIVE,
    NO_TARGET,
    NO_VERSION,
    VERSIONS,
    is_origin_form,
    objection_to,
    origin_form,
)

NOT_HTTP = "This is not HTTP."
# What a parser says before it has read a version.
NO_VERSION_YET = "0.0"
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
        self._reads_head = True
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
            self._parse(memoryview(data))
        except httptools.HttpParserError:
            if self._reads_head and self.has_bad_version():
                self.refuse(*NO_VERSION)
            else:
                self.refuse(400, NOT_HTTP)

    def on_message_begin(self) -> None:
        if self._reads_head:
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._reads_head:
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer is no header (RFC 9110, 6.5.1): whoever stands before us has not looked at it.
        if not self._reads_head:
            return
        name = name.lower()
        # Space around a value is no part of it (RFC 9110, 5.5).
        value = value.rstrip(b" \t")
        self.headers.append((name, value))
        if name in DECISIVE:
            self._decisive += ((name, value),)
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        # The second parser of a request that offered an upgrade has been told of its head.
        if self._ignores_input or not self._reads_head or self.refuses_head():
            return
        version, method = self.parser.get_http_version(), self.parser.get_method().decode()
        objection = objection_to(version, method, self._decisive)
        if objection is None and not is_origin_form(self.url):
            self.url = origin_form(method, self.url) or b""
            objection = None if self.url else NO_TARGET
        if objection is not None:
            self.refuse(*objection)
            return
        if version == "1.0":
            # RFC 9110, 10.1.1: such a client does not know what it would be told.
            self.expect_100_continue = False
        super().on_headers_complete()
        self._reads_head = False
        self.head_was_read()

    def on_body(self, body: bytes) -> None:
        if not self._ignores_input:
            super().on_body(body)

    def on_message_complete(self) -> None:
        # A parser that was offered an upgrade says so at the end of the head, whatever follows it.
        if self._ignores_input or self.parser.should_upgrade():
            return
        self._reads_head, self._decisive = True, ()
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

    def _parse(self, data: memoryview) -> None:
        while not self._ignores_input:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offered:
                data = data[offered.args[0] :]
            else:
                return
            if not self._ignores_input:
                self._read_body_anew()

    def _read_body_anew(self) -> None:
        """Go on behind a head that offered an upgrade as if it had not (RFC 9110, 7.8).

        Its parser would take the body for the next request. Another one is told only how the body
        is framed, in the words that the first one has accepted.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        framing = [field for field in self.headers if field[0] in FRAMING]
        lines = b"".join(b"%b: %b\r\n" % field for field in framing)
        method = self.scope["method"].encode()
        self.parser.feed_data(b"%b / HTTP/1.1\r\n%b\r\n" % (method, lines))
