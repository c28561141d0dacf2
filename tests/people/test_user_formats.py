"""Imports of exports of other systems, from files, pipes and standard input.

`imports/` has a sample of each, made by hand after what the systems write: two people, of whom the
second one is not active there. The hash of Firebase is the vector that its authors publish.
"""

import asyncio
import hashlib
import io
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from sqlalchemy import text

from app.database.database import Database
from app.people.services.user_formats import firebase, keycloak, supabase
from app.people.services.user_formats.fields import UnusableRecord
from app.people.services.user_formats.formats import formats, records_of
from app.people.services.user_formats.json_lists import JsonList
from app.people.services.user_formats.records import UnreadableFile
from app.people.services.user_formats.systems import Origin
from app.people.services.user_lines import Person as ImportedPerson
from app.people.services.user_lines import read_person
from app.testing.clients import Api, Person
from app.testing.commands import run
from app.testing.databases import contents
from tests.support.servers import portico

SAMPLES = Path(__file__).parent / "imports"
PASSWORD = "analytical engine 7"
ADA = {"email": "ada@example.com", "displayName": "Ada Lovelace", "emailVerified": True}
GRACE = {"email": "grace@example.com", "displayName": None, "emailVerified": False}
SINCE = "2019-12-06T18:36:12.412000Z"
LAST_LOGIN = "2024-01-02T03:04:05.678000Z"
LEAP_DAY = "2020-02-29T00:00:00Z"
AUTH0_ID = "auth0|5dea9f9c82dd7c0e76e4ec93"
FIREBASE_ID = "Jv8tVqkYw3Zq0mXb5sT1rUeLh2A3"


def suspended(reason: str, until: str | None = None) -> dict[str, Any]:
    return {"suspension": {"reason": reason, "until": until}}


EXPECTED: dict[str, list[dict[str, Any]]] = {
    "auth0-profiles.ndjson": [
        ADA | {"externalId": AUTH0_ID, "createdAt": SINCE, "lastLoginAt": LAST_LOGIN},
        GRACE
        | {"externalId": "google-oauth2|103547991597142817347", "createdAt": LEAP_DAY}
        | {"displayName": "Grace Hopper", "emailVerified": True}
        | suspended("Blocked in Auth0"),
    ],
    "auth0-hashes.ndjson": [
        ADA | {"externalId": AUTH0_ID, "displayName": None, "passwordHash": PASSWORD},
        GRACE | {"externalId": "auth0|hopper", "passwordHash": PASSWORD},
    ],
    "auth0-import.json": [
        ADA | {"externalId": AUTH0_ID, "passwordHash": PASSWORD},
        GRACE | {"externalId": "auth0|hopper", "passwordHash": PASSWORD},
    ],
    "keycloak.json": [
        ADA
        | {"id": "b4f3c1b0-9a5e-4c0e-8d59-0a7b1f6f2f11", "createdAt": SINCE}
        | {"passwordHash": PASSWORD},
        GRACE
        | {"externalId": "grace", "displayName": "Grace", "createdAt": LEAP_DAY}
        | suspended("Disabled in Keycloak"),
    ],
    "django.json": [
        ADA
        | {"externalId": "1", "role": "ADMIN", "emailVerified": False, "passwordHash": PASSWORD}
        | {"createdAt": SINCE, "lastLoginAt": LAST_LOGIN},
        GRACE
        | {"id": "7d4a5eaf-9f3c-4a2d-9b79-4e3f5a6b7c8d", "createdAt": LEAP_DAY}
        | suspended("Not active in Django"),
    ],
    "firebase.json": [
        ADA
        | {"externalId": FIREBASE_ID, "displayName": "Lovelace, Ada"}
        | {"createdAt": SINCE, "lastLoginAt": LAST_LOGIN},
        GRACE
        | {"id": "0190163d-8694-739b-aea5-966c26f8ad91", "createdAt": LEAP_DAY}
        | suspended("Disabled in Firebase"),
    ],
    "supabase.json": [
        ADA
        | {"id": "5b2f3c8e-7d1a-4e0b-9f57-2c1d3e4f5a6b", "displayName": 'Ada "Lovelace"'}
        | {"createdAt": "2019-12-06T18:36:12.412345Z", "passwordHash": PASSWORD}
        | {"lastLoginAt": "2024-01-02T03:04:05.678900Z"},
        GRACE
        | {"id": "6c3f4d9f-8e2b-4f1c-8a68-3d2e4f5a6b7c", "createdAt": LEAP_DAY}
        | suspended("Banned in Supabase", "2125-01-01T00:00:00Z"),
    ],
    "cognito.json": [
        ADA | {"id": "8e5b6fb0-a04d-4b3e-8c8a-5f4a6b7c8d9e", "createdAt": SINCE},
        GRACE
        | {"id": "9f6c70c1-b15e-4c4f-9d9b-6a5b7c8d9eaf", "externalId": "grace"}
        | {"createdAt": LEAP_DAY}
        | suspended("Disabled in Cognito"),
    ],
    "cognito.csv": [
        ADA | {"id": "8e5b6fb0-a04d-4b3e-8c8a-5f4a6b7c8d9e"},
        GRACE | {"externalId": "grace"},
    ],
}
EXPECTED["django.jsonl"] = EXPECTED["django.json"]
EXPECTED["firebase.csv"] = EXPECTED["firebase.json"]
EXPECTED["supabase.csv"] = EXPECTED["supabase.json"]
ABSENT = {"externalId": None, "role": "MEMBER", "lastLoginAt": None}


