"""Sending mail: a message, and who carries it. What messages say is written elsewhere."""

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
from ipaddress import ip_address
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

CONSOLE = "console:"
SMTP_PORTS = {"smtp": 587, "smtps": 465}
TIMEOUT_SECONDS = 20
# About this mailbox or this message (RFC 5321, 4.2.2; RFC 7504). Other codes of 500 and more are
# about the connection or its commands.
PERMANENT = {550, 551, 552, 553, 554, 556}
# RFC 3463. Of all that a server replies, only this and the code are sure to hold no address.
ENHANCED_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\S)")
NO_SMTPUTF8 = "the mail server does not support SMTPUTF8, which this address needs"
REFUSED = "the mail server refuses this recipient or message for good"
NO_SMTP_URL = "SMTP_URL is not set, so no mail can be sent."
PRINTED = "SMTP_URL=console: prints emails on standard output; no mail server is used."
# RFC 5321, 4.5.3.1.5, allows half a thousand a line, and a reply may have several.
MAX_QUOTED_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Message:
    to: str
    subject: str
    text: str
    html: str


class NotSent(Exception):
    """The mail server has not taken an email; the class says which step failed.

    The text quotes the mail server, whose words nobody knows beforehand: it is for the operator who
    tries the mail server, and not for the queue.
    """

    def __init__(self, text: str, permanent: str | None = None) -> None:
        super().__init__(text)
        # Why trying again cannot help, if so. It names no address.
        self.permanent = permanent


class HostNotFound(NotSent):
    """The name of the mail server has no address."""


class NoConnection(NotSent):
    """The mail server does not accept a connection, or nothing there speaks SMTP."""


class TlsFailed(NotSent):
    """There is no TLS, or not with a certificate for this name."""


class SignInRefused(NotSent):
    """The mail server does not accept the user and password, or no sign-in at all."""


class SenderRefused(NotSent):
    """The mail server does not accept MAIL_FROM."""


class RecipientRefused(NotSent):
    """The mail server does not accept the recipient."""


class MessageRefused(NotSent):
    """The mail server does not accept the message."""


class ConnectionLost(NotSent):
    """The connection broke while the email was handed over: it may have been taken."""


class Mailer(Protocol):
    async def send(self, message: Message) -> str:
        """Hand a message over and return what the mail server said.

        Any error means that nobody has taken it for certain: it is tried again.

        Raises:
            NotSent: the mail server did not take it. Where `permanent` is set, trying again cannot
                help.

        """
        ...

    async def check(self) -> str:
        """Connect and sign in as for a message, send none, and say in one sentence what was found.

        Raises:
            NotSent: no message could be sent now; names the step that failed.
            Misconfigured: there is no mail server.

        """
        ...


class NoMailer:
    """What there is while SMTP_URL is not set: emails wait in the queue until it is."""

    async def send(self, message: Message) -> str:  # noqa: ARG002 - the protocol's
        raise Misconfigured(NO_SMTP_URL)

    async def check(self) -> str:
        raise Misconfigured(NO_SMTP_URL)


