"""Sends messages, over SMTP or to the console."""

import os
import re
import socket
import ssl
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr
from typing import Protocol, TextIO
from urllib.parse import parse_qs, unquote, urlsplit

from aiosmtplib import (
    SMTP,
    SMTPConnectError,
    SMTPConnectResponseError,
    SMTPConnectTimeoutError,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPStatus,
    SMTPTimeoutError,
)

from app.errors import Misconfigured
from app.text import email_addresses
from app.text.hosts import is_loopback

CONSOLE = "console:"
SMTP_PORTS = {"smtp": 587, "smtps": 465}
TIMEOUT_SECONDS = 20
# Codes about the mailbox or the message (RFC 5321, 4.2.2; RFC 7504). Other codes of 500 and more
# are about the connection or its commands.
PERMANENT = {550, 551, 552, 553, 554, 556}
# RFC 3463. Only this and the code are sure to contain no address; the text of a reply may.
ENHANCED_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\S)")
NO_SMTPUTF8 = "the mail server does not support SMTPUTF8, which this address needs"
REFUSED = "the mail server refuses this recipient or message for good"
NO_SMTP_URL = "SMTP_URL is not set, so no mail can be sent."
CONSOLE_REPLY = "SMTP_URL=console: prints emails on standard output; no mail server is used."
# A line of a reply has up to 512 characters (RFC 5321, 4.5.3.1.5), and a reply several lines.
MAX_QUOTED_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Message:
    to: str
    subject: str
    text: str
    html: str


class NotSent(Exception):
    """The mail server has not accepted an email; the class says which step failed.

    The message quotes the mail server, and may contain anything: it is for an operator who tests
    the mail server, and is never stored.
    """

    def __init__(self, text: str, permanent: str | None = None) -> None:
        super().__init__(text)
        # Why the email can never be sent, without an address; None if it may be later.
        self.permanent = permanent


class HostNotFound(NotSent):
    """The name of the mail server has no address."""


class NoConnection(NotSent):
    """The mail server does not accept a connection, or does not speak SMTP."""


class TlsFailed(NotSent):
    """TLS is not available, or the certificate is invalid."""


class SignInRefused(NotSent):
    """The mail server does not accept the user and password, or does not support signing in."""


class SenderRefused(NotSent):
    """The mail server does not accept MAIL_FROM."""


class RecipientRefused(NotSent):
    """The mail server does not accept the recipient."""


class MessageRefused(NotSent):
    """The mail server does not accept the message."""


class ConnectionLost(NotSent):
    """The connection was lost while sending: the email may have been accepted."""


class Mailer(Protocol):
    async def send(self, message: Message) -> str:
        """Send a message, and return the reply of the mail server.

        After any error the message may not have been accepted: it is sent again.

        Raises:
            NotSent: the mail server did not accept it; if `permanent` is set, it never will.

        """
        ...

    async def check(self) -> str:
        """Connect and sign in without sending, and return the result in one sentence.

        Raises:
            NotSent: no message could be sent now; names the step that failed.
            Misconfigured: there is no mail server.

        """
        ...


class NoMailer:
    """Used while SMTP_URL is not set: emails wait in the queue until it is."""

    async def send(self, message: Message) -> str:  # noqa: ARG002 - the protocol's
        raise Misconfigured(NO_SMTP_URL)

    async def check(self) -> str:
        raise Misconfigured(NO_SMTP_URL)