# From the README of github.com/firebase/scrypt, with the password and the hash of Ada.
FIREBASE_KEY = (
    "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="
)


def origin_of(sample: str) -> str:
    return sample.partition("-")[0].partition(".")[0]


def test_there_is_a_sample_of_each_system() -> None:
    assert {each.name for each in SAMPLES.iterdir()} == set(EXPECTED)
    assert {origin_of(each) for each in EXPECTED} == {each.value for each in Origin} - {"portico"}


@pytest.mark.parametrize("sample", EXPECTED)
async def test_users_of_other_systems_are_imported(
    api: Api, sample: str, environment: dict[str, str]
) -> None:
    arguments = ("--from", origin_of(sample), "--drop-unreadable-hashes")

    imported = await run("users", "import", str(SAMPLES / sample), *arguments, **environment)
    again = await run("users", "import", str(SAMPLES / sample), *arguments, **environment)
    exported = await run("users", "export", "-", "--with-password-hashes", **environment)

    assert imported.exit_code == 0, imported.output
    assert "2 users added, 0 existed already, 0 " in imported.stdout
    assert "0 users added, 2 existed already, 0 " in again.stdout
    people = {each["email"]: each for each in map(json.loads, exported.stdout.splitlines())}
    for expected in EXPECTED[sample]:
        person = people.pop(expected["email"])
        if "passwordHash" in expected:
            assert await api.login(Person(person["email"], expected["passwordHash"]))
        unknown = {"id": person["id"], "createdAt": person["createdAt"]}
        known = {"passwordHash": person["passwordHash"]} if "passwordHash" in expected else {}
        assert person == ABSENT | unknown | expected | known
    assert (people, api.errors) == ({}, [])


@pytest.mark.parametrize("sample", ["firebase.json", "firebase.csv"])
async def test_hashes_of_firebase_need_the_parameters_of_its_project(
    api: Api, db: Database, sample: str, environment: dict[str, str]
) -> None:
    file = str(SAMPLES / sample)

    refused = await run("users", "import", file, "--from", "firebase", **environment)
    no_key = ("--from", "firebase", "--firebase-signer-key", "not base64")
    mistaken = await run("users", "import", file, *no_key, **environment)

    assert (refused.exit_code, "--firebase-signer-key" in refused.stderr) == (1, True)
    assert (mistaken.exit_code, "--firebase-signer-key is not base64" in mistaken.stderr) == (
        1,
        True,
    )
    assert await db.rows(text("SELECT 1 FROM users")) == []

    key = {"FIREBASE_SIGNER_KEY": FIREBASE_KEY}
    imported = await run("users", "import", file, "--from", "firebase", **key, **environment)
    assert "2 users added" in imported.stdout, imported.output
    assert await api.login(Person("ada@example.com", "user1password"))
    assert api.errors == []


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
async def test_a_user_of_keycloak_signs_in_with_their_pbkdf2_hash_of_64_bytes(
    api: Api, tmp_path: Path, environment: dict[str, str], digest: str
) -> None:
    salt = bytes(range(16))
    value = hashlib.pbkdf2_hmac(digest, PASSWORD.encode(), salt, 27_500, 64)
    algorithm = "pbkdf2" if digest == "sha1" else f"pbkdf2-{digest}"
    secret = {"value": b64encode(value).decode(), "salt": b64encode(salt).decode()}
    used: dict[str, Any] = {"hashIterations": 27_500, "algorithm": algorithm}
    credential = {"secretData": json.dumps(secret), "credentialData": json.dumps(used)}
    user = {"username": "ada", "email": "ada@example.com", "enabled": True}
    user |= {"credentials": [{"type": "password", **credential}]}
    file = tmp_path / "realm.json"
    file.write_text(json.dumps({"realm": "people", "users": [user]}))

    imported = await run("users", "import", str(file), "--from", "keycloak", **environment)

    assert "1 user added" in imported.stdout, imported.output
    assert await api.login(Person("ada@example.com", PASSWORD))


