"""People in and out of files, and administrators made by a command."""

import asyncio
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, text
from typer.testing import CliRunner, Result

from app import migrations
from app.cli import cli
from app.config import Settings
from app.db import Database
from app.services.user_files import BATCH
from tests.clients import LOGIN, Api, Person
from tests.foreign_hashes import FOREIGN_HASHES
from tests.servers import PORTICO, portico
from tests.test_access import contents
from tests.test_serve import SECRET

PASSWORD = "analytical engine 7"
HASH = "$pbkdf2-sha256$1000$shYCoBRCaG2tdc75H2PsXQ$9dIZpJ1Ieqiwr6bfIQehQMZZs3UT5XdUuIgdD6rwUTM"
NO_TIMES = [
    "2999-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "2024-05-01T00:00:00",
    "2024-05-01",
    1714564800,
    True,
]
ELSEWHERE = text(
    "INSERT INTO users (id, email, created_at, updated_at) VALUES (:id, :email, now(), now())"
)


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


def names_in(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


async def number_of_people(db: Database) -> int:
    return (await db.rows(text("SELECT count(*) FROM users")))[0][0]


async def run(*arguments: str, given: str = "", **environment: str) -> Result:
    """Run a command in this process, which is a second quicker than in one of its own."""
    invoke = CliRunner().invoke
    return await asyncio.to_thread(
        invoke, cli, arguments, input=given, env=environment, color=False
    )


async def test_people_come_with_the_passwords_they_had(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    people = {f"{number}@example.com": each for number, each in enumerate(FOREIGN_HASHES)}
    lines = [{"email": email, "passwordHash": each.text} for email, each in people.items()]
    file = written(tmp_path, *lines)

    answer = await run("users", "import", str(file), **environment)

    assert f"{len(people)} people added" in answer.stdout, answer.stdout + answer.stderr
    for email, each in people.items():
        assert await api.login(Person(email, each.password)), each
    kept = await db.rows(text("SELECT DISTINCT left(password_hash, 15) FROM users"))
    assert [row[0] for row in kept] == ["$bcrypt-sha256$"]


async def test_a_hash_that_would_have_to_be_corrected_is_refused(
    db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    long_salt = "$6$rounds=1000$" + "a" * 17 + "$" + "a" * 85 + "1"
    written(tmp_path, {"email": "eve@example.com", "passwordHash": long_salt})

    answer = await asyncio.to_thread(
        portico, "users", "import", "people.ndjson", cwd=tmp_path, **environment
    )

    assert answer.returncode == 1
    assert answer.stdout == "line 1: passwordHash: This hash is damaged.\n"
    assert "Warning" not in answer.stderr
    assert await number_of_people(db) == 0


async def test_twice_changes_nothing(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = written(tmp_path, {"email": "Eve@example.com", "displayName": "Eve", "role": "ADMIN"})
    first = await run("users", "import", str(file), **environment)
    before = await contents(db)
    file = written(tmp_path, "", {"email": "EVE@example.com", "displayName": "Other"})

    again = await run("users", "import", str(file), **environment)

    assert "1 people added, 0 were there already" in first.stdout
    assert "0 people added, 1 were there already" in again.stdout
    assert (await contents(db), api.errors) == (before, [])


async def test_of_two_lines_with_one_address_the_first_counts_and_the_other_is_named(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    emails = ["eve@example.com", "bob@example.com", "EVE@example.com", "eve@example.com"]
    people = [{"email": email, "displayName": str(n)} for n, email in enumerate(emails, 1)]
    file = written(tmp_path, *people)

    refused = await run("users", "import", str(file), **environment)
    taken = await run("users", "import", str(file), "--skip-invalid", **environment)

    assert refused.stdout.splitlines() == [
        f"line {number}: email: Line 1 has the same address." for number in (3, 4)
    ]
    assert (refused.exit_code, "2 people added" in taken.stdout) == (1, True)
    rows = await db.rows(text("SELECT display_name FROM users ORDER BY 1"))
    assert ([row[0] for row in rows], api.errors) == (["1", "2"], [])


async def test_a_dry_run_says_who_is_there_and_changes_nothing(
    ada: Person, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    before = await contents(db)
    file = written(tmp_path, {"email": ada.email.upper()}, {"email": "eve@example.com"})

    answer = await run("users", "import", str(file), "--dry-run", **environment)

    assert answer.stdout.splitlines() == [
        "1 people would be added, 1 are there already.",
        "Nothing was changed. 0 lines would fail.",
    ]
    assert await contents(db) == before


async def test_an_import_that_was_killed_goes_on(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = written(tmp_path, *({"email": f"{n}@example.com"} for n in range(2 * BATCH + 1)))
    command = [PORTICO, "users", "import", str(file)]
    async with db.begin() as session:
        # The second batch waits for this address, so that it is killed after the first.
        values = {"id": uuid.uuid4(), "email": f"{BATCH}@example.com"}
        await session.execute(ELSEWHERE, values)
        process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environment)
        while await number_of_people(db) == 0:
            assert process.returncode is None
            await asyncio.sleep(0.05)
        process.kill()
        await process.wait()
        await session.rollback()
    assert await number_of_people(db) == BATCH

    answer = await run("users", "import", str(file), **environment)

    assert f"{BATCH + 1} people added, {BATCH} were there already" in answer.stdout
    assert (await number_of_people(db), api.errors) == (2 * BATCH + 1, [])


async def test_an_import_takes_as_long_as_it_takes(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = written(tmp_path, {"email": "eve@example.com"})
    limit = {"DATABASE_TIMEOUT_SECONDS": "0.5"}
    async with db.begin() as session:
        await session.execute(ELSEWHERE, {"id": uuid.uuid4(), "email": "eve@example.com"})
        importing = asyncio.create_task(run("users", "import", str(file), **environment | limit))
        # Longer than a statement, and the answer to one, may take elsewhere.
        await asyncio.sleep(4)
        await session.rollback()

    assert ("1 people added" in (await importing).stdout, api.errors) == (True, [])


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
        *({"email": "a@example.com", "createdAt": time} for time in NO_TIMES),
        {"email": "a@example.com", "suspension": {"reason": " "}},
        "[]",
        '{"email": "' + "x" * 20_000 + '"}',
    )

    answer = await run("users", "import", str(file), "--dry-run", **environment)
    refused = await run("users", "import", str(file), **environment)

    named = [line.split(":")[0] for line in answer.stdout.splitlines() if line.startswith("line")]
    assert named == [f"line {number}" for number in range(2, 11 + len(NO_TIMES))]
    assert f"{9 + len(NO_TIMES)} lines would fail" in answer.stdout
    assert secret not in answer.stdout
    assert (refused.exit_code, await db.rows(text("SELECT 1 FROM users"))) == (1, [])
    assert api.errors == []


async def test_a_dry_run_leaves_no_line_out_however_many_fail(
    api: Api, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = written(tmp_path, *["not JSON"] * 150)

    dry = await run("users", "import", str(file), "--dry-run", **environment)
    refused = await run("users", "import", str(file), **environment)

    expected = [f"line {number}: the line is no JSON" for number in range(1, 151)]
    assert dry.stdout.splitlines()[:150] == expected
    assert refused.stdout.splitlines() == [
        *expected[:100],
        "… and 50 more: --dry-run names them all.",
    ]
    assert api.errors == []


async def test_good_lines_are_taken_if_the_others_may_be_skipped(
    api: Api, tmp_path: Path, environment: dict[str, str]
) -> None:
    eve = {"email": "eve@example.com", "passwordHash": HASH}
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


async def test_a_registration_that_nobody_confirmed_takes_no_password_elsewhere(
    api: Api, ada: Person, db: Database, environment: dict[str, str]
) -> None:
    await api.register(Person("eve@example.com", "an apple a day 42"))
    unconfirmed = "UPDATE users SET open_to_registration = true, last_login_at = NULL"
    async with db.begin() as session:
        await session.execute(text(f"{unconfirmed} WHERE email <> :email"), {"email": ada.email})

    answer = await run("users", "export", "-", "--with-password-hashes", **environment)

    people = [json.loads(line) for line in answer.stdout.splitlines()]
    assert {each["email"]: "passwordHash" in each for each in people} == {
        ada.email: True,
        "eve@example.com": False,
    }


async def test_a_registration_that_nobody_confirmed_gives_way_to_an_import(
    api: Api, environment: dict[str, str], tmp_path: Path, db: Database
) -> None:
    await api.register(Person("other@example.com", "difference engine 1"))
    async with db.begin() as session:
        await session.execute(
            text(
                "INSERT INTO users (id, email, password_hash, open_to_registration, created_at,"
                " updated_at) VALUES (:id, 'ada@example.com', 'x', true, now(), now())"
            ),
            {"id": uuid.uuid4()},
        )
    (tmp_path / "people").write_text('{"email": "ada@example.com", "displayName": "Ada"}\n')

    taken = await asyncio.to_thread(
        portico, "users", "import", "people", cwd=tmp_path, **environment
    )

    assert (taken.returncode, taken.stderr) == (0, "")
    rows = await db.rows(text("SELECT email, display_name, password_hash IS NULL FROM users"))
    assert min(tuple(row) for row in rows) == ("ada@example.com", "Ada", True)


async def test_whoever_is_suspended_stays_so_elsewhere(
    api: Api, ada: Person, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = tmp_path / "people.ndjson"
    async with db.begin() as session:
        await session.execute(
            text("UPDATE users SET suspended_at = now(), suspension_reason = 'Spam'")
        )
    await run("users", "export", str(file), "--with-password-hashes", **environment)
    async with db.begin() as session:
        await session.execute(text("DELETE FROM users"))

    await run("users", "import", str(file), **environment)

    data = await api(LOGIN, input=ada.credentials)
    assert data["login"]["__typename"] == "InvalidCredentials"
    rows = await db.rows(text("SELECT suspended_at < now(), suspension_reason FROM users"))
    assert [tuple(row) for row in rows] == [(True, "Spam")]


async def test_an_export_is_for_nobody_elses_eyes_and_harms_no_device(
    ada: Person, tmp_path: Path, environment: dict[str, str]
) -> None:
    file, pipe = tmp_path / "people.ndjson", tmp_path / "pipe"
    file.touch(mode=0o644)
    os.mkfifo(pipe)
    read = asyncio.create_task(asyncio.to_thread(pipe.read_text))

    await run("users", "export", str(file), **environment)
    await run("users", "export", str(pipe), **environment)

    assert file.stat().st_mode & 0o777 == 0o600
    assert (await read, ada.email in await read) == (file.read_text(), True)
    assert names_in(tmp_path) == ["people.ndjson", "pipe"]
    assert pipe.is_fifo()


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
