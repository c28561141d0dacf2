"""Import and export of users, and administrators created by a command."""

import asyncio
import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import jwt
import pytest
from hypothesis import strategies as st
from sqlalchemy import text
from typer.testing import CliRunner

from app.database import migrations
from app.database.database import Database
from app.people.services.user_fields import FIELDS, NOT_IN_FILE, ImportedUser
from app.people.services.user_files import BATCH
from app.security.password_hashes.own_format import OwnHashes
from app.testing.clients import LOGIN, Api, Person
from app.testing.commands import CLI, run
from app.testing.databases import contents, on_server
from app.users.models import User
from tests.cli.test_serve import SECRET
from tests.support.foreign_hashes import FOREIGN_HASHES
from tests.support.servers import PORTICO, ROOT, portico

PASSWORD = "analytical engine 7"
HASH = "$pbkdf2-sha256$1000$shYCoBRCaG2tdc75H2PsXQ$9dIZpJ1Ieqiwr6bfIQehQMZZs3UT5XdUuIgdD6rwUTM"
NO_TIMES = [
    "2999-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "2024-05-01T00:00:00",
    "2024-05-01",
    "20240501",
    32503680000,
    17145648,
    1714564800000000,
    -1714564800,
    True,
]
ELSEWHERE = text(
    "INSERT INTO users (id, email, created_at, updated_at) VALUES (:id, :email, now(), now())"
)
WAITING = text(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
async def elsewhere(empty_url: str) -> dict[str, str]:
    """Returns the environment of a command on another, empty database."""
    await asyncio.to_thread(migrations.upgrade, empty_url)
    return {"DATABASE_URL": empty_url, "SECRET_KEY": SECRET}


def written(folder: Path, *people: Any) -> Path:
    file = folder / "people.ndjson"
    file.write_text("\n".join(p if isinstance(p, str) else json.dumps(p) for p in people) + "\n")
    return file


def names_in(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


async def number_of_people(db: Database) -> int:
    return (await db.rows(text("SELECT count(*) FROM users")))[0][0]


async def test_users_are_imported_with_their_passwords(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    people = {f"{number}@example.com": each for number, each in enumerate(FOREIGN_HASHES)}
    lines = [{"email": email, "passwordHash": each.text} for email, each in people.items()]
    file = written(tmp_path, *lines)

    answer = await run("users", "import", str(file), **environment)

    assert f"{len(people)} users added" in answer.stdout, answer.stdout + answer.stderr
    for email, each in people.items():
        assert await api.login(Person(email, each.password)), each
    kept = await db.rows(text("SELECT email, password_hash FROM users"))
    theirs = {email: kept_hash for email, kept_hash in kept if kept_hash == people[email].text}
    others = {kept_hash[:15] for email, kept_hash in kept if email not in theirs}
    assert others == {"$bcrypt-sha256$"}
    # These hashes are not replaced: only a part of the password counts in them, or they are ours.
    assert {people[email].format for email in theirs} == {
        *("bcrypt", "wordpress", "better_auth", "bcrypt_sha256")
    }


async def test_a_malformed_hash_is_refused(
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


async def test_a_second_import_changes_nothing(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = written(tmp_path, {"email": "Eve@example.com", "displayName": "Eve", "role": "ADMIN"})
    first = await run("users", "import", str(file), **environment)
    before = await contents(db)
    file = written(tmp_path, "", {"email": "EVE@example.com", "displayName": "Other"})

    again = await run("users", "import", str(file), **environment)

    assert "1 user added, 0 existed already" in first.stdout
    assert "0 users added, 1 existed already" in again.stdout
    assert (await contents(db), api.errors) == (before, [])


async def test_of_two_lines_with_the_same_address_the_first_is_used_and_the_other_reported(
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
    assert (refused.exit_code, "2 users added" in taken.stdout) == (1, True)
    rows = await db.rows(text("SELECT display_name FROM users ORDER BY 1"))
    assert ([row[0] for row in rows], api.errors) == (["1", "2"], [])


async def test_a_dry_run_shows_who_exists_and_changes_nothing(
    ada: Person, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    before = await contents(db)
    file = written(tmp_path, {"email": ada.email.upper()}, {"email": "eve@example.com"})

    answer = await run("users", "import", str(file), "--dry-run", **environment)

    assert answer.stdout.splitlines() == [
        "1 user would be added, 1 exist already.",
        "Nothing was changed. 0 lines would fail.",
    ]
    assert await contents(db) == before


THEIR_ID = "7d4a5eaf-9f3c-4a2d-9b79-4e3f5a6b7c8d"
OTHER_ID = "0190163d-8694-739b-aea5-966c26f8ad91"


async def test_an_id_and_an_external_id_are_kept_and_find_the_user(
    api: Api, grace: Person, tmp_path: Path, environment: dict[str, str]
) -> None:
    eve = {"email": "eve@example.com", "id": THEIR_ID.upper(), "externalId": "auth0|5f7c"}
    eve |= {"passwordHash": OwnHashes(4).make(PASSWORD), "lastLoginAt": "2024-05-01T12:00:00Z"}
    bob = {"email": "bob@example.com", "externalId": "auth0|5F7C"}

    await run("users", "import", str(written(tmp_path, eve, bob)), **environment)

    admin, member = await api.login(grace), await api.login(Person(eve["email"], PASSWORD))
    found = await admin(
        "query($id: String) { users(filter: {externalId: $id}) {"
        " totalCount nodes { id email externalId } } }",
        id="auth0|5f7c",
    )
    unmatched = await admin('{ users(filter: {externalId: "auth0|5f7"}) { nodes { email } } }')
    person = {"id": f"User_{uuid.UUID(THEIR_ID).hex}", "externalId": "auth0|5f7c"}
    person |= {"email": eve["email"]}
    assert found == {"users": {"totalCount": 1, "nodes": [person]}}
    assert unmatched == {"users": {"nodes": []}}
    assert await member("{ me { id email externalId } }") == {"me": person}
    claims = jwt.decode(member.access_token or "", options={"verify_signature": False})
    assert claims["sub"] == THEIR_ID
    for refused in ("", "x" * 256, "a\x00b"):
        data = await admin(
            "query($id: String) { users(filter: {externalId: $id}) { totalCount } }", id=refused
        )
        assert (data, admin.last_code) == ({"users": None}, "BAD_USER_INPUT")


async def test_a_last_sign_in_is_kept_and_times_are_read_in_all_formats(
    api: Api, grace: Person, tmp_path: Path, environment: dict[str, str]
) -> None:
    times = ["2024-05-01T14:00:00+02:00", 1714564800, 1714564800.0, 1714564800000, "1714564800000"]
    absent = [None, ""]
    people = [
        {"email": f"{number}@example.com", "lastLoginAt": time, "createdAt": time}
        for number, time in enumerate([*times, *absent])
    ]

    answer = await run("users", "import", str(written(tmp_path, *people)), **environment)

    admin = await api.login(grace)
    data = await admin(
        '{ users(filter: {search: "@example"}, orderBy: {field: EMAIL}) {'
        " nodes { email createdAt lastLoginAt } } }"
    )
    found = {each.pop("email"): each for each in data["users"]["nodes"]}
    assert "7 users added" in answer.stdout
    meant = {"createdAt": "2024-05-01T12:00:00Z", "lastLoginAt": "2024-05-01T12:00:00Z"}
    assert [found[f"{number}@example.com"] for number in range(len(times))] == [meant] * len(times)
    for number in range(len(times), len(people)):
        assert found[f"{number}@example.com"]["lastLoginAt"] is None


async def test_a_time_of_zero_means_unknown(
    api: Api, tmp_path: Path, environment: dict[str, str]
) -> None:
    people = [
        {"email": f"{number}@example.com", "createdAt": zero, "lastLoginAt": zero}
        for number, zero in enumerate([0, "0", 0.0])
    ]
    started = datetime.now(UTC)

    await run("users", "import", str(written(tmp_path, *people)), **environment)
    exported = await run("users", "export", "-", **environment)

    taken = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [each["lastLoginAt"] for each in taken] == [None, None, None]
    assert all(datetime.fromisoformat(each["createdAt"]) >= started for each in taken)
    assert api.errors == []


async def test_optional_fields_may_be_null_or_empty(
    api: Api, tmp_path: Path, environment: dict[str, str]
) -> None:
    names = FIELDS.keys() - {"email"}
    people = [
        {"email": f"{number}@example.com"} | dict.fromkeys(names, empty)
        for number, empty in enumerate([None, ""])
    ]

    answer = await run("users", "import", str(written(tmp_path, *people)), **environment)
    exported = await run("users", "export", "-", **environment)

    assert "2 users added" in answer.stdout, answer.output
    for line in exported.stdout.splitlines():
        assert json.loads(line) | {"id": "", "email": "", "createdAt": ""} == {
            "id": "",
            "externalId": None,
            "email": "",
            "displayName": None,
            "role": "MEMBER",
            "emailVerified": False,
            "createdAt": "",
            "lastLoginAt": None,
        }
    assert api.errors == []


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        ({"id": "7d4a5eaf9f3c4a2d9b794e3f5a6b7c8d"}, "id: Write a UUID, such as "),
        ({"id": f"{{{THEIR_ID}}}"}, "id: Write a UUID, such as "),
        ({"id": 5}, "id: Write a UUID, such as "),
        ({"id": "00000000-0000-0000-0000-000000000000"}, "id: This UUID is reserved."),
        ({"id": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"}, "id: This UUID is reserved."),
        ({"externalId": "x" * 256}, "externalId: An external id has 1 to 255 characters"),
        ({"externalId": "a\x00"}, "externalId: An external id has 1 to 255 characters"),
        ({"externalId": 7}, "externalId: Input should be a valid string"),
        ({"id": THEIR_ID}, "id: Another user has this id."),
        ({"externalId": "7"}, "externalId: Another user has this external id."),
        (
            {"email": "bob@example.com", "id": OTHER_ID},
            "id: The user with this address has another id.",
        ),
        (
            {"email": "BOB@example.com", "externalId": "8"},
            "externalId: The user with this address has another one, or none.",
        ),
        (
            {"email": "ann@example.com", "externalId": "8"},
            "externalId: The user with this address has another one, or none.",
        ),
        (
            {"id": THEIR_ID, "externalId": "7"},
            "externalId: Another user has this external id. id: Another user has this id.",
        ),
    ],
)
async def test_an_invalid_id_or_one_of_another_user_is_reported_and_changes_nothing(
    api: Api,
    db: Database,
    tmp_path: Path,
    environment: dict[str, str],
    theirs: dict[str, Any],
    why: str,
) -> None:
    bob = {"email": "bob@example.com", "id": THEIR_ID, "externalId": "7"}
    kim = {"email": "kim@example.com"}
    there = written(tmp_path, bob, {"email": "ann@example.com"}, kim)
    await run("users", "import", str(there), **environment)
    before = await contents(db)
    given = written(tmp_path, kim, {"email": "eve@example.com"} | theirs)

    dry = await run("users", "import", str(given), "--dry-run", **environment)
    refused = await run("users", "import", str(given), **environment)

    for answer in (dry, refused):
        assert answer.stdout.splitlines()[0].startswith(f"line 2: {why}")
    assert dry.stdout.splitlines()[1:] == [
        "0 users would be added, 1 exist already.",
        "Nothing was changed. 1 line would fail.",
    ]
    assert refused.exit_code == 1
    assert (await contents(db), api.errors) == (before, [])


async def test_of_two_lines_with_the_same_id_the_first_is_used_and_the_other_reported(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    people = [
        {"email": "eve@example.com", "id": THEIR_ID},
        {"email": "bob@example.com", "id": THEIR_ID.upper()},
        {"email": "ann@example.com", "externalId": "7"},
        {"email": "joe@example.com", "externalId": "7"},
        {"email": "kim@example.com"},
    ]
    file = written(tmp_path, *people)

    refused = await run("users", "import", str(file), **environment)
    taken = await run("users", "import", str(file), "--skip-invalid", **environment)

    assert refused.stdout.splitlines() == [
        "line 2: id: Line 1 has the same id.",
        "line 4: externalId: Line 3 has the same external id.",
    ]
    assert (refused.exit_code, "3 users added" in taken.stdout) == (1, True)
    rows = await db.rows(text("SELECT split_part(email, '@', 1) FROM users ORDER BY 1"))
    assert ([row[0] for row in rows], api.errors) == (["ann", "eve", "kim"], [])


async def test_a_conflict_that_arises_while_users_are_added_is_reported(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = written(tmp_path, {"email": "eve@example.com", "id": THEIR_ID})
    async with db.begin() as session:
        await session.execute(ELSEWHERE, {"id": THEIR_ID, "email": "bob@example.com"})
        command = [PORTICO, "users", "import", str(file)]
        importing = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE
        )
        while not await db.rows(WAITING):
            assert importing.returncode is None
            await asyncio.sleep(0.05)

    said, _ = await importing.communicate()

    assert said.decode().splitlines() == [
        "line 1: id: Another user has this id.",
        "0 users added, 0 existed already, 1 line skipped.",
    ]
    rows = await db.rows(text("SELECT email FROM users"))
    assert ([row[0] for row in rows], api.errors) == (["bob@example.com"], [])


async def test_an_import_after_an_interruption_adds_the_rest(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = written(tmp_path, *({"email": f"{n}@example.com"} for n in range(2 * BATCH + 1)))
    command = [PORTICO, "users", "import", str(file)]
    async with db.begin() as session:
        # The second batch waits for this address, so that the import is killed after the first.
        values = {"id": uuid.uuid4(), "email": f"{BATCH}@example.com"}
        await session.execute(ELSEWHERE, values)
        # A busy machine may take longer to start the command.
        await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=environment)
        while await number_of_people(db) == 0:
            assert process.returncode is None
            await asyncio.sleep(0.05)
        process.kill()
        await process.wait()
        await session.rollback()
    assert await number_of_people(db) == BATCH

    answer = await run("users", "import", str(file), **environment)

    assert f"{BATCH + 1} users added, {BATCH} existed already" in answer.stdout
    assert (await number_of_people(db), api.errors) == (2 * BATCH + 1, [])


async def test_an_import_is_not_limited_by_the_statement_timeout(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = written(tmp_path, {"email": "eve@example.com"})
    limit = {"DATABASE_TIMEOUT_SECONDS": "0.5"}
    async with db.begin() as session:
        await session.execute(ELSEWHERE, {"id": uuid.uuid4(), "email": "eve@example.com"})
        importing = asyncio.create_task(run("users", "import", str(file), **environment | limit))
        # Longer than the timeouts of other statements.
        await asyncio.sleep(4)
        await session.rollback()

    assert ("1 user added" in (await importing).stdout, api.errors) == (True, [])


async def test_a_dry_run_reports_each_invalid_line(
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
    assert answer.exit_code == 1
    assert secret not in answer.stdout
    assert (refused.exit_code, await db.rows(text("SELECT 1 FROM users"))) == (1, [])
    assert api.errors == []


async def test_a_dry_run_fails_in_the_same_way_as_the_import(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    good, bad = {"email": "eve@example.com"}, {"email": "no address"}
    arguments = ("users", "import", str(tmp_path / "people.ndjson"), "--dry-run")

    written(tmp_path, good, bad)
    invalid = await run(*arguments, **environment)
    skipping = await run(*arguments, "--skip-invalid", **environment)
    written(tmp_path, good)
    valid = await run(*arguments, **environment)

    assert [each.exit_code for each in (invalid, skipping, valid)] == [1, 0, 0]
    assert invalid.stdout == skipping.stdout


@pytest.mark.parametrize("command", ["dry run", "conflicts", "export"])
async def test_a_command_whose_output_is_closed_ends_silently(
    db: Database, tmp_path: Path, environment: dict[str, str], command: str
) -> None:
    same, unreadable = {"email": "eve@example.com"}, "not JSON"
    lines = {"dry run": [unreadable], "conflicts": [same], "export": []}[command] * 5000
    written(tmp_path, *lines)
    if command == "export":
        many = (
            "INSERT INTO users (id, email, created_at, updated_at)"
            " SELECT gen_random_uuid(), number || '@example.com', now(), now()"
            " FROM generate_series(1, 5000) AS number"
        )
        async with db.begin() as session:
            await session.execute(text(many))
    words = "export -" if command == "export" else "import people.ndjson --dry-run"
    shell = f"set -o pipefail; {PORTICO} users {words} | head -1"

    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", shell),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complaints = await process.communicate()

    assert (told.count(b"\n"), complaints, process.returncode) == (1, b"", 1)


async def test_a_dry_run_reports_all_invalid_lines(
    api: Api, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = written(tmp_path, *["not JSON"] * 150)

    dry = await run("users", "import", str(file), "--dry-run", **environment)
    refused = await run("users", "import", str(file), **environment)

    expected = [f"line {number}: the line is not JSON" for number in range(1, 151)]
    assert dry.stdout.splitlines()[:150] == expected
    assert refused.stdout.splitlines() == [
        *expected[:100],
        "… and 50 more: --dry-run shows them all.",
    ]
    assert api.errors == []


async def test_valid_lines_are_imported_with_skip_invalid(
    api: Api, tmp_path: Path, environment: dict[str, str]
) -> None:
    eve = {"email": "eve@example.com", "passwordHash": HASH}
    file = written(tmp_path, {"email": "no address"}, eve)

    answer = await run("users", "import", str(file), "--skip-invalid", **environment)

    assert "1 user added" in answer.stdout
    assert await api.login(Person("eve@example.com", PASSWORD))


async def test_an_export_can_be_imported(
    api: Api, ada: Person, tmp_path: Path, environment: dict[str, str], elsewhere: dict[str, str]
) -> None:
    file = tmp_path / "people.ndjson"

    await run("users", "export", str(file), "--with-password-hashes", **environment)
    await run("users", "import", str(file), **elsewhere)
    again = await run("users", "export", "-", "--with-password-hashes", **elsewhere)
    bare = await run("users", "export", "-", **environment)

    assert again.stdout == file.read_text()
    assert json.loads(bare.stdout) | {"createdAt": "", "lastLoginAt": ""} == {
        "id": str(uuid.UUID(ada.id.removeprefix("User_"))),
        "externalId": None,
        "email": ada.email,
        "displayName": ada.name,
        "role": "MEMBER",
        "emailVerified": False,
        "createdAt": "",
        "lastLoginAt": "",
    }
    assert file.stat().st_mode & 0o777 == 0o600
    assert api.errors == []


def test_every_column_of_users_is_in_the_file_or_says_why_it_is_not() -> None:
    in_the_file = [column for field in FIELDS.values() for column in field.columns]

    assert sorted([*in_the_file, *NOT_IN_FILE]) == sorted(
        User.metadata.tables["users"].columns.keys()
    )


def test_the_fields_in_the_documentation_are_those_of_the_file() -> None:
    page = (ROOT / "docs" / "users" / "import.md").read_text(encoding="utf-8")
    described = zip(FIELDS, ImportedUser.model_fields.values(), strict=True)
    table = [f"| `{name}` | {field.description} |" for name, field in described]

    assert [line for line in page.splitlines() if line.startswith("| `")] == table


MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - `timezones` says which one
    max_value=datetime(2026, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(datetime.isoformat)
TEXTS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=40)
PEOPLE = st.fixed_dictionaries(
    {"email": st.emails(domains=st.sampled_from(["example.com", "bücher.example"]))},
    optional={
        "id": st.uuids(allow_nil=False).map(str),
        "externalId": TEXTS | st.sampled_from([None, ""]),
        "displayName": TEXTS.filter(str.strip) | st.sampled_from([None, ""]),
        "role": st.sampled_from(["MEMBER", "ADMIN"]),
        "emailVerified": st.booleans() | st.none(),
        "createdAt": MOMENTS | st.sampled_from([None, "", 1714564800, "1714564800123"]),
        "lastLoginAt": MOMENTS | st.sampled_from([None, "", 1714564800.5]),
        "suspension": st.fixed_dictionaries(
            {"reason": TEXTS.filter(str.strip)},
            optional={"until": st.sampled_from([None, "", "2999-12-31T23:59:59.999999+14:00"])},
        )
        | st.none(),
        "passwordHash": st.sampled_from(["$2b$04$" + "a" * 21 + "O" + "a" * 31, None, ""]),
    },
)


@hypothesis.settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
@hypothesis.given(people=st.lists(PEOPLE, min_size=1, max_size=30))
def test_an_export_and_import_into_an_empty_database_give_the_same_people(
    api: Api, elsewhere: dict[str, str], tmp_path: Path, environment: dict[str, str], people: Any
) -> None:
    asyncio.run(on_server(environment["DATABASE_URL"], "DELETE FROM users"))
    asyncio.run(on_server(elsewhere["DATABASE_URL"], "DELETE FROM users"))
    given, first, second = (tmp_path / name for name in ("given", "first", "second"))
    given.write_text("".join(f"{json.dumps(each)}\n" for each in people))

    for file, arguments, where in (
        (given, ("import", "--skip-invalid"), environment),
        (first, ("export", "--with-password-hashes"), environment),
        (first, ("import",), elsewhere),
        (second, ("export", "--with-password-hashes"), elsewhere),
    ):
        answer = CliRunner().invoke(CLI, ["users", *arguments, str(file)], env=where)
        assert answer.exit_code == 0, answer.output

    ids = {each["id"] for each in map(json.loads, first.read_text().splitlines())}
    assert {people[0]["id"]} <= ids if "id" in people[0] else len(ids) > 0
    assert (second.read_bytes(), api.errors) == (first.read_bytes(), [])


async def test_an_export_omits_the_password_of_an_unconfirmed_registration(
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


async def test_an_import_replaces_an_unconfirmed_registration(
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


async def test_a_suspension_is_exported_and_imported(
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


async def test_an_export_is_readable_by_its_owner_only_and_can_write_to_a_device(
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


async def test_an_administrator_can_be_created_in_any_database(
    api: Api, ada: Person, environment: dict[str, str]
) -> None:
    made = await run("users", "create-admin", "root@example.com", stdin=PASSWORD, **environment)
    known = await run("users", "create-admin", ada.email, stdin=PASSWORD, **environment)
    promoted = await run("users", "create-admin", "--promote", ada.email, **environment)

    assert (made.exit_code, known.exit_code, promoted.exit_code) == (0, 1, 0)
    root = await api.login(Person("root@example.com", PASSWORD))
    assert await root("{ users { totalCount } }") == {"users": {"totalCount": 2}}
    assert await (await api.login(ada))("{ me { role } }") == {"me": {"role": "ADMIN"}}


async def test_an_administrator_with_a_weak_password_is_not_created(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    made = await asyncio.to_thread(
        portico,
        "users",
        "create-admin",
        "root@example.com",
        cwd=tmp_path,
        stdin="password\n",
        **environment,
    )

    assert (made.returncode, "password: " in made.stderr) == (1, True)
    assert (await db.rows(text("SELECT 1 FROM users")), api.errors) == ([], [])
