"""`portico mail test` and `portico mail templates`."""

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from email_validator import EmailNotValidError

from app.cli.console import fail, out
from app.mail.mailer import CONSOLE, Mailer, Message, NotSent, mailer_of, recipient_address
from app.mail.services.template_files import kinds_of
from app.mail.services.templates import Templates
from app.modules import MODULES, emails_of, modules_named, read_settings
from app.settings import Settings

SUBJECT = "A test email from {product}"
TEXT = (
    "This email was sent by the command `portico mail test`, to find out whether emails arrive. "
    "You do not have to do anything."
)
HTML = f"<p>{TEXT.replace('`', '')}</p>"


def send_test(address: str) -> None:
    settings = read_settings()
    try:
        recipient_address(address)
    except EmailNotValidError as error:
        fail(f"{address} is not an email address: {error}")
    message = Message(address, SUBJECT.format(product=settings.product), TEXT, HTML)
    try:
        reply = asyncio.run(_mailer(settings).send(message))
    except NotSent as failure:
        fail(str(failure))
    out.print(reply, markup=False)


def templates(*, copy: Path | None, as_markdown: bool) -> None:
    if copy is not None:
        _copy_shipped(copy)
    elif as_markdown:
        out.print(markdown(), markup=False)
    else:
        settings = read_settings()
        emails = emails_of(modules_named(settings.modules))
        _show(Templates.load(emails, settings.templates_dir))


def markdown() -> str:
    """Returns the tables of docs/operators/emails.md: templates and variables."""
    kinds = kinds_of(email for module in emails_of(MODULES) for email in module.emails)
    templates = (f"| `{name}` | {_names(kind.variables)} |" for name, kind in kinds.items())
    # Many templates have the same variables: each is listed once.
    meanings = dict.fromkeys(each for kind in kinds.values() for each in kind.variables.items())
    variables = (f"| `{name}` | {meaning} |" for name, meaning in meanings)
    head = "| template | variables |", "|---|---|"
    second_head = "", "| variable | what it is |", "|---|---|"
    return "\n".join((*head, *templates, *second_head, *variables))


def _names(variables: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in variables)


def _show(loaded: Templates) -> None:
    name_width = max(map(len, loaded.translations))
    for name, translations in loaded.translations.items():
        for each in translations.values():
            out.print(f"{name:{name_width}}  {each.locale:6}  {each.path}", markup=False)


def _copy_shipped(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    copied = list(_copied(folder))
    out.print("\n".join(copied) or "All templates exist already.", markup=False)


def _copied(folder: Path) -> Iterator[str]:
    """Copy missing templates, and yield the path of each copy."""
    for translations in Templates.load(emails_of(MODULES), None).translations.values():
        for each in translations.values():
            copy = folder / each.path.name
            if not copy.exists():
                shutil.copyfile(each.path, copy)
                yield str(copy)


def _mailer(settings: Settings) -> Mailer:
    """Returns the mailer that `portico serve` uses."""
    if settings.smtp_url is not None:
        return mailer_of(settings.smtp_url.get_secret_value(), settings.mail_from)
    return mailer_of(CONSOLE if settings.embedded else None, settings.mail_from)