def test_a_hash_of_firebase_is_encoded_with_its_parameters() -> None:
    record = json.loads((SAMPLES / "firebase.json").read_text())["users"][0]
    parameters = firebase.HashParameters(bytes(range(8)), b64decode("Bw=="), 8, 14)

    person = firebase.person(record, parameters)

    assert person["passwordHash"] == (
        "$firebase-scrypt$m=14,r=8,ss=Bw,sk=AAECAwQFBgc$42xEC+ixf3L2lw"
        "$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ"
    )


def test_a_hash_that_supabase_imported_from_firebase_is_encoded_alike() -> None:
    theirs = "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=AAECAwQFBgc=$42xEC+ixf3L2lw==$AAECAwQFBgc="

    person = supabase.person({"encrypted_password": theirs})

    ours = "$firebase-scrypt$m=14,r=8,ss=Bw,sk=AAECAwQFBgc$42xEC+ixf3L2lw$AAECAwQFBgc"
    assert person["passwordHash"] == ours


@pytest.mark.parametrize(
    ("algorithm", "written"),
    [
        ("pbkdf2", "$pbkdf2-sha1$i=27500,l=12$AAECAw$AAECAwQFBgcICQoL"),
        ("pbkdf2-sha256", "$pbkdf2-sha256$i=27500,l=12$AAECAw$AAECAwQFBgcICQoL"),
        ("pbkdf2-sha512", "$pbkdf2-sha512$i=27500,l=12$AAECAw$AAECAwQFBgcICQoL"),
        ("a provider of their own", "?"),
        (None, "?"),
    ],
)
def test_a_hash_of_keycloak_is_encoded_as_a_phc_string(algorithm: Any, written: str) -> None:
    secret = {"value": "AAECAwQFBgcICQoL", "salt": "AAECAw=="}
    data = {"hashIterations": 27500, "algorithm": algorithm}
    credential = {"secretData": json.dumps(secret), "credentialData": json.dumps(data)}

    person = keycloak.person({"credentials": [{"type": "password", **credential}]})

    assert person["passwordHash"] == written


