"""An SMTP server on loopback, which can refuse emails and delay its replies."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from threading import Event
from typing import Any

from aiosmtpd.controller import Controller

from tests.support.servers import free_port

TAKEN = "250 taken"


@dataclass
class SmtpServer:
    """Keeps every email that arrives, repeated ones too."""

    host: str = "127.0.0.1"
    emails: list[EmailMessage] = field(default_factory=list[EmailMessage])
    receivers: list[list[str]] = field(default_factory=list[list[str]])
    arrived: Event = field(default_factory=Event)
    silent: bool = False
    # Its replies to senders, recipients and messages that it refuses.
    sender_reply: str | None = None
    recipient_reply: str | None = None
    message_reply: str | None = None
    tries: int = 0
    port: int = 0

    async def handle_MAIL(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if self.sender_reply is not None:
            return self.sender_reply
        envelope.mail_from = address
        return TAKEN

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        self.tries += 1
        if self.recipient_reply is not None:
            return self.recipient_reply
        envelope.rcpt_tos.append(address)
        return TAKEN

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if self.message_reply is not None:
            return self.message_reply
        email = message_from_bytes(envelope.content, policy=policy.default)
        self.emails.append(email)
        self.receivers.append(envelope.rcpt_tos)
        self.arrived.set()
        if self.silent:
            # It has the email, but does not tell the sender.
            await asyncio.sleep(60)
        return TAKEN

    def wait_for_email(self) -> EmailMessage:
        assert self.arrived.wait(20), "no email arrived"
        self.arrived.clear()
        return self.emails[-1]


@contextmanager
def running_smtp_server(smtp: SmtpServer | None = None, **options: Any) -> Generator[SmtpServer]:
    smtp = smtp or SmtpServer()
    controller: Any = Controller(smtp, hostname=smtp.host, port=smtp.port, **options)
    if smtp.port == 0:
        controller.port = free_port()
    controller.start()
    smtp.port = controller.port
    try:
        yield smtp
    finally:
        controller.stop()
