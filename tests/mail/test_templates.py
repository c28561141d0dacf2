"""Templates of emails: which one an email uses, and how an invalid one is reported."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.errors import Misconfigured
from app.jobs.services.queue import Jobs
from app.jobs.services.worker import Worker
from app.mail.emails import Email, ModuleEmails
from app.mail.services.outgoing_emails import OutgoingEmails
from app.mail.services.templates import Templates
from app.main import create_app
from app.modules import MODULES, emails_of
from app.settings import Settings
from app.testing.clients import LOGIN, Api, Person
from app.testing.clock import FakeClock
from app.testing.commands import run
from app.testing.outbox import Outbox
from app.testing.settings import SECRET
from tests.support.servers import ROOT, portico

Deliver = Callable[[], Awaitable[None]]

REQUEST = """
mutation Request($email: String!) {
  requestPasswordReset(input: {email: $email}) { __typename }
}
"""
PRODUCT = "Acme & <Sons>"
GERMAN = """\
{% block subject %}Neues Passwort für {{ product_name }}{% endblock %}
{% block body %}
Wählen Sie innerhalb von {{ lifetime }} ein neues Passwort:
{% endblock %}
"""
GERMAN_DURATION = """\
{% set units = {"day": "Tage", "hour": "Stunden", "minute": "Minuten", "second": "Sekunden"} %}
{{ count }} {{ units[unit] }}
"""
GERMAN_WARNING = """\
{% block subject %}Ihr Passwort ist gesperrt{% endblock %}
{% block body %}
Es wurde hundertmal falsch eingegeben.
{% endblock %}
"""
IN_GERMAN = f"Neues Passwort für {PRODUCT}"
IN_ENGLISH = "Choose a new password"

MODULE_EMAILS = emails_of(MODULES)


@dataclass(frozen=True, slots=True)
class FormerEmail:
    """A job as a release without languages queues it."""

    job: ClassVar[str] = "mail.letter"

    letter: str
    to: str
    token: str
    lifetime: str


def write(folder: Path, **files: str) -> Path:
    """Write templates; `__` in a name stands for a dot."""
    for name, content in files.items():
        (folder / f"{name.replace('__', '.')}.txt").write_text(content, encoding="utf-8")
    return folder


@pytest.fixture
async def translated(
    settings: Settings, clock: FakeClock, outbox: Outbox, api: Api, tmp_path: Path
) -> AsyncIterator[FastAPI]:
    """A server with two translated emails and a product name."""
    assert api.errors == []
    folder = write(
        tmp_path,
        reset_password__de=GERMAN,
        password_locked__de=GERMAN_WARNING,
        duration__de=GERMAN_DURATION,
    )
    changes: dict[str, Any] = {"templates_dir": folder, "product_name": PRODUCT}
    app = create_app(settings.model_copy(update=changes), clock, outbox)
    async with app.router.lifespan_context(app):
        yield app


async def ask_for_a_password(app: FastAPI, person: Person, accept_language: str | None) -> None:
    async with Api.of(app) as guest:
        if accept_language is not None:
            guest.http.headers["accept-language"] = accept_language
        await guest(REQUEST, email=person.email)
    await app.state.portico.services[Worker].drain()


@pytest.mark.parametrize(
    ("accept_language", "subject"),
    [
        ("de", IN_GERMAN),
        ("de-AT,de;q=0.9,en;q=0.8", IN_GERMAN),
        ("fr, de;q=0.5", IN_GERMAN),
        ("en, de;q=0.5", IN_ENGLISH),
        ("fr", IN_ENGLISH),
        (None, IN_ENGLISH),
        ("../de", IN_ENGLISH),
        ("de," * 1000, IN_ENGLISH),
    ],
)
async def test_the_language_of_an_email_is_that_of_the_request(
    translated: FastAPI, ada: Person, outbox: Outbox, accept_language: str | None, subject: str
) -> None:
    await ask_for_a_password(translated, ada, accept_language)

    assert outbox.subjects == [(ada.email, subject)]


async def test_a_translated_email_has_words_of_one_language_and_is_escaped_in_html(
    translated: FastAPI, ada: Person, outbox: Outbox
) -> None:
    await ask_for_a_password(translated, ada, "de")

    (email,) = outbox.messages
    link = f"http://127.0.0.1:8000/reset-password#token={outbox.token_for(ada.email)}"
    body = "Wählen Sie innerhalb von 30 Minuten ein neues Passwort:"
    assert email.text == f"{body}\n\n{link}\n\n{PRODUCT}"
    html = email.html
    assert '<html lang="de">' in html
    assert f"<p>{body}</p>" in html
    assert f'<a href="{link}">{link}</a>' in html
    assert "Acme &amp; &lt;Sons&gt;" in html
    assert PRODUCT not in html


async def test_an_email_without_a_translation_is_written_in_english(
    translated: FastAPI, ada: Person, outbox: Outbox
) -> None:
    async with Api.of(translated) as guest:
        guest.http.headers["accept-language"] = "de"
        signed_in = await guest.login(ada)
        await signed_in(
            "mutation($password: String!) { deleteAccount(input: {password: $password})"
            " { __typename } }",
            password=ada.password,
        )
    await translated.state.portico.services[Worker].drain()

    (email,) = outbox.messages
    assert (email.subject, '<html lang="en">' in email.html) == ("Your account was deleted", True)


async def test_an_attacker_does_not_choose_the_language_of_the_warning(
    translated: FastAPI, ada: Person, outbox: Outbox, db: Database
) -> None:
    wrong = {"email": ada.email, "password": "wrong"}
    async with Api.of(translated) as guest:
        guest.http.headers["accept-language"] = "de"
        await guest(LOGIN, input=wrong)
        async with db.begin() as session:
            await session.execute(text("UPDATE password_failures SET in_a_row = 99"))
        await guest(LOGIN, input=wrong)
    await translated.state.portico.services[Worker].drain()

    assert outbox.subjects == [(ada.email, "Your password was locked")]


async def test_a_job_of_a_release_without_languages_is_still_delivered(
    app: FastAPI, api: Api, ada: Person, outbox: Outbox, deliver: Deliver
) -> None:
    job = FormerEmail("reset_password", ada.email, f"pot_{'a' * 43}", "30 minutes")
    async with app.state.portico.services[Database].begin() as session:
        await app.state.portico.services[Jobs].enqueue(session, job, about=ada.email)
    await deliver()

    assert (outbox.subjects, api.errors) == ([(ada.email, IN_ENGLISH)], [])
    assert outbox.token_for(ada.email) == job.token


async def test_graphiql_has_the_name_of_the_product(translated: FastAPI) -> None:
    async with Api.of(translated) as guest:
        page = (await guest.http.get("/graphql", headers={"accept": "text/html"})).text

    assert "<title>Acme &amp; &lt;Sons&gt; · GraphiQL</title>" in page
    assert 'content="Acme &amp; &lt;Sons&gt;"' in page
    assert "Portico" not in page


BODY = "{% block subject %}Hello{% endblock %}\n{% block body %}\n"
END = "{% endblock %}\n"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("reset_password.txt", BODY, ", line 2: Unexpected end of template."),
        (
            "reset_password.txt",
            f"{BODY}{{{{ nmae }}}}{END}",
            ", line 3: There is no variable nmae.",
        ),
        (
            "reset_password.txt",
            f"{BODY}{{{{ others }}}}{END}",
            ", line 3: There is no variable others.",
        ),
        (
            "reset_password.txt",
            BODY.replace("subject", "title") + END,
            ": There is no block subject.",
        ),
        (
            "reset_password.de.txt",
            f"{BODY}\n{{{{ to.__class__ }}}}{END}",
            ", line 4: access to attribute '__class__' of 'str' object is unsafe.",
        ),
        ("reset_password.txt", f"{BODY}{{{{ 1 / 0 }}}}{END}", ", line 3: division by zero"),
        (
            "reset_password.txt",
            f"{BODY}{{% include 'missing.txt' %}}{END}",
            ", line 3: 'missing.txt' not found in search path",
        ),
        ("layout.html", "{{ body }}", ", line 1: There is no variable body."),
        (
            "reset_pasword.txt",
            BODY + END,
            ": No email has this template. Did you mean reset_password.txt?",
        ),
        ("reset_password.de_DE.txt", BODY + END, ": No email has this template."),
        ("reset_password.html", BODY + END, ": No email has this template."),
    ],
)
async def test_an_invalid_template_is_reported_with_its_line(
    tmp_path: Path, file: str, content: str, message: str
) -> None:
    (tmp_path / file).write_text(content)

    result = await run("mail", "templates", TEMPLATES_DIR=str(tmp_path))

    assert isinstance(result.exception, Misconfigured)
    (line,) = str(result.exception).splitlines()
    assert line.startswith(f"{tmp_path / file}{message}")


async def test_an_error_in_an_included_file_is_reported_in_that_file(tmp_path: Path) -> None:
    write(tmp_path, _greeting="Hello,\n{{ nobody }}")
    write(tmp_path, reset_password=f"{BODY}{{% include '_greeting.txt' %}}{END}")

    result = await run("mail", "templates", TEMPLATES_DIR=str(tmp_path))

    assert str(result.exception) == f"{tmp_path / '_greeting.txt'}, line 2: 'nobody' is undefined"


async def test_two_files_of_one_template_are_reported(tmp_path: Path) -> None:
    write(tmp_path, reset_password=BODY + END, reset_password__en=BODY + END)

    result = await run("mail", "templates", TEMPLATES_DIR=str(tmp_path))

    assert str(result.exception) == (
        f"{tmp_path / 'reset_password.txt'}: reset_password.en.txt is the same template."
    )


async def test_a_file_that_is_not_utf_8_is_reported(tmp_path: Path) -> None:
    (tmp_path / "layout.txt").write_bytes(b"\xff")

    result = await run("mail", "templates", TEMPLATES_DIR=str(tmp_path))

    assert str(result.exception) == f"{tmp_path / 'layout.txt'}: The file is not UTF-8 text."


def test_a_server_with_invalid_templates_does_not_start_and_reports_each(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    write(folder, layout="{{ one }}", duration="{{ two }}")
    environment = {
        "DATABASE_URL": "postgresql://127.0.0.1/nowhere",
        "SECRET_KEY": SECRET,
        "PUBLIC_URL": "https://id.example.com",
        "TEMPLATES_DIR": str(folder),
    }

    result = portico("worker", cwd=tmp_path, **environment)

    assert result.returncode == 1
    assert f"{folder / 'layout.txt'}, line 1: There is no variable one." in result.stderr
    assert f"{folder / 'duration.txt'}, line 1: There is no variable two." in result.stderr


async def test_a_missing_directory_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"

    result = await run("mail", "templates", TEMPLATES_DIR=str(folder))

    assert str(result.exception) == (
        f"The folder of templates {folder} cannot be read: No such file or directory."
    )


async def test_templates_are_copied_without_overwriting_changed_ones(
    tmp_path: Path,
) -> None:
    mine = write(tmp_path, layout="mine")
    (tmp_path / "README.md").write_text("Not a template.")

    copied = await run("mail", "templates", "--copy", str(mine))
    again = await run("mail", "templates", "--copy", str(mine))
    listed = await run("mail", "templates", TEMPLATES_DIR=str(mine))

    names = {email.name for module in MODULE_EMAILS for email in module.emails}
    files = {f"{name}.txt" for name in names} | {"layout.html", "duration.txt"}
    assert set(copied.stdout.splitlines()) == {str(mine / file) for file in files}
    assert again.stdout == "All templates exist already.\n"
    assert (mine / "layout.txt").read_text() == "mine"
    rows = [line.split() for line in listed.stdout.splitlines()]
    expected = [[file, "en", str(mine / file)] for file in files | {"layout.txt"}]
    assert sorted(rows) == sorted(expected)


async def test_the_variables_in_the_documentation_are_those_of_the_templates() -> None:
    page = (ROOT / "docs" / "operators" / "emails.md").read_text(encoding="utf-8")

    # It prints the table even if settings are invalid.
    printed = await run("mail", "templates", "--markdown", TEMPLATES_DIR="/nowhere")

    assert printed.stdout in page


def test_every_email_is_declared_by_its_module() -> None:
    for path in sorted((ROOT / "app").glob("*/emails.py")):
        module = import_module(f"app.{path.parent.name}.emails")
        made = {each for each in vars(module).values() if isinstance(each, Email)}
        declared = {each for each in MODULE_EMAILS if each.templates == path.parent / "templates"}
        assert made == {email for each in declared for email in each.emails}


def test_two_emails_with_the_same_name_are_refused(tmp_path: Path) -> None:
    twice = ModuleEmails((Email("invitation"),), tmp_path)

    with pytest.raises(Misconfigured, match="Two modules declare an email named invitation"):
        Templates.load((*MODULE_EMAILS, twice), None)


def test_an_email_without_a_template_is_reported(tmp_path: Path) -> None:
    weekly = ModuleEmails((Email("weekly"),), tmp_path)

    with pytest.raises(Misconfigured, match=r"The template weekly\.txt is missing"):
        Templates.load((*MODULE_EMAILS, weekly), None)


async def test_an_email_that_no_module_declares_is_not_queued(app: FastAPI, ada: Person) -> None:
    emails = app.state.portico.services[OutgoingEmails]
    weekly = Email("weekly")

    async with app.state.portico.services[Database].begin() as session:
        with pytest.raises(LookupError):
            await emails.enqueue(session, weekly, ada.email, ada.id, None)


@pytest.mark.parametrize("name", ["two\nlines", "\u202ebackwards", "a bell\x07"])
async def test_the_product_name_is_one_visible_line(name: str) -> None:
    result = await run("settings", PRODUCT_NAME=name)

    assert str(result.exception) == "PRODUCT_NAME must be one line of visible characters."


@pytest.mark.parametrize(
    ("environment", "product"),
    [
        ({}, "Portico"),
        ({"MAIL_FROM": "Acme <no-reply@acme.example>"}, "Acme"),
        ({"MAIL_FROM": "no-reply@acme.example"}, "Portico"),
        ({"MAIL_FROM": "Mail <no-reply@acme.example>", "PRODUCT_NAME": " Acme  One "}, "Acme One"),
    ],
)
async def test_the_product_name_defaults_to_the_sender_of_emails(
    environment: dict[str, str], product: str
) -> None:
    result = await run("settings", **environment)

    lines = [line for line in result.stdout.splitlines() if line.startswith("PRODUCT_NAME ")]
    assert [line.endswith(f"  {product}") for line in lines] == [True]