async def test_a_pipe_can_be_imported(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    pipe, sample = tmp_path / "pipe", SAMPLES / "supabase.csv"
    os.mkfifo(pipe)
    content = b"\xef\xbb\xbf" + sample.read_bytes()
    writing = asyncio.create_task(asyncio.to_thread(pipe.write_bytes, content))

    arguments = ("users", "import", str(pipe), "--from", "supabase")
    answer = await run(*arguments, **environment)
    await writing

    assert "2 users added" in answer.stdout, answer.output
    assert (len(await db.rows(text("SELECT 1 FROM users"))), api.errors) == (2, [])


async def test_a_dash_reads_standard_input(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    # Keycloak writes several files, which can be concatenated in a pipe.
    given = (SAMPLES / "keycloak.json").read_text() + '{"users": [{"email": "eve@example.com"}]}'
    command = ("users", "import", "-", "--from", "keycloak")
    before = await contents(db)

    dry = await asyncio.to_thread(
        portico, *command, "--dry-run", cwd=tmp_path, stdin=given, **environment
    )
    unchanged = await contents(db)
    taken = await asyncio.to_thread(portico, *command, cwd=tmp_path, stdin=given, **environment)

    assert dry.stdout.splitlines() == [
        "3 users would be added, 0 exist already.",
        "Nothing was changed. 0 records would fail.",
    ]
    assert (dry.stderr, unchanged) == ("", before)
    assert (taken.stdout, taken.stderr, api.errors) == (
        "3 users added, 0 existed already, 0 records skipped.\n",
        "",
        [],
    )


async def test_unusable_and_unreadable_records_are_reported_by_number(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = tmp_path / "realm.json"
    users = [
        '{"email": "eve@example.com"}',
        '{"serviceAccountClientId": "robot"}',
        '{"username": "phone only"}',
        '{"email": "\\ud800@example.com"}',
        '{"email": 1e999}',
        "[" * 3000 + "]" * 3000,
        "7",
        '{"email": "bob@example.com", "attributes": "' + "x" * 1_100_000 + '"}',
        '{"email": "joe@example.com"',
    ]
    file.write_text(f'{{"users": [{", ".join(users)}')

    arguments = ("users", "import", str(file), "--from", "keycloak")
    refused = await run(*arguments, **environment)
    imported = await db.rows(text("SELECT 1 FROM users"))
    taken = await run(*arguments, "--skip-invalid", **environment)

    named = [
        "record 2: the record is a service account",
        "record 3: email: Field required",
        "record 4: the record is not JSON",
        "record 5: the record is not JSON",
        "record 6: the record is not JSON",
        "record 7: the record is not an object",
        "record 8: the record is too long",
        "record 9: the file ends in the middle of it",
    ]
    assert (refused.stdout.splitlines(), refused.exit_code, imported) == (named, 1, [])
    assert (
        refused.stderr == "portico: Invalid: 8 records. Nothing was changed: see --skip-invalid.\n"
    )
    assert taken.stdout.splitlines() == [
        *named,
        "1 user added, 0 existed already, 8 records skipped.",
    ]
    rows = await db.rows(text("SELECT email FROM users"))
    assert ([row[0] for row in rows], api.errors) == (["eve@example.com"], [])


async def test_invalid_rows_are_reported_by_the_line_on_which_they_begin(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = tmp_path / "users.csv"
    deleted = "2024-01-02 03:04:05+00"
    rows = [
        "id,email,encrypted_password,raw_user_meta_data,deleted_at",
        ',eve@example.com,,"{\n""name"": ""Eve""\n}",',
        f",bob@example.com,,,{deleted}",
        "too,few",
        ",joe@example.com,,{no JSON,",
        ",\udcff@example.com,,,",
        ',kim@example.com,,"' + "x" * 200_000 + '",',
        f",{'y' * 200_000}@example.com,,,",
    ]
    file.write_bytes("\n".join(rows).encode(errors="surrogateescape"))

    arguments = ("users", "import", str(file), "--from", "supabase", "--skip-invalid")
    answer = await run(*arguments, **environment)

    assert answer.stdout.splitlines() == [
        "line 5: the line belongs to a deleted account",
        "line 6: the line has 2 columns, the header 5",
        "line 8: email: This is not an email address.",
        "line 10: email: An email address has at most 254 bytes.",
        "3 users added, 0 existed already, 4 lines skipped.",
    ]
    found = await db.rows(text("SELECT email, display_name FROM users ORDER BY 1"))
    people = [("eve@example.com", "Eve"), ("joe@example.com", None), ("kim@example.com", None)]
    assert ([tuple(row) for row in found], api.errors) == (people, [])


@pytest.mark.parametrize(
    ("origin", "content", "why"),
    [
        ("keycloak", '{"realm": "example"}', "The file has no list `users`."),
        ("cognito", '{"users": []}', "The file has no list `Users`."),
        ("supabase", "a,b\n1,2\n", "The header of the file has no column `id`."),
        ("supabase", "", "The header of the file has no column `id`."),
        ("cognito", "email\n", "The header of the file has no column `cognito:username`."),
    ],
)
async def test_a_file_of_another_format_is_refused(
    db: Database, tmp_path: Path, environment: dict[str, str], origin: str, content: str, why: str
) -> None:
    file = tmp_path / "file"
    file.write_text(content)

    answer = await run("users", "import", str(file), "--from", origin, **environment)

    assert (answer.exit_code, answer.stderr) == (1, f"portico: {why} Nothing was changed.\n")
    assert await db.rows(text("SELECT 1 FROM users")) == []


CSV_COLUMNS = {
    "supabase": "id,email,encrypted_password\n",
    "cognito": "cognito:username,email,name\n",
    "firebase": "",
}


@pytest.mark.parametrize("origin", CSV_COLUMNS)
@pytest.mark.parametrize(
    "rows",
    [
        '1,eve@example.com,"\n2,bob@example.com,x\n',
        '1,eve@example.com,"\n2,bob@example.com,""\n3,joe@example.com,"x"\n',
        '1,eve@example.com,"x"y\n2,bob@example.com,x\n',
        "1,eve@example.com," + "x" * 1_100_000 + "\n2,bob@example.com,x\n",
    ],
    ids=["not closed", "closed by that of another person", "closed too soon", "too long"],
)
async def test_a_file_with_a_malformed_row_is_refused(
    api: Api,
    db: Database,
    tmp_path: Path,
    environment: dict[str, str],
    origin: str,
    rows: str,
) -> None:
    file = tmp_path / "users.csv"
    file.write_text(CSV_COLUMNS[origin] + "0,ann@example.com,x\n" + rows)
    before = await contents(db)

    arguments = ("--from", origin, "--skip-invalid", "--drop-unreadable-hashes")
    answer = await run("users", "import", str(file), *arguments, **environment)

    line = 3 if CSV_COLUMNS[origin] else 2
    why = f"portico: The record that begins on line {line} is not CSV: "
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith(why), answer.stderr
    assert answer.stderr.endswith(" Nothing was changed.\n")
    assert (await contents(db), api.errors) == (before, [])


@pytest.mark.parametrize("sample", [*EXPECTED, "portico"])
async def test_no_user_is_imported_from_a_file_of_another_system(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str], sample: str
) -> None:
    file = SAMPLES / sample
    if sample == "portico":
        file = tmp_path / "people.ndjson"
        await run(
            "users", "import", str(SAMPLES / "keycloak.json"), "--from", "keycloak", **environment
        )
        await run("users", "export", str(file), **environment)
        async with db.begin() as session:
            await session.execute(text("DELETE FROM users"))
    before = await contents(db)

    for origin in set(Origin) - {origin_of(sample)}:
        arguments = ("--from", origin, "--skip-invalid", "--drop-unreadable-hashes")
        answer = await run("users", "import", str(file), *arguments, **environment)
        refused = answer.exit_code == 1 and "Nothing was changed" in answer.stderr
        assert refused or answer.stdout.split("\n")[-2].startswith("0 users added, 0 existed"), (
            origin
        )

    assert (await contents(db), api.errors) == (before, [])


@pytest.mark.parametrize("origin", [each for each in Origin if each != "supabase"])
async def test_a_record_of_another_system_is_reported_as_such(
    db: Database, tmp_path: Path, environment: dict[str, str], origin: Origin
) -> None:
    record = json.loads((SAMPLES / "supabase.json").read_text())[1]
    member = formats(None)[origin].member
    file = tmp_path / "people.json"
    file.write_text(json.dumps({member: [record]} if member else record))

    arguments = ("--from", origin, "--drop-unreadable-hashes")
    answer = await run("users", "import", str(file), *arguments, **environment)

    unit = "record" if member else "line"
    assert answer.stdout == f"{unit} 1: the {unit} looks like a record of supabase: see --from\n"
    assert (answer.exit_code, await db.rows(text("SELECT 1 FROM users"))) == (1, [])


@pytest.mark.parametrize("time", ["2020-02-29T00:00:00", "2020-02-29T01:00:00+01:00"])
async def test_a_time_of_django_without_an_offset_is_utc(
    api: Api, tmp_path: Path, environment: dict[str, str], time: str
) -> None:
    file = tmp_path / "people.json"
    values = {"email": "eve@example.com", "password": "!", "date_joined": time, "last_login": time}
    file.write_text(json.dumps([{"model": "auth.user", "pk": 1, "fields": values}]))

    await run("users", "import", str(file), "--from", "django", **environment)
    exported = await run("users", "export", "-", **environment)

    person = json.loads(exported.stdout)
    assert (person["createdAt"], person["lastLoginAt"]) == (LEAP_DAY, LEAP_DAY)
    assert api.errors == []


async def test_a_missing_file_is_reported_in_one_line(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    missing = await run("users", "import", str(tmp_path / "nothing"), **environment)
    folder = await run("users", "import", str(tmp_path), **environment)

    assert missing.stderr == f"portico: {tmp_path / 'nothing'}: No such file or directory.\n"
    assert folder.stderr == f"portico: {tmp_path}: Is a directory.\n"


async def test_users_are_imported_without_unreadable_hashes_on_request(
    api: Api, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = tmp_path / "people.ndjson"
    unreadable = {"email": "eve@example.com", "passwordHash": "5f4dcc3b5aa765d61d8327deb882cf99"}
    also_invalid = unreadable | {"email": "no address"}
    file.write_text(f"{json.dumps(unreadable)}\n{json.dumps(also_invalid)}\n")

    arguments = ("users", "import", str(file), "--drop-unreadable-hashes")
    refused = await run(*arguments, **environment)
    imported = await db.rows(text("SELECT 1 FROM users"))
    taken = await run(*arguments, "--skip-invalid", **environment)

    why = "passwordHash: This hash has an unknown format."
    named = [
        f"line 1: {why} Without a password.",
        f"line 2: email: This is not an email address.; {why}",
    ]
    assert (refused.stdout.splitlines(), refused.exit_code, imported) == (named, 1, [])
    assert taken.stdout.splitlines() == [
        *named,
        "1 user added, 0 existed already, 1 line skipped. 1 user without a password.",
    ]
    rows = await db.rows(text("SELECT email, password_hash FROM users"))
    assert ([tuple(row) for row in rows], api.errors) == ([("eve@example.com", None)], [])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(['"users": [', "\\", '\\"', "[", "{", ",", "}]", SINCE, FIREBASE_ID, "!x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5) | st.just("users"), inner, max_size=4)
    ),
    max_leaves=12,
)


def chunks(document: bytes, size: int) -> Iterator[bytes]:
    return (document[start : start + size] for start in range(0, len(document), size))


@hypothesis.given(
    elements=st.lists(JSON, max_size=5),
    before=JSON,
    after=JSON,
    indent=st.sampled_from([None, 0, 3]),
    size=st.integers(1, 40),
    files=st.integers(1, 3),
)
def test_a_list_is_split_into_the_elements_that_a_parser_finds(
    elements: list[Any], before: Any, after: Any, indent: int | None, size: int, files: int
) -> None:
    alone = json.dumps(elements, indent=indent, ensure_ascii=False).encode() * files
    values = {"before": before, "users": elements, "after": after}
    within = json.dumps(values, indent=indent, ensure_ascii=False).encode() * files

    for document, member in ((alone, None), (within, "users")):
        found = JsonList(member, 1_000_000)
        cut = [json.loads(each) for each in found.read(chunks(document, size))]

        assert (cut, found.found, found.ended) == (elements * files, True, True)


NAMES = sorted(
    {
        *("id", "email", "credentials", "enabled", "createdTimestamp", "type", "secretData"),
        *("credentialData", "algorithm", "hashIterations", "salt", "value", "firstName"),
        *("user_id", "alt_id", "_id", "$oid", "identifiers", "custom_password_hash", "hash"),
        *("name", "blocked", "last_login", "passwordHash", "password_hash", "identities"),
        *("localId", "disabled", "createdAt", "lastSignedInAt", "pk", "fields", "password"),
        *("is_active", "is_superuser", "date_joined", "Attributes", "Name", "Value", "Username"),
        *("sub", "Enabled", "UserCreateDate", "cognito:username", "encrypted_password"),
        *("raw_user_meta_data", "banned_until", "deleted_at", "suspension", "reason", "until"),
    }
)
RECORDS = st.dictionaries(
    st.sampled_from(NAMES),
    JSON | st.dictionaries(st.sampled_from(NAMES), JSON) | st.lists(JSON, max_size=3),
    max_size=10,
)


@hypothesis.given(origin=st.sampled_from(Origin), record=RECORDS, as_list=st.booleans())
def test_any_record_is_either_read_or_reported_as_invalid(
    origin: Origin, record: dict[str, Any], as_list: bool
) -> None:
    known = formats(firebase.HashParameters(b"key", b"separator", 8, 14))[origin]
    document = json.dumps([record] if as_list else record).encode()
    records = records_of(io.BytesIO(document), known)
    now = datetime.now(UTC)

    try:
        contents_ = [each.content for each in records.each]
    except UnreadableFile:
        return
    for content in contents_:
        if isinstance(content, str):
            continue
        try:
            values = known.person(content)
        except UnusableRecord:
            continue
        read = read_person(values, now, (), drop_unreadable_hashes=True)
        assert isinstance(read, ImportedPerson | str)