@dataclass(frozen=True, slots=True)
class ConsoleMailer:
    """Prints emails, for a first look around: nobody else gets to read them."""

    out: TextIO

    async def send(self, message: Message) -> str:
        rule = "-" * 72
        lines = (rule, f"To: {message.to}", f"Subject: {message.subject}", "", message.text, rule)
        self.out.write("\n".join(lines) + "\n")
        self.out.flush()
        return PRINTED

    async def check(self) -> str:
        return PRINTED


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """Over SMTP, with TLS from the start (`smtps:`) or by STARTTLS (`smtp:`)."""

    hostname: str
    port: int
    username: str | None
    password: str | None
    from_start: bool
    in_clear: bool
    sender: str

    @classmethod
    def of(cls, url: str, sender: str) -> "SmtpMailer":
        """Read `smtp[s]://[user:password@]host[:port][?tls=none]`.

        Raises:
            Misconfigured: it is no such address, or would send passwords in clear.

        """
        parts = urlsplit(url)
        if parts.scheme not in SMTP_PORTS or not parts.hostname:
            raise Misconfigured("SMTP_URL must be smtp://… or smtps://… and name a host.")
        asked_in_clear = parse_qs(parts.query).get("tls") == ["none"]
        if asked_in_clear and parts.username:
            raise Misconfigured("SMTP_URL has a password and tls=none: it would go in clear.")
        return cls(
            parts.hostname,
            parts.port or SMTP_PORTS[parts.scheme],
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            from_start=parts.scheme == "smtps",
            in_clear=asked_in_clear or (parts.username is None and _is_loopback(parts.hostname)),
            sender=sender,
        )

    async def send(self, message: Message) -> str:
        to = receiver(message.to)
        mail = written(message, to, self.sender)
        async with self._signed_in() as client:
            try:
                _, said = await client.send_message(mail, recipients=[to.addr_spec])
            except SMTPNotSupported as error:
                # Connected: what is not supported from here on is SMTPUTF8.
                permanent = None if to.addr_spec.isascii() else NO_SMTPUTF8
                raise RecipientRefused(
                    f"{self._at}: {permanent or error.message}", permanent
                ) from error
            except SMTPSenderRefused as refused:
                raise SenderRefused(
                    f"{self._at} refuses MAIL_FROM: {self._quoted(refused)}"
                ) from refused
            except SMTPRecipientsRefused as refused:
                reply = refused.recipients[0]
                text = f"{self._at} refuses the recipient: {_without(to, self._quoted(reply))}"
                raise RecipientRefused(text, _permanent(reply)) from refused
            except SMTPDataError as refused:
                text = f"{self._at} refuses the message: {_without(to, self._quoted(refused))}"
                raise MessageRefused(text, _permanent(refused)) from refused
            except (SMTPException, OSError) as error:
                raise ConnectionLost(f"{self._at}: {self._named(error)}") from error
        # What aiosmtplib does not raise has this code.
        reply = f"{SMTPStatus.completed:d} {self._printable(said)}"
        return f"{self._at} has taken it: {_without(to, reply)}"

    async def check(self) -> str:
        async with self._signed_in():
            encrypted = "without TLS" if self.in_clear else "with TLS"
            did = "signed in" if self.username else "connected; SMTP_URL names no user"
            return f"{self._at}: {did}, {encrypted}."

    @asynccontextmanager
    async def _signed_in(self) -> AsyncGenerator[SMTP]:
        client = SMTP(
            hostname=self.hostname,
            port=self.port,
            use_tls=self.from_start,
            start_tls=False,
            timeout=TIMEOUT_SECONDS,
        )
        await self._connect(client)
        async with client:
            if not self.from_start and not self.in_clear:
                await self._start_tls(client)
            if self.username is not None:
                await self._sign_in(client, self.username, self.password or "")
            yield client

    async def _connect(self, client: SMTP) -> None:
        try:
            await client.connect()
        except SMTPConnectResponseError as refused:
            text = f"{self._at} refuses the connection: {self._quoted(refused)}"
            raise NoConnection(text) from refused
        except SMTPConnectTimeoutError as late:
            text = f"{self._at} did not answer within {TIMEOUT_SECONDS} s.{self._other_scheme()}"
            raise NoConnection(text) from late
        except SMTPConnectError as error:
            raise self._not_connected(error.__cause__ or error) from error
        except SMTPException as error:
            text = f"{self._at} does not speak SMTP: {self._named(error)}"
            raise NoConnection(text) from error

    def _not_connected(self, cause: BaseException) -> NotSent:
        if isinstance(cause, socket.gaierror):
            return HostNotFound(f"{self.hostname} in SMTP_URL was not found: {cause.strerror}.")
        if isinstance(cause, ssl.SSLError):
            return self._no_tls(cause)
        return NoConnection(f"Cannot connect to {self._at}: {self._named(cause)}.")

    async def _start_tls(self, client: SMTP) -> None:
        try:
            await client.starttls()
        except ssl.SSLError as error:
            raise self._no_tls(error) from error
        except (SMTPException, OSError) as error:
            raise TlsFailed(f"No TLS with {self._at}: {self._named(error)}") from error

    def _no_tls(self, error: ssl.SSLError) -> TlsFailed:
        if isinstance(error, ssl.SSLCertVerificationError):
            return TlsFailed(f"The certificate of {self._at} is invalid: {error.verify_message}.")
        reason = (error.reason or "unknown").lower().replace("_", " ")
        return TlsFailed(f"No TLS with {self._at}: {reason}.{self._other_scheme()}")

    def _other_scheme(self) -> str:
        if self.from_start:
            return " A server that expects STARTTLS needs smtp:// in SMTP_URL."
        return " A server that expects TLS from the start needs smtps:// in SMTP_URL."

    async def _sign_in(self, client: SMTP, username: str, password: str) -> None:
        try:
            await client.login(username, password)
        except (SMTPException, OSError) as error:
            text = f"{self._at} does not accept the user and password in SMTP_URL: "
            raise SignInRefused(text + self._named(error)) from error

    @property
    def _at(self) -> str:
        return (
            f"[{self.hostname}]:{self.port}"
            if ":" in self.hostname
            else f"{self.hostname}:{self.port}"
        )

    def _named(self, error: BaseException) -> str:
        if isinstance(error, SMTPResponseException):
            return self._quoted(error)
        if isinstance(error, SMTPTimeoutError):
            return f"no answer within {TIMEOUT_SECONDS} s"
        if isinstance(error, SMTPException):
            return self._printable(error.message)
        if isinstance(error, OSError) and error.errno:
            return os.strerror(error.errno)
        return self._printable(str(error)) or type(error).__name__

    def _quoted(self, refused: SMTPResponseException) -> str:
        text = self._printable(refused.message)
        # A negative code stands for a reply that was none.
        return text if refused.code < 0 else f"{refused.code} {text}"

    def _printable(self, text: str) -> str:
        """Return what a mail server said as one line, without the password that it may repeat."""
        for secret in self._secrets():
            text = text.replace(secret, "********")
        line = " ".join(text.split())
        return "".join(each if each.isprintable() else "?" for each in line)[:MAX_QUOTED_CHARACTERS]

    def _secrets(self) -> tuple[str, ...]:
        """Return the password as it is sent (RFC 4616, AUTH LOGIN) and as it is typed."""
        if not self.password:
            return ()
        plain = f"\0{self.username}\0{self.password}"
        return (_base64(plain), _base64(self.password), self.password)


