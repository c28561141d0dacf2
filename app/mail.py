"""Sending mail: a message, and who carries it. What messages say is written elsewhere."""

import re
import sys
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
    SMTPDataError,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from app import email_addresses
from app.errors import Misconfigured

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


@dataclass(frozen=True, slots=True)
class Message:
    to: str
    subject: str
    text: str
    html: str


class Undeliverable(Exception):
    """The mail server will never take this message. The text names no address."""


class Mailer(Protocol):
    async def send(self, message: Message) -> None:
        """Hand it over. Raising means that nobody has taken it: it is tried again.

        Raises:
            Undeliverable: trying again cannot help.

        """


class NoMailer:
    """What there is while SMTP_URL is not set: letters wait in the queue until it is."""

    async def send(self, message: Message) -> None:  # noqa: ARG002 - the protocol's
        raise Misconfigured("SMTP_URL is not set, so no mail can be sent.")


@dataclass(frozen=True, slots=True)
class ConsoleMailer:
    """Prints letters, for a first look around: nobody else gets to read them."""

    out: TextIO

    async def send(self, message: Message) -> None:
        rule = "-" * 72
        lines = (rule, f"To: {message.to}", f"Subject: {message.subject}", "", message.text, rule)
        self.out.write("\n".join(lines) + "\n")
        self.out.flush()


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

    async def send(self, message: Message) -> None:
        to = receiver(message.to)
        async with self._client() as client:
            # Connected: what is not supported from here on is SMTPUTF8.
            try:
                await client.send_message(
                    written(message, to, self.sender), recipients=[to.addr_spec]
                )
            except SMTPNotSupported:
                if to.addr_spec.isascii():
                    raise
                raise Undeliverable(NO_SMTPUTF8) from None
            except SMTPRecipientsRefused as refused:
                _raise_if_permanent(refused.recipients[0])
                raise
            except SMTPDataError as refused:
                _raise_if_permanent(refused)
                raise

    def _client(self) -> SMTP:
        return SMTP(
            hostname=self.hostname,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.from_start,
            # True refuses to go on without it.
            start_tls=not self.from_start and not self.in_clear,
            timeout=TIMEOUT_SECONDS,
        )


def _raise_if_permanent(refused: SMTPResponseException) -> None:
    """Tell replies that stay the same however often a message is sent (RFC 5321, 4.2.1).

    A policy (RFC 3463, X.7) may be about this server and not about the address, as where a relay
    wants a password: the operator has time to mend that.
    """
    found = ENHANCED_STATUS.match(refused.message)
    status = found[0] if found else ""
    if refused.code in PERMANENT and not status.startswith("5.7."):
        raise Undeliverable(f"{REFUSED} ({refused.code} {status}".rstrip() + ")") from None


def receiver(email: str) -> Address:
    """Read one address and no more, its domain in ASCII, as every server has it (RFC 5891).

    Letters before the `@` are for servers that have SMTPUTF8 (RFC 6531).

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
    """Give who carries the letters of these settings.

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
