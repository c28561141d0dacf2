"""`portico mail test`: a failing step is reported with the reply of the mail server."""

import base64
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from threading import Thread
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult

from app.errors import Misconfigured
from app.mail.mailer import SignInRefused, SmtpMailer, mailer_of
from tests.support.certificates import self_signed, serving_as
from tests.support.servers import free_port, portico
from tests.support.smtp_server import SmtpServer, running_smtp_server

ADDRESS = "operator@example.com"
USER, PASSWORD = "portico@example.com", "p4ss word/of=mail"
LOGIN = "portico%40example.com:p4ss%20word%2Fof%3Dmail"
HERE = "127.0.0.1"


def mail_test(cwd: Path, url: str, to: str = ADDRESS, **more: str) -> CompletedProcess[str]:
    return portico("mail", "test", to, cwd=cwd, SMTP_URL=url, **more)


def output_of(result: CompletedProcess[str]) -> tuple[int, str, str]:
    return result.returncode, result.stdout, result.stderr


@contextmanager
def listening(*replies: bytes) -> Generator[int]:
    """Accepts one connection and sends these replies, each after a command."""
    with socket.create_server((HERE, 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                for reply in replies:
                    connection.sendall(reply)
                    connection.recv(1024)

        thread = Thread(target=talk)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_an_accepted_email_is_reported_with_the_reply_of_the_server(tmp_path: Path) -> None:
    with running_smtp_server() as smtp:
        result = mail_test(tmp_path, f"smtp://{HERE}:{smtp.port}")

    assert output_of(result) == (0, f"{HERE}:{smtp.port} accepted it: 250 taken\n", "")
    assert smtp.receivers == [[ADDRESS]]
    assert smtp.emails[0]["Subject"] == "A test email from Portico"


def test_a_host_name_without_an_address_is_reported(tmp_path: Path) -> None:
    result = mail_test(tmp_path, "smtp://mail.invalid")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("portico: mail.invalid in SMTP_URL was not found: ")


def test_a_refused_connection_is_reported(tmp_path: Path) -> None:
    port = free_port()

    result = mail_test(tmp_path, f"smtp://{HERE}:{port}")

    error = f"portico: Cannot connect to {HERE}:{port}: Connection refused.\n"
    assert output_of(result) == (1, "", error)


@pytest.mark.parametrize(
    ("reply", "quoted"),
    [
        (b"554 5.7.1 no service for you\r\n", "refuses the connection: 554 5.7.1 no service"),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak SMTP: Malformed SMTP response line"),
        (b"554 \x1b[31mred\x1b[0m\x07\r\n", "refuses the connection: 554 ?[31mred?[0m?"),
    ],
)
def test_an_invalid_greeting_is_quoted_as_one_printable_line(
    tmp_path: Path, reply: bytes, quoted: str
) -> None:
    with listening(reply) as port:
        result = mail_test(tmp_path, f"smtp://{HERE}:{port}")

    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(f"portico: {HERE}:{port} {quoted}")
    assert "\x1b" not in result.stderr


def test_a_server_without_starttls_is_reported(tmp_path: Path) -> None:
    with running_smtp_server() as smtp:
        result = mail_test(tmp_path, f"smtp://{LOGIN}@{HERE}:{smtp.port}")

    assert (result.returncode, smtp.emails) == (1, [])
    assert result.stderr == (
        f"portico: No TLS with {HERE}:{smtp.port}: SMTP STARTTLS extension not supported by "
        "server.\n"
    )


def test_a_server_that_expects_starttls_is_reported_if_the_url_says_tls(tmp_path: Path) -> None:
    with running_smtp_server() as smtp:
        result = mail_test(tmp_path, f"smtps://{HERE}:{smtp.port}")

    assert (result.returncode, smtp.emails) == (1, [])
    assert result.stderr == (
        f"portico: No TLS with {HERE}:{smtp.port}: wrong version number. A server that expects "
        "STARTTLS needs smtp:// in SMTP_URL.\n"
    )


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_an_untrusted_certificate_is_reported(tmp_path: Path, scheme: str) -> None:
    context = serving_as(self_signed(tmp_path / "server.pem"))
    options: dict[str, Any] = {"tls_context": context, "require_starttls": True}
    if scheme == "smtps":
        options = {"ssl_context": context}
    with running_smtp_server(**options) as smtp:
        result = mail_test(tmp_path, f"{scheme}://{LOGIN}@{HERE}:{smtp.port}")

    assert (result.returncode, smtp.emails) == (1, [])
    assert result.stderr == (
        f"portico: The certificate of {HERE}:{smtp.port} is invalid: self-signed certificate.\n"
    )


@contextmanager
def authenticating(tmp_path: Path, reply: str | None = None) -> Generator[tuple[SmtpServer, str]]:
    """Runs a mail server with TLS and one user; `reply` answers all other sign-ins."""
    certificate = self_signed(tmp_path / "server.pem")
    with running_smtp_server(
        **authentication(reply), tls_context=serving_as(certificate), auth_required=True
    ) as smtp:
        yield smtp, str(certificate)


def authentication(reply: str | None) -> dict[str, Any]:
    """Returns the options of a mail server with one user; `reply` answers all other sign-ins."""

    def authenticate(
        _server: Any, _session: Any, _envelope: Any, _method: str, credentials: Any
    ) -> AuthResult:
        is_known = (credentials.login, credentials.password) == (USER.encode(), PASSWORD.encode())
        message = None if is_known else reply
        return AuthResult(success=is_known, handled=False, message=message)

    return {"authenticator": authenticate}


def test_an_email_is_sent_with_tls_and_a_password(tmp_path: Path) -> None:
    with authenticating(tmp_path) as (smtp, trust):
        url = f"smtp://{LOGIN}@{HERE}:{smtp.port}"
        result = mail_test(tmp_path, url, SSL_CERT_FILE=trust)

    assert output_of(result) == (0, f"{HERE}:{smtp.port} accepted it: 250 taken\n", "")


def test_a_refused_password_is_reported_and_never_shown(tmp_path: Path) -> None:
    wrong = "wr0ng-pass"
    sent = base64.b64encode(f"\0portico\0{wrong}".encode()).decode()
    reply = f"535 5.7.8 no: {wrong} {sent} {base64.b64encode(wrong.encode()).decode()}"
    with authenticating(tmp_path, reply) as (smtp, trust):
        url = f"smtp://portico:{wrong}@{HERE}:{smtp.port}"
        result = mail_test(tmp_path, url, SSL_CERT_FILE=trust)

    assert (result.returncode, result.stdout, smtp.emails) == (1, "", [])
    assert result.stderr == (
        f"portico: {HERE}:{smtp.port} does not accept the user and password in SMTP_URL: "
        "535 5.7.8 no: ******** ******** ********\n"
    )


@pytest.mark.parametrize(
    ("smtp", "words"),
    [
        (SmtpServer(sender_reply="553 5.7.1 not yours"), "refuses MAIL_FROM: 553 5.7.1 not yours"),
        (
            SmtpServer(recipient_reply="550 5.1.1 <operator@example.com> is not here"),
            "refuses the recipient: 550 5.1.1 <…> is not here",
        ),
        (SmtpServer(recipient_reply="450 4.2.1 busy"), "refuses the recipient: 450 4.2.1 busy"),
        (SmtpServer(message_reply="554 5.6.0 spam"), "refuses the message: 554 5.6.0 spam"),
    ],
)
def test_a_refused_sender_recipient_or_message_is_reported(
    tmp_path: Path, smtp: SmtpServer, words: str
) -> None:
    with running_smtp_server(smtp):
        result = mail_test(tmp_path, f"smtp://{HERE}:{smtp.port}")

    assert output_of(result) == (1, "", f"portico: {HERE}:{smtp.port} {words}\n")
    assert smtp.emails == []


def test_a_server_that_closes_the_connection_is_reported(tmp_path: Path) -> None:
    with listening(b"220 hello\r\n", b"250 hello\r\n") as port:
        result = mail_test(tmp_path, f"smtp://{HERE}:{port}")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"portico: {HERE}:{port}: ")


def test_an_invalid_address_sends_nothing(tmp_path: Path) -> None:
    with running_smtp_server() as smtp:
        result = mail_test(tmp_path, f"smtp://{HERE}:{smtp.port}", to="operator")

    assert (result.returncode, result.stdout, smtp.tries) == (1, "", 0)
    assert result.stderr.startswith("portico: operator is not an email address: ")


def test_without_a_mail_server_the_command_says_where_emails_go(tmp_path: Path) -> None:
    console = portico("mail", "test", ADDRESS, cwd=tmp_path)
    unset = portico("mail", "test", ADDRESS, cwd=tmp_path, DATABASE_URL="postgresql://127.0.0.1/x")

    assert console.returncode == 0
    assert "Subject: A test email from Portico" in console.stdout
    assert console.stdout.endswith(
        "SMTP_URL=console: prints emails on standard output; no mail server is used.\n"
    )
    assert output_of(unset) == (1, "", "portico: SMTP_URL is not set, so no mail can be sent.\n")
    # It needs no database, so it creates none.
    assert not (tmp_path / ".data").exists()


async def test_a_check_signs_in_and_sends_nothing() -> None:
    with running_smtp_server(**authentication("535 no"), auth_require_tls=False) as smtp:
        place = f"{HERE}:{smtp.port}"
        right = SmtpMailer.of(f"smtp://{LOGIN}@{place}", USER)
        found = await replace(right, without_tls=True).check()
        with pytest.raises(SignInRefused):
            await replace(right, without_tls=True, password="wrong").check()

    assert (found, smtp.tries) == (f"{place}: signed in, without TLS.", 0)


async def test_a_check_says_that_there_is_no_mail_server() -> None:
    with pytest.raises(Misconfigured):
        await mailer_of(None, USER).check()