def _without(to: Address, text: str) -> str:
    """Return it without the recipient, which mail servers repeat and no log may name."""
    return re.sub(re.escape(to.addr_spec), "…", text, flags=re.IGNORECASE)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()


def _permanent(refused: SMTPResponseException) -> str | None:
    """Return why a reply stays the same however often a message is sent (RFC 5321, 4.2.1), if so.

    A policy (RFC 3463, X.7) may be about this server and not about the address, as where a relay
    wants a password: the operator has time to mend that.
    """
    found = ENHANCED_STATUS.match(refused.message)
    status = found[0] if found else ""
    if refused.code not in PERMANENT or status.startswith("5.7."):
        return None
    return f"{REFUSED} ({refused.code} {status}".rstrip() + ")"


def receiver(email: str) -> Address:
    """Read one address and no more, its domain in ASCII, as every server has it (RFC 5891).

    Non-ASCII characters before the `@` are for servers that have SMTPUTF8 (RFC 6531).

    Raises:
        EmailNotValidError: it is none.

    """
    read = email_addresses.parse(email)
    return Address(username=read.local_part, domain=read.ascii_domain)


def written(message: Message, to: Address, sender: str) -> EmailMessage:
    """Write it out (RFC 5322, RFC 6532), both texts, marked as sent by a machine (RFC 3834)."""
    name, address = parseaddr(sender)
    mail = EmailMessage()
    mail["From"] = Address(display_name=name, addr_spec=address)
    # As a structured address it cannot bring headers of its own.
    mail["To"] = to
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = make_msgid(domain=address.rpartition("@")[2])
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail


def mailer_of(url: str | None, sender: str) -> Mailer:
    """Returns what sends emails with these settings.

    Raises:
        Misconfigured: the address cannot be used.

    """
    if url is None:
        return NoMailer()
    return ConsoleMailer(sys.stdout) if url == CONSOLE else SmtpMailer.of(url, sender)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
