"""The command group `portico mail`: sends a test email, and checks and copies templates."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.deferred import runs

COMMANDS = typer.Typer(
    name="mail", help="Emails: the mail server and templates.", no_args_is_help=True
)

COPY = "Copy the templates of Portico into this directory; existing files are kept."
AS_MARKDOWN = "Print the reference of all templates and variables; ignores settings."


@COMMANDS.command("test")
@runs("app.mail.commands.emails")
def send_test(
    address: Annotated[str, typer.Argument(help="The recipient: one of your addresses.")],
) -> None:
    """Send one email now, through SMTP_URL, and print the reply of the mail server.

    Uses no database and no queue. The exit code is 1 if the email was not accepted.
    """


@COMMANDS.command()
@runs("app.mail.commands.emails")
def templates(
    *,
    copy: Annotated[Path | None, typer.Option("--copy", help=COPY)] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help=AS_MARKDOWN)] = False,
) -> None:
    """Check all templates of emails, and show their languages and files.

    Templates in TEMPLATES_DIR replace those of the same name. The exit code is 1 if one is invalid.
    """