@dataclass(frozen=True, slots=True)
class ConsoleMailer:
    """Prints emails to the console, for trying Portico without a mail server."""

    out: TextIO

    async def send(self, message: Message) -> str:
        rule = "-" * 72
        lines = (rule, f"To: {message.to}", f"Subject: {message.subject}", "", message.text, rule)
        self.out.write("\n".join(lines) + "\n")
        self.out.flush()
        return CONSOLE_REPLY

    async def check(self) -> str:
        return CONSOLE_REPLY


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """Sends emails over SMTP, with TLS from the start (`smtps:`) or STARTTLS (`smtp:`)."""

    hostname: str
    port: int
    username: str | None
    password: str | None
    tls_from_start: bool
    without_tls: bool
    sender: str

    @classmethod
    def of(cls, url: str, sender: str) -> "SmtpMailer":
        """Returns the mailer of `smtp[s]://[user:password@]host[:port][?tls=none]`.

        Raises:
            Misconfigured: the URL is invalid, or the password would be sent without encryption.

        """
        parts = urlsplit(url)
        if parts.scheme not in SMTP_PORTS or not parts.hostname:
            raise Misconfigured("SMTP_URL must be smtp://… or smtps://… and name a host.")
        tls_is_off = parse_qs(parts.query).get("tls") == ["none"]
        if tls_is_off and parts.username:
            raise Misconfigured(
                "SMTP_URL has a password and tls=none: it would be sent unencrypted."
            )
        return cls(
            parts.hostname,
            parts.port or SMTP_PORTS[parts.scheme],
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            tls_from_start=parts.scheme == "smtps",
            without_tls=tls_is_off or (parts.username is None and is_loopback(parts.hostname)),
            sender=sender,
        )

    async def send(self, message: Message) -> str:
        to = recipient_address(message.to)
        mail = mime_message(message, to, self.sender)
        async with self._connection() as client:
            try:
                _, text = await client.send_message(mail, recipients=[to.addr_spec])
            except SMTPNotSupported as error:
                # Once connected, only SMTPUTF8 can be unsupported.
                permanent = None if to.addr_spec.isascii() else NO_SMTPUTF8
                raise RecipientRefused(
                    f"{self._server}: {permanent or error.message}", permanent
                ) from error
            except SMTPSenderRefused as refused:
                raise SenderRefused(
                    f"{self._server} refuses MAIL_FROM: {self._reply_text(refused)}"
                ) from refused
            except SMTPRecipientsRefused as refused:
                reply = refused.recipients[0]
                quoted = _without_recipient(to, self._reply_text(reply))
                text = f"{self._server} refuses the recipient: {quoted}"
                raise RecipientRefused(text, _permanent(reply)) from refused
            except SMTPDataError as refused:
                quoted = _without_recipient(to, self._reply_text(refused))
                text = f"{self._server} refuses the message: {quoted}"
                raise MessageRefused(text, _permanent(refused)) from refused
            except (SMTPException, OSError) as error:
                raise ConnectionLost(f"{self._server}: {self._error_text(error)}") from error
        # aiosmtplib raises for all other codes.
        reply = f"{SMTPStatus.completed:d} {self._printable(text)}"
        return f"{self._server} accepted it: {_without_recipient(to, reply)}"

    async def check(self) -> str:
        async with self._connection():
            encrypted = "without TLS" if self.without_tls else "with TLS"
            step = "signed in" if self.username else "connected; SMTP_URL names no user"
            return f"{self._server}: {step}, {encrypted}."

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[SMTP]:
        client = SMTP(
            hostname=self.hostname,
            port=self.port,
            use_tls=self.tls_from_start,
            start_tls=False,
            timeout=TIMEOUT_SECONDS,
        )
        await self._connect(client)
        async with client:
            if not self.tls_from_start and not self.without_tls:
                await self._start_tls(client)
            if self.username is not None:
                await self._sign_in(client, self.username, self.password or "")
            yield client

    async def _connect(self, client: SMTP) -> None:
        try:
            await client.connect()
        except SMTPConnectResponseError as refused:
            text = f"{self._server} refuses the connection: {self._reply_text(refused)}"
            raise NoConnection(text) from refused
        except SMTPConnectTimeoutError as late:
            text = (
                f"{self._server} did not answer within {TIMEOUT_SECONDS} s.{self._other_scheme()}"
            )
            raise NoConnection(text) from late
        except SMTPConnectError as error:
            raise self._not_connected(error.__cause__ or error) from error
        except SMTPException as error:
            text = f"{self._server} does not speak SMTP: {self._error_text(error)}"
            raise NoConnection(text) from error

    def _not_connected(self, cause: BaseException) -> NotSent:
        if isinstance(cause, socket.gaierror):
            return HostNotFound(f"{self.hostname} in SMTP_URL was not found: {cause.strerror}.")
        if isinstance(cause, ssl.SSLError):
            return self._no_tls(cause)
        return NoConnection(f"Cannot connect to {self._server}: {self._error_text(cause)}.")

    async def _start_tls(self, client: SMTP) -> None:
        try:
            await client.starttls()
        except ssl.SSLError as error:
            raise self._no_tls(error) from error
        except (SMTPException, OSError) as error:
            raise TlsFailed(f"No TLS with {self._server}: {self._error_text(error)}") from error

    def _no_tls(self, error: ssl.SSLError) -> TlsFailed:
        if isinstance(error, ssl.SSLCertVerificationError):
            return TlsFailed(
                f"The certificate of {self._server} is invalid: {error.verify_message}."
            )
        reason = (error.reason or "unknown").lower().replace("_", " ")
        return TlsFailed(f"No TLS with {self._server}: {reason}.{self._other_scheme()}")

    def _other_scheme(self) -> str:
        if self.tls_from_start:
            return " A server that expects STARTTLS needs smtp:// in SMTP_URL."
        return " A server that expects TLS from the start needs smtps:// in SMTP_URL."

    async def _sign_in(self, client: SMTP, username: str, password: str) -> None:
        try:
            await client.login(username, password)
        except (SMTPException, OSError) as error:
            text = f"{self._server} does not accept the user and password in SMTP_URL: "
            raise SignInRefused(text + self._error_text(error)) from error

    @property
    def _server(self) -> str:
        return (
            f"[{self.hostname}]:{self.port}"
            if ":" in self.hostname
            else f"{self.hostname}:{self.port}"
        )

    def _error_text(self, error: BaseException) -> str:
        if isinstance(error, SMTPResponseException):
            return self._reply_text(error)
        if isinstance(error, SMTPTimeoutError):
            return f"no answer within {TIMEOUT_SECONDS} s"
        if isinstance(error, SMTPException):
            return self._printable(error.message)
        if isinstance(error, OSError) and error.errno:
            return os.strerror(error.errno)
        return self._printable(str(error)) or type(error).__name__

    def _reply_text(self, refused: SMTPResponseException) -> str:
        text = self._printable(refused.message)
        # The code is negative if the reply was not valid SMTP.
        return text if refused.code < 0 else f"{refused.code} {text}"

    def _printable(self, text: str) -> str:
        """Returns the text of a mail server as one line, without a password that it repeats."""
        for secret in self._secrets():
            text = text.replace(secret, "********")
        line = " ".join(text.split())
        return "".join(each if each.isprintable() else "?" for each in line)[:MAX_QUOTED_CHARACTERS]

    def _secrets(self) -> tuple[str, ...]:
        """Returns the password as it is sent (RFC 4616, AUTH LOGIN) and as it is set."""
        if not self.password:
            return ()
        plain = f"\0{self.username}\0{self.password}"
        return (_base64(plain), _base64(self.password), self.password)


