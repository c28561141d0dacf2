"""`portico mail test`: whether an email leaves, and if not, at which step it fails."""

import asyncio
from typing import Annotated

import typer
from email_validator import EmailNotValidError

from app.cli.setup import fail, out
from app.config.settings import Settings, read_settings
from app.mail.mailer import CONSOLE, Mailer, Message, NotSent, mailer_of, receiver

SUBJECT = "A test email from Portico"
TEXT = (
    "This email was sent by the command `portico mail test`, to find out whether emails arrive. "
    "There is nothing to do."
)
HTML = f"<p>{TEXT.replace('`', '')}</p>"


def send_test(
    address: Annotated[str, typer.Argument(help="Where to: an address of yours.")],
) -> None:
    """Send one email now, through SMTP_URL, and say what the mail server said.

    No database and no queue is used. The exit code is 1 if the email was not taken.
    """
    settings = read_settings()
    try:
        receiver(address)
    except EmailNotValidError as why:
        fail(f"{address} is not an email address: {why}")
    try:
        said = asyncio.run(_mailer(settings).send(Message(address, SUBJECT, TEXT, HTML)))
    except NotSent as failure:
        fail(str(failure))
    out.print(said, markup=False)


def _mailer(settings: Settings) -> Mailer:
    """Returns what `portico serve` would send with."""
    if settings.smtp_url is not None:
        return mailer_of(settings.smtp_url.get_secret_value(), settings.mail_from)
    return mailer_of(CONSOLE if settings.embedded else None, settings.mail_from)
