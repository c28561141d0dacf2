"""Jobs and emails: retries, failures and crashes, with a real SMTP server and real processes."""

import asyncio
import signal
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.accounts.emails import PASSWORD_CHANGED
from app.composition import Portico
from app.database.database import Database
from app.jobs.handlers import Handles
from app.jobs.services.queue import Jobs, Retried
from app.jobs.services.worker import Worker
from app.mail.mailer import Mailer, Message, SmtpMailer
from app.mail.services.outgoing_emails import OutgoingEmails, SendEmail
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import on_server
from app.testing.outbox import TOKEN, Outbox
from tests.accounts.test_password_changes import REQUEST
from tests.cli.test_serve import SECRET
from tests.support.periodic import tidy
from tests.support.servers import free_port, portico, serving, working
from tests.support.smtp_server import SmtpServer, running_smtp_server

Deliver = Callable[[], Awaitable[None]]
MESSAGE = Message("ada@example.com", "Grüße", "Über <allem>", "<p>Über &lt;allem&gt;</p>")
REGISTER = """
mutation {
  register(input: {email: "eve@example.com", password: "an apple a day 42"}) { __typename }
}
"""
DUE = text("UPDATE pgqueuer SET execute_after = now() + make_interval(hours => :hours)")
FAILED_ONCE = "UPDATE pgqueuer SET attempts = 1, execute_after = '2100-01-01T00:00:00Z'"
STATES = text("SELECT status::text, attempts FROM pgqueuer")


class Failing(Outbox):
    """A mail server that is down for the first tries."""

    failures: int = 0

    async def send(self, message: Message) -> str:
        if self.failures:
            self.failures -= 1
            raise ConnectionRefusedError(f"cannot reach {message.to}")
        return await super().send(message)


def worker_with(app: FastAPI, mailer: Mailer) -> Worker:
    """Returns the worker of an application with another mailer and shorter delays."""
    parts: Portico = app.state.portico
    emails = replace(parts.services[OutgoingEmails], mailer=mailer)
    delivers = Handles(SendEmail, OutgoingEmails, OutgoingEmails.deliver)
    handlers = {**parts.services[Worker].handlers, SendEmail.job: delivers.bound_to(emails)}
    # After this time the worker looks for released jobs that were not announced.
    retake_after = timedelta(seconds=2)
    return replace(
        parts.services[Worker],
        handlers=handlers,
        delays=[timedelta(0)] * 3,
        retake_after=retake_after,
    )


async def test_an_email_is_retried_until_it_is_accepted(
    api: Api, ada: Person, app: FastAPI, db: Database
) -> None:
    await api(REQUEST, email=ada.email)
    mailer = Failing()
    mailer.failures = 3

    await worker_with(app, mailer).drain()

    assert mailer.subjects == [(ada.email, "Choose a new password")]
    assert await db.rows(STATES) == []


async def test_a_mail_server_that_is_down_for_three_tries_receives_the_email_at_the_fourth(
    api: Api, ada: Person, app: FastAPI, db: Database
) -> None:
    smtp = SmtpServer(port=free_port())
    mailer = SmtpMailer.of(f"smtp://127.0.0.1:{smtp.port}", "no-reply@example.com")
    delays = [timedelta(0), timedelta(0), timedelta(seconds=1)]
    await api(REQUEST, email=ada.email)
    work = asyncio.ensure_future(replace(worker_with(app, mailer), delays=delays).drain())
    while [row.attempts for row in await db.rows(STATES)] != [3]:
        await asyncio.wait({work}, timeout=0.02)

    with running_smtp_server(smtp):
        await work

    assert (smtp.receivers, await db.rows(STATES)) == ([[ada.email]], [])


