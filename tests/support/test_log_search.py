"""The search of the logs finds secrets, in all that it captures."""

import logging
from pathlib import Path

import pytest

from app.testing.leaks import Secrets, main
from tests.support.log_search import LOG_CAPTURE, leaks
from tests.support.servers import Server, serving

LINE = "2026-11-24 14:56:05 INFO app.mail: %s was sent"
ADDRESS = "ada@" + "example.com"
PASSWORD = "difference engine 1"


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIi",
        "prt_AAAAAAAAAAAAAAAAAAAAAA-_",
        "pot_gr9og3ABXcPKoGsIRtaMlfwnGtenu1Y7PsJhXYMtoKk",
        "pdt_AAAAAAAAAAAAAAAAAAAAAA-_",
        "pct_gr9og3ABXcPKoGsIRtaMlfwnGtenu1Y7PsJhXYMtoKk",
        "3K7Q-8ZFM-11XV-PW0C",
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "otpauth://totp/Portico:ada?secret=…",
        "$bcrypt-sha256$v=2,t=2b,r=4$M0jrmsB5Sw0jt6cPOY8OFe$abc",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ",
        "pbkdf2_sha256$600000$salt$hash",
        ADDRESS,
        "GRACE.HOPPER+x@mail.navy.example",
        "postgresql://portico:hunter2@db.example/portico",
        PASSWORD,
    ],
)
def test_a_secret_in_a_line_is_found_and_not_repeated(secret: str) -> None:
    secrets = Secrets()
    secrets.add_passwords_in({"input": [{"newPassword": PASSWORD}]})

    found = list(secrets.leaks_in(LINE % secret))

    assert len(found) >= 1
    assert all("INFO app.mail:" in leak and secret not in leak for leak in found)


@pytest.mark.parametrize(
    "line",
    [
        LINE % "Job 7 (mail.letter)",
        "POST /graphql 200 1.2ms 14465a1fe4000001 'query me' user=019fb573-a0b1-7c2d",
        "The database at postgresql://portico@127.0.0.1:5432/portico does not answer",
        "wrong password, prt_ and pot_ are prefixes, Portico <portico@localhost>",
        "chain 019FB573-A0B1-7C2D-8AAA-0123456789AB, 2026-1126-2143-0001-0002, pct_ is a prefix",
    ],
)
def test_a_line_without_secrets_is_not_reported(line: str) -> None:
    secrets = Secrets()
    secrets.add("password")

    assert list(secrets.leaks_in(line)) == []


@pytest.mark.parametrize("level", [logging.DEBUG, logging.ERROR])
def test_every_record_is_captured_once_with_its_traceback(level: int) -> None:
    LOG_CAPTURE.take()

    logging.getLogger("app.anything").log(level, "It failed", exc_info=ValueError(ADDRESS))

    (leak,) = leaks("")
    assert leak.startswith("in a log record, a mail address: ")
    assert list(leaks("")) == []


def test_standard_error_and_the_logs_of_servers_are_captured(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        append(server, ADDRESS)

        found = list(leaks(f"POST /graphql {ADDRESS}"))

    assert [leak.split(",")[0] for leak in found] == [
        "in standard error",
        f"in {server.log.name}",
    ]


def append(server: Server, text: str) -> None:
    with server.log.open("a") as log:
        log.write(f"{text}\n")


def test_a_log_from_elsewhere_can_be_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean, leaky = tmp_path / "clean", tmp_path / "leaky"
    clean.write_text("All is well.\n")
    leaky.write_text(f"{ADDRESS}\n")

    assert (main([str(clean)]), main([str(leaky)])) == (0, 1)
    assert capsys.readouterr().out.startswith("a mail address:")
