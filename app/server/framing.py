"""Where a request ends and the next one begins, by llhttp and the rules of RFC 9112."""

import asyncio
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.errors import Code
from app.server.head_rules import (
    BAD_TARGET,
    CHECKED_NAMES,
    UNSUPPORTED_VERSION,
    VERSIONS,
    head_refusal,
    origin_form,
)

NOT_HTTP = "This is not HTTP."
# What the parser returns before it has read a version.
NO_VERSION_YET = "0.0"
READ_NAMES = CHECKED_NAMES | {b"expect"}
FRAMING_NAMES = frozenset({b"content-length", b"transfer-encoding"})


class StrictHttpProtocol(HttpToolsProtocol):
    """Reads requests off a connection and runs the application for each of them.

    llhttp is the only parser: two could read the same bytes differently.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.is_reading_head = True
        self._checked_fields: tuple[tuple[bytes, bytes], ...] = ()
        # Set after a request that was refused or is the last one of its connection: what follows
        # is not a request.
        self._ignores_input = False

    def refuse(self, status: int, message: str, code: Code = Code.BAD_REQUEST) -> None:
        """Answer the request that is being read instead of the application, and close."""
        raise NotImplementedError

    def refuses_head(self) -> bool:
        """Refuse a head for reasons other than the rules of RFC 9112; return whether it was."""
        raise NotImplementedError

    def on_head_read(self) -> None:
        """Handle a new request, which is in `cycle`."""
        raise NotImplementedError

    def on_request_read(self) -> None:
        """Handle the end of the body of `cycle`."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Parse what was received, which may be several requests or a part of one."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offered:
            self._continue_after_upgrade(offered, memoryview(data))
        except httptools.HttpParserError:
            self._refuse_invalid_http()

    def on_header(self, name: bytes, value: bytes) -> None:
        # A trailer is not a header (RFC 9110, 6.5.1): proxies have not checked it.
        if not self.is_reading_head:
            return
        name = name.lower()
        # White space around a value is not part of it (RFC 9110, 5.5).
        value = value.rstrip(b" \t")
        self.headers.append((name, value))
        if name in READ_NAMES:
            self._read_header(name, value)

    def _read_header(self, name: bytes, value: bytes) -> None:
        if name != b"expect":
            self._checked_fields += ((name, value),)
        elif value.lower() == b"100-continue":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        if self._ignores_input or self.refuses_head():
            return
        version, method = self.parser.get_http_version(), self.parser.get_method()
        refusal = head_refusal(version, method, self._checked_fields)
        if refusal is None and not (self.url.startswith(b"/") and b"#" not in self.url):
            self.url = origin_form(method, self.url) or b""
            refusal = None if self.url else BAD_TARGET
        if refusal is not None:
            self.refuse(*refusal)
            return
        if version == "1.0":
            # A client of HTTP/1.0 does not know `100 Continue` (RFC 9110, 10.1.1).
            self.expect_100_continue = False
        super().on_headers_complete()
        self.is_reading_head = False
        self.on_head_read()

    def on_body(self, body: bytes) -> None:
        if not self._ignores_input:
            super().on_body(body)

    def on_message_complete(self) -> None:
        # If an upgrade is offered, this is only the end of the head: see `_restart_at_body`.
        if self._ignores_input or self.parser.should_upgrade():
            return
        self.is_reading_head, self._checked_fields = True, ()
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()
        if not self.parser.should_keep_alive():
            # A trailer can close the connection too, and the parser reads nothing after that.
            cycle.keep_alive = False
        # RFC 9112, 9.6: no request after one that closes the connection is processed.
        self._ignores_input = not cycle.keep_alive
        self.on_request_read()

    def has_unsupported_version(self) -> bool:
        """Whether the head that is being read names a version that is not served."""
        version = self.parser.get_http_version()
        return version not in VERSIONS and version != NO_VERSION_YET

    def _continue_after_upgrade(
        self, offered: httptools.HttpParserUpgrade, data: memoryview
    ) -> None:
        """Parse what follows each head that offers an upgrade: the parser stops there."""
        while not self._ignores_input:
            data = data[offered.args[0] :]
            try:
                self._restart_at_body()
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as another:
                offered = another
            except httptools.HttpParserError:
                self._refuse_invalid_http()
            else:
                return

    def _restart_at_body(self) -> None:
        """Parse a body as if no upgrade had been offered (RFC 9110, 7.8; RFC 9112, 6).

        A new parser is fed a head with only the framing fields of the last one, which the former
        parser has accepted, and then parses what follows.
        """
        self.parser = httptools.HttpRequestParser(_CallbacksAfterHead(self))
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        framing = [field for field in self.headers if field[0] in FRAMING_NAMES]
        lines = b"".join(b"%b: %b\r\n" % field for field in framing)
        method = self.scope["method"].encode()
        self.parser.feed_data(b"%b / HTTP/1.1\r\n%b\r\n" % (method, lines))

    def _refuse_invalid_http(self) -> None:
        if self.is_reading_head and self.has_unsupported_version():
            self.refuse(*UNSUPPORTED_VERSION)
        else:
            self.refuse(400, NOT_HTTP)


class _CallbacksAfterHead:
    """The callbacks of a protocol for a parser that starts with a head which it already has."""

    def __init__(self, protocol: StrictHttpProtocol) -> None:
        self._protocol = protocol
        self.on_url = protocol.on_url
        self.on_header = protocol.on_header
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if self._protocol.is_reading_head:
            self._protocol.on_message_begin()

    def on_headers_complete(self) -> None:
        if self._protocol.is_reading_head:
            self._protocol.on_headers_complete()