def _without_recipient(to: Address, text: str) -> str:
    """Returns the text without the recipient, which mail servers repeat and no log may contain."""
    return re.sub(re.escape(to.addr_spec), "…", text, flags=re.IGNORECASE)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _permanent(refused: SMTPResponseException) -> str | None:
    """Returns why sending again cannot help (RFC 5321, 4.2.1); None if it may.

    A refusal by policy (RFC 3463, X.7) may be about this server, for example if a relay wants a
    password: the operator has time to correct that.
    """
    found = ENHANCED_STATUS.match(refused.message)
    status = found[0] if found else ""
    if refused.code not in PERMANENT or status.startswith("5.7."):
        return None
    return f"{REFUSED} ({refused.code} {status}".rstrip() + ")"


def recipient_address(email: str) -> Address:
    """Returns a single address, with its domain in ASCII (RFC 5891).

    Non-ASCII characters before the `@` need a server with SMTPUTF8 (RFC 6531).

    Raises:
        EmailNotValidError: the text is not one address.

    """
    read = email_addresses.parse(email)
    return Address(username=read.local_part, domain=read.ascii_domain)


def mime_message(message: Message, to: Address, sender: str) -> EmailMessage:
    """Returns the MIME message of both texts (RFC 5322, RFC 6532), marked automatic (RFC 3834)."""
    name, address = parseaddr(sender)
    mail = EmailMessage()
    mail["From"] = Address(display_name=name, addr_spec=address)
    # A structured address cannot inject headers.
    mail["To"] = to
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = make_msgid(domain=address.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail


def mailer_of(url: str | None, sender: str) -> Mailer:
    """Returns the mailer for these settings.

    Raises:
        Misconfigured: the URL is invalid.

    """
    if url is None:
        return NoMailer()
    return ConsoleMailer(sys.stdout) if url == CONSOLE else SmtpMailer.of(url, sender)