async def test_an_email_that_keeps_failing_is_kept_and_can_be_retried(
    api: Api, ada: Person, app: FastAPI, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await api(REQUEST, email=ada.email)
    mailer, jobs = Failing(), app.state.portico.services[Jobs]
    mailer.failures = 4
    await worker_with(app, mailer).drain()

    (kept,) = await jobs.failed()
    assert (kept.name, kept.tries, kept.failure) == ("mail.letter", 3, "ConnectionRefusedError")
    ours = [each for each in caplog.records if each.name.startswith("app.")]
    errors = [each for each in ours if each.levelname == "ERROR"]
    assert [str(kept.id) in each.getMessage() for each in errors] == [True]
    assert ada.email not in caplog.text + str(await db.rows(text("SELECT * FROM pgqueuer_log")))

    assert await jobs.retry_failed(None) == Retried([kept], [])
    await worker_with(app, mailer).drain()
    assert mailer.subjects == [(ada.email, "Choose a new password")]


@pytest.mark.parametrize(
    ("smtp", "shown"),
    [
        (SmtpServer(recipient_reply="550 5.1.1 <ada@example.com>: no such user"), "550 5.1.1"),
        (SmtpServer(recipient_reply="553 <ada@example.com> is not here"), "553"),
        (SmtpServer(recipient_reply="556 5.1.10 example.com takes no mail"), "556 5.1.10"),
        (SmtpServer(message_reply="554 5.6.0 not for ada@example.com"), "554 5.6.0"),
    ],
)
async def test_an_email_with_a_permanent_error_is_tried_once_and_kept(
    api: Api,
    ada: Person,
    app: FastAPI,
    db: Database,
    caplog: pytest.LogCaptureFixture,
    smtp: SmtpServer,
    shown: str,
) -> None:
    await api(REQUEST, email=ada.email)
    with running_smtp_server(smtp):
        mailer = SmtpMailer.of(f"smtp://127.0.0.1:{smtp.port}", "no-reply@example.com")
        await worker_with(app, mailer).drain()

    reason = f"the mail server refuses this recipient or message for good ({shown})"
    (kept,) = await app.state.portico.services[Jobs].failed()
    assert (kept.name, kept.tries, kept.failure) == ("mail.letter", 0, reason)
    assert (smtp.tries, smtp.emails) == (1, [])
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("app.")]
    assert ada.email not in str([ours, await db.rows(text("SELECT * FROM pgqueuer_log"))])


@pytest.mark.parametrize(
    "smtp",
    [
        SmtpServer(recipient_reply="450 4.2.1 busy"),
        SmtpServer(recipient_reply="554 5.7.1 relay access denied"),
        SmtpServer(recipient_reply="530 authentication is needed"),
        SmtpServer(message_reply="452 4.3.1 no space"),
    ],
)
async def test_an_email_with_a_temporary_error_is_retried(
    api: Api, ada: Person, app: FastAPI, smtp: SmtpServer
) -> None:
    await api(REQUEST, email=ada.email)
    with running_smtp_server(smtp):
        mailer = SmtpMailer.of(f"smtp://127.0.0.1:{smtp.port}", "no-reply@example.com")
        await worker_with(app, mailer).drain()

    (kept,) = await app.state.portico.services[Jobs].failed()
    assert (kept.tries, smtp.tries, smtp.emails) == (3, 4, [])


async def test_an_address_that_the_mail_server_does_not_support_fails_at_once(
    api: Api, app: FastAPI, db: Database, tmp_path: Path, settings: Settings
) -> None:
    await api.register(Person("jörg@example.com", "unterwegs nach Ulm"))
    await api(REQUEST, email="jörg@example.com")
    with running_smtp_server(enable_SMTPUTF8=False) as smtp:
        mailer = SmtpMailer.of(f"smtp://127.0.0.1:{smtp.port}", "no-reply@example.com")
        await worker_with(app, mailer).drain()

    assert settings.database_url is not None
    assert settings.secret_key is not None
    shown = await asyncio.to_thread(
        portico,
        "jobs",
        cwd=tmp_path,
        DATABASE_URL=settings.database_url.get_secret_value(),
        SECRET_KEY=settings.secret_key.get_secret_value(),
        COLUMNS="200",
    )
    reason = "the mail server does not support SMTPUTF8, which this address needs"
    assert reason in shown.stdout
    assert "jörg" not in shown.stdout + str(await db.rows(text("SELECT * FROM pgqueuer_log")))
    assert (smtp.tries, smtp.emails) == (0, [])


