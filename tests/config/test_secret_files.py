"""Secrets read from files that variables such as SECRET_KEY_FILE name."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from app.config.secret_files import MAX_BYTES
from app.config.sources import secret_files
from app.database import migrations, revisions
from app.settings import Settings
from app.testing.databases import on_server
from app.testing.leaks import SECRETS
from tests.cli.test_serve import NO_SERVER, SECRET, workers_of
from tests.cli.test_settings_command import HIDDEN, MISSPELLED, settings_in, types_of
from tests.support.roles import PASSWORD, role
from tests.support.servers import portico, serving

ADDRESS = f"postgresql://portico:{HIDDEN}@db.example/portico"
MASKED = "postgresql://portico:********@db.example/portico"


def refused(folder: Path, **environment: str) -> list[str]:
    """Returns the lines of the error. Nothing was created, and no secret is shown."""
    result = portico("settings", cwd=folder, **environment)
    assert (result.returncode, result.stdout, HIDDEN in result.stderr) == (1, "", False)
    assert not (folder / ".data").exists()
    return result.stderr.splitlines()


def test_every_secret_may_be_in_a_file() -> None:
    secret = {
        name for name, field in Settings.model_fields.items() if "SecretStr" in str(types_of(field))
    }

    assert {name: f"{name}_file" for name in secret} == secret_files(Settings)
    assert set(secret_files(Settings).values()).isdisjoint(Settings.model_fields)


def test_a_secret_is_read_from_its_file_without_surrounding_white_space(tmp_path: Path) -> None:
    address, key, password = tmp_path / "address", tmp_path / "key", tmp_path / "password"
    address.write_text(f"\n {ADDRESS}\r\n")
    key.write_text(f"{SECRET}\n")
    password.write_text(HIDDEN)
    (tmp_path / ".env").write_text("FIRST_ADMIN_PASSWORD_FILE=password\nSMTP_URL_FILE=\n")

    shown = settings_in(tmp_path, DATABASE_URL_FILE=str(address), SECRET_KEY_FILE=str(key))

    assert {name: shown[name.upper()] for name in ("database_url", "secret_key", "smtp_url")} == {
        "database_url": (MASKED, str(address)),
        "secret_key": ("********", str(key)),
        "smtp_url": (None, "default"),
    }
    assert shown["FIRST_ADMIN_PASSWORD"] == ("********", "password")


def test_a_secret_set_twice_in_one_place_is_refused_with_both_names(tmp_path: Path) -> None:
    (tmp_path / "address").write_text(ADDRESS)
    (tmp_path / ".env").write_text(f"SMTP_URL=smtp://{HIDDEN}\nSMTP_URL_FILE=address\n")

    assert refused(tmp_path, DATABASE_URL=ADDRESS, DATABASE_URL_FILE="address") == [
        "portico: SMTP_URL and SMTP_URL_FILE are both set in .env: unset one.",
        "portico: DATABASE_URL and DATABASE_URL_FILE are both set: unset one.",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "source"),
    [
        ("DATABASE_URL", ADDRESS, "environment"),
        ("DATABASE_URL_FILE", "address", "address"),
    ],
)
@pytest.mark.parametrize("in_file", [f"DATABASE_URL={NO_SERVER}", "DATABASE_URL_FILE=nowhere"])
def test_the_environment_goes_first_with_a_file_too(
    tmp_path: Path, variable: str, value: str, source: str, in_file: str
) -> None:
    (tmp_path / "address").write_text(ADDRESS)
    (tmp_path / ".env").write_text(in_file)

    assert settings_in(tmp_path, **{variable: value})["DATABASE_URL"] == (MASKED, source)


def test_an_unusable_file_is_reported_in_one_line_with_the_variable_and_the_reason(
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "large").write_text(HIDDEN * MAX_BYTES)
    (tmp_path / "binary").write_bytes(HIDDEN.encode() + b"\xff")
    os.mkfifo(tmp_path / "pipe")

    assert refused(
        tmp_path,
        DATABASE_URL_FILE=HIDDEN,
        DATABASE_READ_URL_FILE="large",
        SECRET_KEY_FILE="empty",
        SMTP_URL_FILE="binary",
        BREACHED_PASSWORDS_URL_FILE="pipe",
        FIRST_ADMIN_PASSWORD_FILE=".",
    ) == [
        "portico: DATABASE_URL_FILE: the file cannot be read: No such file or directory.",
        "portico: SECRET_KEY_FILE: the file is empty.",
        "portico: DATABASE_READ_URL_FILE: the file is larger than 16 KiB.",
        "portico: SMTP_URL_FILE: the file is not UTF-8 text.",
        "portico: BREACHED_PASSWORDS_URL_FILE: the file is not a regular file.",
        "portico: FIRST_ADMIN_PASSWORD_FILE: the file is not a regular file.",
    ]


def test_an_invalid_secret_in_a_file_is_reported_with_the_variable_of_the_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "key").write_text(HIDDEN)

    assert refused(tmp_path, SECRET_KEY_FILE="key", SECRETKEY_FILE="key") == [
        *MISSPELLED.format("SECRETKEY_FILE", "SECRET_KEY_FILE").splitlines(),
        "portico: SECRET_KEY, read from SECRET_KEY_FILE, must be at least 32 bytes long.",
    ]


def test_an_empty_file_variable_for_the_database_is_refused(tmp_path: Path) -> None:
    [line] = refused(tmp_path, DATABASE_URL_FILE="")

    assert line == (
        "portico: DATABASE_URL_FILE is set and empty: set it to the path of a file with the "
        "address of the database, or unset it for the embedded one."
    )


async def test_secrets_in_files_are_not_in_the_environment_of_a_server(
    empty_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    SECRETS.add(SECRET)
    async with role(empty_url) as owner:
        await on_server(empty_url, f"ALTER ROLE {owner.name} SUPERUSER")
        (tmp_path / "address").write_text(owner.url)
        (tmp_path / "key").write_text(SECRET)
        files = {"DATABASE_URL_FILE": "address", "SECRET_KEY_FILE": "key"}

        environments = await asyncio.to_thread(environments_of_a_server, tmp_path, **files)

    assert [
        name for each in environments for name in each if each[name] in {SECRET, owner.url}
    ] == []
    assert not any(PASSWORD in value for each in environments for value in each.values())


def test_the_secret_of_the_embedded_database_is_not_in_the_environment_of_a_server(
    tmp_path: Path,
) -> None:
    environments = environments_of_a_server(tmp_path)

    secret = (tmp_path / ".data" / "secret_key").read_text()
    SECRETS.add(secret)
    assert not any(secret in value for each in environments for value in each.values())


def environments_of_a_server(folder: Path, **environment: str) -> list[dict[str, str]]:
    """Returns the environments of a server's two workers and of their parent."""
    with serving(folder, "--workers", "2", **environment) as server:
        processes = [psutil.Process(server.process.pid), *workers_of(server)]
        assert len(processes) == 3
        return [process.environ() for process in processes]


def test_an_upgrade_needs_only_the_address_of_the_database(empty_url: str, tmp_path: Path) -> None:
    (tmp_path / "address").write_text(empty_url)

    # A server would refuse to start with this setting alone; a migration ignores it.
    upgraded = portico(
        "db", "upgrade", cwd=tmp_path, DATABASE_URL_FILE="address", EMAIL_VERIFICATION="required"
    )

    assert (upgraded.returncode, upgraded.stderr) == (0, "")
    assert upgraded.stdout.startswith(
        f"The database is at revision {revisions.head()}, the newest.\n"
    )


def test_an_upgrade_of_the_embedded_database_creates_no_secret(tmp_path: Path) -> None:
    upgraded = portico("db", "upgrade", cwd=tmp_path)

    assert (upgraded.returncode, upgraded.stderr) == (0, "")
    assert [path.name for path in (tmp_path / ".data").iterdir()] == ["postgres"]
