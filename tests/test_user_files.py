"""People in and out of files, and administrators made by a command."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest
from passlib.context import CryptContext  # pyright: ignore[reportMissingTypeStubs] - it has none
from sqlalchemy import make_url, text
from typer.testing import CliRunner, Result

from app import migrations
from app.cli import cli
from app.config import Settings
from app.db import Database
from app.security.password_hashes import FOREIGN
from tests.clients import Api, Person
from tests.servers import portico
from tests.test_serve import SECRET

PASSWORD = "analytical engine 7"
QUICK = {
    "argon2": {"memory_cost": 1024, "rounds": 2},
    "django_argon2": {"memory_cost": 1024, "rounds": 2},
    "bcrypt": {"rounds": 4},
    "django_bcrypt": {"rounds": 4},
    "django_bcrypt_sha256": {"rounds": 4},
    "ldap_bcrypt": {"rounds": 4},
    "scrypt": {"rounds": 10},
    "phpass": {"rounds": 7},
    "fshp": {"rounds": 1000},
    "sun_md5_crypt": {"rounds": 100},
} | {
    f"{prefix}{name}_crypt": {"rounds": 1000}
    for prefix in ("", "ldap_")
    for name in ("sha1", "sha256", "sha512")
}


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """Of a command on the database of the tests."""
    assert settings.database_url is not None
    assert settings.secret_key is not None
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "SECRET_KEY": settings.secret_key.get_secret_value(),
    }


def written(folder: Path, *people: Any) -> Path:
    file = folder / "people.ndjson"
    file.write_text("\n".join(p if isinstance(p, str) else json.dumps(p) for p in people) + "\n")
    return file


def hashed(scheme: str) -> str:
    cost = {f"{scheme}__{name}": value for name, value in QUICK.get(scheme, {}).items()}
    context: Any = cast("Any", CryptContext)(schemes=[scheme], **cost)
    return context.hash(PASSWORD)


async def run(*arguments: str, given: str = "", **environment: str) -> Result:
    """Run a command in this process, which is a second quicker than in one of its own."""
    invoke = CliRunner().invoke
    return await asyncio.to_thread(
        invoke, cli, arguments, input=given, env=environment, color=False
    )


async def test_people_come_with_the_passwords_they_had(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    people = [
        {"email": f"{scheme}@Example.com", "passwordHash": hashed(scheme)} for scheme in FOREIGN
    ]
    file = written(tmp_path, *people)

    answer = await run("users", "import", str(file), **environment)

    assert f"{len(FOREIGN)} people added" in answer.stdout, answer.stderr
    for scheme in FOREIGN:
        assert await api.login(Person(f"{scheme}@example.com", PASSWORD))
    kept = await db.rows(text("SELECT DISTINCT left(password_hash, 15) FROM users"))
    assert [row[0] for row in kept] == ["$bcrypt-sha256$"]


async def test_twice_changes_nothing(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    person = {"email": "eve@example.com", "displayName": "Eve", "role": "ADMIN"}
    file = written(tmp_path, person, "", {"email": "EVE@example.com", "displayName": "Other"})

    answers = [await run("users", "import", str(file), **environment) for _ in range(2)]

    assert ["1 people added" in answers[0].stdout, "0 people added" in answers[1].stdout] == [
        True,
        True,
    ]
    rows = await db.rows(text("SELECT email, display_name, role FROM users"))
    assert [tuple(row) for row in rows] == [("eve@example.com", "Eve", "ADMIN")]
    assert api.errors == []


async def test_a_dry_run_names_each_line_that_would_fail(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    secret = "$2b$31$" + "a" * 53
    file = written(
        tmp_path,
        {"email": "good@example.com"},
        {"email": "no address"},
        "not JSON",
        {"email": "a@example.com", "role": "OWNER"},
        {"email": "a@example.com", "passwordHash": secret},
        {"email": "a@example.com", "passwordHash": "5f4dcc3b5aa765d61d8327deb882cf99"},
        {"email": "a@example.com", "password": "plain"},
        {"email": "a@example.com", "createdAt": "2999-01-01T00:00:00Z"},
        "[]",
        '{"email": "' + "x" * 20_000 + '"}',
    )

    answer = await run("users", "import", str(file), "--dry-run", **environment)
    refused = await run("users", "import", str(file), **environment)

    named = [line.split(":")[0] for line in answer.stdout.splitlines() if line.startswith("line")]
    assert named == [f"line {number}" for number in range(2, 11)]
    assert "9 lines would fail" in answer.stdout
    assert secret not in answer.stdout
    assert (refused.exit_code, await db.rows(text("SELECT 1 FROM users"))) == (1, [])
    assert api.errors == []


async def test_good_lines_are_taken_if_the_others_may_be_skipped(
    api: Api, tmp_path: Path, environment: dict[str, str]
) -> None:
    eve = {"email": "eve@example.com", "passwordHash": hashed("pbkdf2_sha256")}
    file = written(tmp_path, {"email": "no address"}, eve)

    answer = await run("users", "import", str(file), "--skip-invalid", **environment)

    assert "1 people added" in answer.stdout
    assert await api.login(Person("eve@example.com", PASSWORD))


async def test_what_is_written_can_be_taken_over(
    api: Api, ada: Person, tmp_path: Path, environment: dict[str, str], empty_url: str
) -> None:
    file = tmp_path / "people.ndjson"
    elsewhere = {
        "DATABASE_URL": make_url(empty_url).render_as_string(hide_password=False),
        "SECRET_KEY": SECRET,
    }
    await asyncio.to_thread(migrations.upgrade, empty_url)

    await run("users", "export", str(file), "--with-password-hashes", **environment)
    await run("users", "import", str(file), **elsewhere)
    again = await run("users", "export", "-", "--with-password-hashes", **elsewhere)
    bare = await run("users", "export", "-", **environment)

    assert again.stdout == file.read_text()
    assert json.loads(bare.stdout) | {"createdAt": ""} == {
        "email": ada.email,
        "displayName": ada.name,
        "role": "MEMBER",
        "emailVerified": False,
        "createdAt": "",
    }
    assert file.stat().st_mode & 0o777 == 0o600
    assert api.errors == []


async def test_an_administrator_is_made_on_any_database(
    api: Api, ada: Person, environment: dict[str, str]
) -> None:
    made = await run("users", "create-admin", "root@example.com", given=PASSWORD, **environment)
    known = await run("users", "create-admin", ada.email, given=PASSWORD, **environment)
    promoted = await run("users", "create-admin", "--promote", ada.email, **environment)

    assert (made.exit_code, known.exit_code, promoted.exit_code) == (0, 1, 0)
    root = await api.login(Person("root@example.com", PASSWORD))
    assert await root("{ users { totalCount } }") == {"users": {"totalCount": 2}}
    assert await (await api.login(ada))("{ me { role } }") == {"me": {"role": "ADMIN"}}


async def test_a_weak_password_makes_no_administrator(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    made = await asyncio.to_thread(
        portico,
        "users",
        "create-admin",
        "root@example.com",
        cwd=tmp_path,
        given="password\n",
        **environment,
    )

    assert (made.returncode, "password: " in made.stderr) == (1, True)
    assert (await db.rows(text("SELECT 1 FROM users")), api.errors) == ([], [])