async def test_a_failed_email_is_sent_by_a_retry_once_the_server_accepts_it(
    api: Api, ada: Person, app: FastAPI
) -> None:
    await api(REQUEST, email=ada.email)
    smtp = SmtpServer(recipient_reply="550 5.1.1 no such user")
    with running_smtp_server(smtp):
        mailer = SmtpMailer.of(f"smtp://127.0.0.1:{smtp.port}", "no-reply@example.com")
        await worker_with(app, mailer).drain()
        smtp.recipient_reply = None
        assert len((await app.state.portico.services[Jobs].retry_failed(None)).tried) == 1
        await worker_with(app, mailer).drain()

    assert smtp.receivers == [[ada.email]]


async def test_a_failed_job_is_deleted_after_thirty_days(
    api: Api, ada: Person, app: FastAPI, clock: FakeClock
) -> None:
    await api(REQUEST, email=ada.email)
    mailer, jobs = Failing(), app.state.portico.services[Jobs]
    mailer.failures = 4
    await worker_with(app, mailer).drain()

    clock.pass_(days=29)
    await tidy(app.state.portico)
    assert len(await jobs.failed()) == 1

    clock.pass_(days=2)
    await tidy(app.state.portico)
    assert await jobs.failed() == []


async def test_a_rolled_back_transaction_sends_no_email(
    api: Api, ada: Person, app: FastAPI, db: Database, outbox: Outbox, deliver: Deliver
) -> None:
    emails = app.state.portico.services[OutgoingEmails]

    async def post_and_fail() -> None:
        async with db.begin() as session:
            await emails.enqueue(session, PASSWORD_CHANGED, ada.email, uuid.uuid4(), None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await post_and_fail()
    await deliver()

    assert (outbox.messages, api.errors) == ([], [])


async def test_an_email_is_sent_with_all_its_headers_and_parts() -> None:
    with running_smtp_server() as smtp:
        mailer = SmtpMailer.of(f"smtp://127.0.0.1:{smtp.port}", "Portico <no-reply@example.com>")
        await mailer.send(MESSAGE)

    email = smtp.emails[0]
    parts = {part.get_content_type(): part.get_content().strip() for part in email.iter_parts()}
    assert (email["From"], email["To"]) == ("Portico <no-reply@example.com>", MESSAGE.to)
    assert (email["Subject"], email["Auto-Submitted"]) == (MESSAGE.subject, "auto-generated")
    assert parts == {"text/plain": MESSAGE.text, "text/html": MESSAGE.html}
    assert email["Message-ID"].endswith("@example.com>")


@pytest.mark.parametrize(
    ("address", "sent_to", "utf8"),
    [
        ("ada@münchen.example", "ada@xn--mnchen-3ya.example", False),
        ("jörg@münchen.example", "jörg@xn--mnchen-3ya.example", True),
        ("o'neil+news@example.com", "o'neil+news@example.com", False),
    ],
)
async def test_an_address_in_any_script_receives_email(
    address: str, sent_to: str, utf8: bool
) -> None:
    with running_smtp_server(enable_SMTPUTF8=utf8) as smtp:
        mailer = SmtpMailer.of(f"smtp://127.0.0.1:{smtp.port}", "no-reply@example.com")
        await mailer.send(replace(MESSAGE, to=address))

    assert (smtp.emails[0]["To"], smtp.receivers) == (sent_to, [[sent_to]])


@pytest.mark.parametrize("address", ["a@b.c\r\nBcc: x@y.z", "a@b.c, x@y.z", "x <a@b.c>"])
async def test_an_address_cannot_inject_a_header_or_another_recipient(address: str) -> None:
    with running_smtp_server() as smtp:
        mailer = SmtpMailer.of(f"smtp://127.0.0.1:{smtp.port}", "no-reply@example.com")
        with pytest.raises(Exception):  # noqa: B017, PT011 - the library's, several
            await mailer.send(replace(MESSAGE, to=address))

    assert smtp.emails == []


async def test_no_email_is_sent_without_tls_unless_that_is_configured() -> None:
    with running_smtp_server() as smtp:
        mailer = SmtpMailer.of(f"smtp://localhost:{smtp.port}", "no-reply@example.com")
        with pytest.raises(Exception):  # noqa: B017, PT011 - the library's
            await replace(mailer, without_tls=False).send(MESSAGE)

    assert smtp.emails == []


def send(url: str, query: str) -> Any:
    return httpx.post(f"{url}/graphql", json={"query": query}).json()["data"]


def words(email: EmailMessage) -> str:
    part = email.get_body(("plain",))
    assert part is not None
    return part.get_content()


def at(mailing_environment: dict[str, str]) -> SmtpServer:
    return SmtpServer(port=int(mailing_environment["SMTP_URL"].rpartition(":")[2]))


def test_an_email_is_sent_even_if_the_server_is_killed_right_after_its_answer(
    tmp_path: Path, mailing_environment: dict[str, str]
) -> None:
    with serving(tmp_path, **mailing_environment) as server:
        assert send(server.url, REGISTER) == {"register": {"__typename": "VerificationSent"}}
        server.stop(signal.SIGKILL)

    with (
        running_smtp_server(at(mailing_environment)) as smtp,
        working(tmp_path, **mailing_environment),
    ):
        email = smtp.wait_for_email()

    assert email["To"] == "eve@example.com"
    assert "https://app.example.com/verify-email#token=pot_" in words(email)


def test_a_worker_killed_before_it_recorded_the_delivery_delivers_twice(
    tmp_path: Path, mailing_environment: dict[str, str]
) -> None:
    with serving(tmp_path, **mailing_environment) as server:
        send(server.url, REGISTER)
        with running_smtp_server(at(mailing_environment)) as smtp:
            smtp.silent = True
            with working(tmp_path, **mailing_environment) as worker:
                first = smtp.wait_for_email()
                worker.stop(signal.SIGKILL)
            smtp.silent = False
            with working(tmp_path, **mailing_environment):
                second = smtp.wait_for_email()
        token = TOKEN.search(words(second))
        assert words(first) == words(second)
        assert token is not None
        verify = f'mutation {{ verifyEmail(input: {{token: "{token[0]}"}}) {{ __typename }} }}'
        assert send(server.url, verify) == {"verifyEmail": {"__typename": "SignedIn"}}


async def test_the_command_shows_waiting_jobs_and_retries_them_now(
    tmp_path: Path, mailing_environment: dict[str, str]
) -> None:
    with serving(tmp_path, **mailing_environment) as server:
        send(server.url, REGISTER)
    queued = portico("jobs", cwd=tmp_path, **mailing_environment)
    await on_server(mailing_environment["DATABASE_URL"], FAILED_ONCE)

    shown = portico("jobs", cwd=tmp_path, **mailing_environment, COLUMNS="200")
    retried = portico("jobs", "retry", "1", cwd=tmp_path, **mailing_environment)
    await on_server(mailing_environment["DATABASE_URL"], FAILED_ONCE)
    waiting = portico("jobs", "retry", "--waiting", cwd=tmp_path, **mailing_environment)
    nothing = portico("jobs", "retry", "--all", "--waiting", cwd=tmp_path, **mailing_environment)
    with (
        running_smtp_server(at(mailing_environment)) as smtp,
        working(tmp_path, **mailing_environment),
    ):
        smtp.wait_for_email()

    assert "1 queued\nThe oldest that is due has waited for 0:0" in queued.stdout
    row = next(row for line, row in pairwise(shown.stdout.splitlines()) if "next try" in line)
    job, name, *_, date, time_of_day, tries = row.split()
    assert (job, date, time_of_day, tries) == ("1", "2100-01-01", "00:00:00", "1")
    line = f"Job 1 ({name}) was due at 2100-01-01 00:00:00: it is retried now.\n"
    assert (retried.stdout, waiting.stdout, nothing.stdout) == (
        line,
        line,
        "There are no such jobs.\n",
    )


def test_a_job_that_cannot_be_retried_now_is_reported(
    tmp_path: Path, mailing_environment: dict[str, str]
) -> None:
    unknown = portico("jobs", "retry", "7", cwd=tmp_path, **mailing_environment)
    without_id = portico("jobs", "retry", cwd=tmp_path, **mailing_environment)
    both = portico("jobs", "retry", "7", "--all", cwd=tmp_path, **mailing_environment)

    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == "portico: Job 7 has not failed and does not wait for its next try.\n"
    assert (without_id.returncode, without_id.stdout) == (both.returncode, both.stdout) == (1, "")
    assert without_id.stderr == "portico: Pass the id of a job, or --all, --waiting or both.\n"


async def test_the_age_of_the_oldest_job_is_counted_from_when_it_was_due(
    api: Api, ada: Person, app: FastAPI, db: Database
) -> None:
    jobs = app.state.portico.services[Jobs]

    async def due(hours: int) -> None:
        async with db.begin() as session:
            await session.execute(DUE, {"hours": hours})

    empty = await jobs.backlog()
    await api(REQUEST, email=ada.email)
    await due(6)
    later = await jobs.backlog()
    await due(-2)
    overdue = await jobs.backlog()

    assert (empty, later) == ((0, 0, 0), (1, 0, 0))
    assert overdue.oldest_seconds // 3600 == 2


def test_a_server_that_requires_verification_does_not_start_without_a_mail_server(
    tmp_path: Path,
) -> None:
    environment = {"EMAIL_VERIFICATION": "required", "SECRET_KEY": SECRET}
    url = "postgresql://portico@127.0.0.1:1/portico"

    refused = portico(
        "serve", "--port", str(free_port()), cwd=tmp_path, DATABASE_URL=url, **environment
    )

    assert (refused.returncode, "needs SMTP_URL" in refused.stderr) == (1, True)


def test_without_a_mail_server_emails_are_printed_on_the_console(tmp_path: Path) -> None:
    with serving(tmp_path, EMAIL_VERIFICATION="required") as server:
        send(server.url, REGISTER)
        deadline = time.monotonic() + 20
        while "pot_" not in server.output and time.monotonic() < deadline:
            time.sleep(0.05)

    assert f"{server.url}/verify-email#token=pot_" in server.output


def test_a_worker_without_a_public_url_for_links_does_not_start(
    tmp_path: Path, mailing_environment: dict[str, str]
) -> None:
    del mailing_environment["FRONTEND_URL"]
    with serving(tmp_path, **mailing_environment) as server:
        send(server.url, REGISTER)

    refused = portico("worker", cwd=tmp_path, **mailing_environment)
    waiting = portico("jobs", cwd=tmp_path, **mailing_environment)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "portico: PUBLIC_URL is not set, and links in emails lead there: set it, or FRONTEND_URL, "
        "as for `portico serve`.\n"
    )
    assert "1 queued" in waiting.stdout


def test_a_worker_of_the_embedded_database_warns_where_links_lead(tmp_path: Path) -> None:
    with serving(tmp_path):
        # A password without TLS is refused as soon as the services are created.
        stopped = portico("worker", cwd=tmp_path, SMTP_URL="smtp://portico:x@127.0.0.1?tls=none")

    assert (stopped.returncode, stopped.stdout) == (
        1,
        "Warning   PUBLIC_URL is not set: links in emails lead to http://127.0.0.1:8000.\n",
    )
