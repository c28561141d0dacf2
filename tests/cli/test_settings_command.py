"""`portico settings`, and how every command reports invalid settings."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.config.settings import PlatformSettings
from app.modules import MODULES, settings_class
from app.settings import Settings
from tests.cli.test_serve import NO_SERVER, SECRET
from tests.support.servers import ROOT, portico

HIDDEN = "hunter2-correct-horse"
NOT_COMPARED = "Warning   SECRET_KEY could not be compared with those of the servers. "
MISSPELLED = (
    "portico: {} is not a setting. Did you mean {}? "
    "If it belongs to another program, add it to UNRELATED_VARIABLES.\n"
)
FIELDS = settings_class(MODULES).model_fields


def settings_in(folder: Path, **environment: str) -> dict[str, tuple[Any, str]]:
    """Returns the value and the source of each setting, as programs read them."""
    result = portico("settings", "--json", cwd=folder, **environment)
    unexpected = [line for line in result.stderr.splitlines() if not line.startswith(NOT_COMPARED)]
    assert (result.returncode, unexpected) == (0, [])
    read = json.loads(result.stdout)
    return {name: (each["value"], each["source"]) for name, each in read.items()}


def test_settings_are_shown_with_their_source(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("log_format=json\nBCRYPT_ROUNDS=12\nCORS_ORIGINS=\n")

    shown = settings_in(tmp_path, LOG_LEVEL="ERROR", TRUSTED_PROXIES="10.0.0.0/8, 127.0.0.1")

    assert list(shown) == [field.upper() for field in FIELDS]
    assert {name: value for name, value in shown.items() if value[1] != "default"} == {
        "DATABASE_URL": ("PostgreSQL in .data", "embedded"),
        "SECRET_KEY": ("the file .data/secret_key", "embedded"),
        "PUBLIC_URL": ("http://127.0.0.1:8000", "follows --host and --port"),
        "DEBUG": (True, "embedded"),
        "CORS_ORIGINS": (
            ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"],
            "embedded",
        ),
        # The environment precedes the file, which says 12.
        "BCRYPT_ROUNDS": (4, "environment"),
        "SMTP_URL": ("console:", "embedded"),
        "PRODUCT_NAME": ("Portico", "follows MAIL_FROM"),
        "FRONTEND_URL": ("http://127.0.0.1:8000", "follows PUBLIC_URL"),
        "TRUSTED_PROXIES": (["10.0.0.0/8", "127.0.0.1"], "environment"),
        "FIRST_ADMIN_EMAIL": ("admin@example.com", "embedded"),
        "WEBAUTHN_RP_ID": ("localhost", "follows PUBLIC_URL"),
        "WEBAUTHN_ORIGINS": (["http://localhost:*"], "follows PUBLIC_URL"),
        "MANAGEMENT_ADDRESS": ("off", "environment"),
        "LOG_FORMAT": ("json", ".env"),
        "LOG_LEVEL": ("ERROR", "environment"),
    }
    assert shown["SESSION_MAX_DAYS"] == (365, "default")
    assert not (tmp_path / ".data").exists()


def test_the_domain_and_the_pages_of_passkeys_follow_the_frontend(tmp_path: Path) -> None:
    urls = {"PUBLIC_URL": "https://id.example.com", "FRONTEND_URL": "https://app.example.com/en"}

    shown = settings_in(tmp_path, **urls)
    given = settings_in(tmp_path, **urls, WEBAUTHN_RP_ID="example.com")

    pages = ["https://app.example.com", "https://id.example.com"]
    followed = (pages, "follows FRONTEND_URL and PUBLIC_URL")
    assert [shown[name] for name in ("WEBAUTHN_RP_ID", "WEBAUTHN_ORIGINS")] == [
        ("app.example.com", "follows FRONTEND_URL"),
        followed,
    ]
    assert [given[name] for name in ("WEBAUTHN_RP_ID", "WEBAUTHN_ORIGINS")] == [
        ("example.com", "environment"),
        followed,
    ]


@pytest.mark.parametrize("frontend", ["myapp://links", "app.example.com", "https://x:99999", ""])
def test_without_a_web_page_as_frontend_passkeys_follow_the_public_url(
    tmp_path: Path, frontend: str
) -> None:
    shown = settings_in(tmp_path, PUBLIC_URL="https://id.example.com", FRONTEND_URL=frontend)

    assert [shown[name] for name in ("WEBAUTHN_RP_ID", "WEBAUTHN_ORIGINS")] == [
        ("id.example.com", "follows PUBLIC_URL"),
        (["https://id.example.com"], "follows PUBLIC_URL"),
    ]


def test_secrets_are_masked_and_hosts_are_not(tmp_path: Path) -> None:
    values = {
        "DATABASE_URL": f"postgresql://portico:{HIDDEN}@db.example:5432/portico?sslmode=require",
        "DATABASE_READ_URL": f"postgresql://portico:{HIDDEN}@replica.example/portico",
        "SECRET_KEY": f"{SECRET},{HIDDEN}-5Pq8Zt1mWc7Rk2Xv9Lb4",
        "SMTP_URL": f"smtp://{HIDDEN}:{HIDDEN}@smtp.example:587",
        "BREACHED_PASSWORDS_URL": f"https://breaches.example/{HIDDEN}/range",
        "FIRST_ADMIN_PASSWORD": HIDDEN,
    }
    secret = {name for name, field in FIELDS.items() if SecretStr in types_of(field)}
    assert {name.upper() for name in secret} == set(values)

    text = portico("settings", cwd=tmp_path, **values)
    shown = settings_in(tmp_path, **values)

    assert (text.returncode, HIDDEN in text.stdout + text.stderr) == (0, False)
    # The command asks the database, which need not answer.
    assert text.stderr.startswith(NOT_COMPARED)
    assert {name: shown[name][0] for name in values} == {
        "DATABASE_URL": "postgresql://portico:********@db.example:5432/portico?sslmode=require",
        "DATABASE_READ_URL": "postgresql://portico:********@replica.example/portico",
        "SECRET_KEY": "********",
        "SMTP_URL": "smtp://********@smtp.example:587",
        "BREACHED_PASSWORDS_URL": "https://breaches.example/********",
        "FIRST_ADMIN_PASSWORD": "********",
    }
    lines = dict(line.split(maxsplit=1) for line in text.stdout.splitlines())
    assert lines["SECRET_KEY"].split() == ["environment", "********"]
    assert lines["DEBUG"].rsplit(maxsplit=1) == ["follows DATABASE_URL", "false"]


def types_of(field: Any) -> tuple[Any, ...]:
    return getattr(field.annotation, "__args__", (field.annotation,))


def test_the_table_in_the_documentation_is_the_printed_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operators" / "settings.md").read_text(encoding="utf-8")

    # It prints the table even if settings are invalid.
    printed = portico("settings", "--markdown", cwd=tmp_path, BCRYPT_ROUNDS="99")

    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout in page


def test_the_settings_are_those_of_the_platform_and_of_all_modules() -> None:
    of_modules = [module.settings for module in MODULES if module.settings is not None]

    assert Settings.__bases__ == (*reversed(of_modules), PlatformSettings)


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in FIELDS.items() if not field.description] == []


def test_every_invalid_setting_is_one_line_without_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOG_FORMATS=json\nLIMIT_QUERY=3\nTHROTTLE_SCALE=0\n")

    result = portico(
        "serve",
        cwd=tmp_path,
        DATABASE_URL=f"mysql://portico:{HIDDEN}@db.example/portico",
        SECRET_KEY="change-me",
        PASSWORD_MIN_LENGTH="7",
        EMAIL_VERIFICATION="maybe",
        JOBS_WORKER=HIDDEN,
        databaseUrl=NO_SERVER,
        smpt_url=f"smtp://portico:{HIDDEN}@smtp.example",
    )

    assert (result.returncode, result.stdout, HIDDEN in result.stderr) == (1, "", False)
    assert result.stderr == (
        MISSPELLED.format("LIMIT_QUERY in .env", "LIMIT_DEPTH")
        + MISSPELLED.format("LOG_FORMATS in .env", "LOG_FORMAT")
        + MISSPELLED.format("DATABASEURL", "DATABASE_URL")
        + MISSPELLED.format("SMPT_URL", "SMTP_URL")
        + "portico: DATABASE_URL must be a postgresql:// address.\n"
        "portico: SECRET_KEY must be at least 32 bytes long.\n"
        "portico: EMAIL_VERIFICATION must be 'off' or 'required'.\n"
        "portico: JOBS_WORKER must be a valid boolean, unable to interpret input.\n"
        "portico: PASSWORD_MIN_LENGTH must be greater than or equal to 8.\n"
        "portico: THROTTLE_SCALE must be greater than 0.\n"
    )
    assert not (tmp_path / ".data").exists()


def test_a_variable_of_another_program_is_ignored_once_it_is_listed(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("UNRELATED_VARIABLES=LogLevel, LIMIT_RATE\nLIMIT_RATE=9\n")

    shown = settings_in(tmp_path, LOGLEVEL="trace")

    assert shown["LOG_LEVEL"] == ("INFO", "default")
    assert shown["UNRELATED_VARIABLES"] == (["LogLevel", "LIMIT_RATE"], ".env")


def test_a_settings_file_that_is_not_text_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"MAIL_FROM=J\xf6rg <no-reply@example.com>\n")

    result = portico("settings", cwd=tmp_path)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "portico: .env is not UTF-8 text.\n"


def test_a_line_of_a_settings_file_that_sets_nothing_is_refused(tmp_path: Path) -> None:
    lines = ["# a comment", "", "DEBUG: false", "export LOG_LEVEL=INFO", "DEBUG", "set DEBUG=false"]
    (tmp_path / ".env").write_text("\n".join(lines))

    result = portico("settings", cwd=tmp_path)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "".join(
        f"portico: .env, line {number}, is not NAME=value.\n" for number in (3, 5, 6)
    )


def test_the_version_is_printed_even_with_invalid_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DEBUG")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    result = portico("--version", cwd=tmp_path)

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"portico {project['version']}\n"


@pytest.mark.parametrize("command", [("settings",), ("db", "upgrade"), ("serve",), ("jobs",)])
def test_an_empty_database_url_in_the_environment_creates_no_database(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    result = portico(*command, cwd=tmp_path, DATABASE_URL="")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "portico: DATABASE_URL is set and empty: set it to the address of the database, or unset "
        "it for the embedded one.\n"
    )
    assert not (tmp_path / ".data").exists()


def test_an_empty_value_in_a_settings_file_is_not_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=\n")

    assert settings_in(tmp_path)["DATABASE_URL"] == ("PostgreSQL in .data", "embedded")
