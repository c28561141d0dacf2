"""Exports of personal data: for the user, and for an administrator."""

import json
import re
import uuid
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Column, DateTime, ForeignKey, LargeBinary, MetaData, Table, Uuid, text

from app.accounts.services.personal_data import MOST, RESERVED, USERS, Exported, PersonalTables
from app.database.base import Base
from app.database.database import Database
from app.database.personal_data import (
    BINARY,
    NOT_ABOUT_USERS,
    OWNER,
    PersonalColumns,
    declared_of,
    keys_to_users,
)
from app.errors import Misconfigured
from app.testing.clients import Api, Person
from app.testing.commands import run
from tests.accounts.test_account_deletion import uuid_of
from tests.accounts.test_email_changes import ASK
from tests.accounts.test_password_changes import REQUEST, change
from tests.people.test_administration import END, NOBODY, REINSTATE, SUSPEND, mutate
from tests.people.test_user_files import names_in

COPY = "... on PersonalData { document isComplete } ... on Problem { message }"
OWN = f"""
mutation Own($password: String!) {{
  exportPersonalData(input: {{password: $password}}) {{ __typename {COPY} }}
}}
"""
OF_USER = f"""
mutation OfUser($id: ID!) {{ exportUserData(input: {{userId: $id}}) {{ __typename {COPY} }} }}
"""
EXPORTED = text(
    "SELECT actor_id, target_id, details FROM audit_events WHERE name = 'user.exported'"
)
MANY_EVENTS = text(
    "INSERT INTO audit_events (id, at, name, actor_id, target_id, details)"
    " SELECT gen_random_uuid(), now(), 'session.started', :id, :id, '{}'"
    " FROM generate_series(1, :number)"
)
TIME = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"')
IDS = re.compile(r'"(id|requestId)": "[^"]*"')
PROGRAM = "an old browser"
HOUSE_TABLES = [
    mapper.class_.__table__
    for mapper in Base.registry.mappers
    if mapper.class_.__module__.startswith("app.")
]
EXPORTED_TABLES = [USERS, *PersonalTables.of(HOUSE_TABLES).lists.values()]


async def own(client: Api, person: Person) -> Any:
    return (await client(OWN, password=person.password))["exportPersonalData"]


async def of_user(admin: Api, user_id: str) -> Any:
    return (await admin(OF_USER, id=user_id))["exportUserData"]


def without_times(value: Any) -> Any:
    """Returns the value with each time, UUID and request id replaced by a placeholder."""
    written = TIME.sub('"time"', json.dumps(value))
    return json.loads(IDS.sub(r'"\1": "\1"', written))


def event(name: str, **values: Any) -> dict[str, Any]:
    """Returns an event of a user about themself."""
    usual: dict[str, Any] = {
        "id": "id",
        "at": "time",
        "name": name,
        "by": "USER",
        "about": "USER",
        "ipAddress": "127.0.0.1",
        "requestId": "requestId",
        "details": {},
    }
    return usual | values


@pytest.fixture
async def admin(api: Api, grace: Person) -> Api:
    return await api.login(grace)


async def test_a_user_gets_all_personal_data(api: Api, admin: Api, ada: Person) -> None:
    await mutate(admin, SUSPEND, userId=ada.id, reason="A mistake")
    await mutate(admin, REINSTATE, userId=ada.id)
    guest = api.of_program(PROGRAM)
    laptop = await guest.login(ada)
    laptop.user_agent = PROGRAM
    assert await change(laptop, "wrong", "an apple a day 42") == "InvalidCredentials"
    await laptop(ASK, input={"newEmail": "lovelace@example.com", "password": ada.password})
    await api(REQUEST, email=ada.email)

    answer = await own(laptop, ada)

    document = without_times(answer["document"])
    document["events"].sort(key=itemgetter("name"))
    lists = PersonalTables.of(HOUSE_TABLES).lists
    by_administrator = {"by": "ADMINISTRATOR", "ipAddress": None, "requestId": None}
    ended = {"reason": "SUSPENDED", "sessions": "1"}
    assert answer["isComplete"]
    assert document.keys() == RESERVED | lists.keys()
    assert document == {
        "format": "portico.personal-data/1",
        "exportedAt": "time",
        "profile": {
            "id": "id",
            "email": ada.email,
            "emailVerified": False,
            "displayName": ada.name,
            "role": "MEMBER",
            "externalId": None,
            "createdAt": "time",
            "updatedAt": "time",
            "lastLoginAt": "time",
            "suspendedAt": None,
            "suspendedUntil": None,
            "suspensionReason": None,
            "hasPassword": True,
        },
        "jobs": [
            {"name": "password.reset_asked", "state": "queued", "createdAt": "time"},
            {"name": "mail.letter", "state": "queued", "createdAt": "time"},
            {"name": "mail.letter", "state": "queued", "createdAt": "time"},
        ],
        "sessions": [
            session(userAgent=PROGRAM),
            session(endedAt="time", endReason="SUSPENDED"),
        ],
        "links": [
            {
                "purpose": "CHANGE_EMAIL",
                "email": "lovelace@example.com",
                "createdAt": "time",
                "expiresAt": "time",
                "usedAt": None,
            }
        ],
        "passwordFailures": [],
        "challenges": [],
        "factors": [],
        "passkeys": [],
        "passkeyUsers": [],
        "totpEnrollments": [],
        "recoveryCodes": [],
        "events": [
            event("email.change_requested"),
            event("password.refused"),
            event("session.ended", **by_administrator, details=ended),
            event("session.started"),
            event("session.started"),
            event("user.registered"),
            event("user.reinstated", **by_administrator),
            event("user.suspended", **by_administrator, details={"until": "for good"}),
        ],
        "truncated": [],
    }
    assert answer["document"]["profile"]["id"] == str(uuid_of(ada))


def session(**values: Any) -> dict[str, Any]:
    usual = {
        "id": "id",
        "createdAt": "time",
        "provedAt": None,
        "methods": ["PASSWORD"],
        "isPasskeySynced": None,
        "lastUsedAt": "time",
        "rotatedAt": "time",
        "expiresAt": "time",
        "endsBy": "time",
        "endedAt": None,
        "endReason": None,
        "ipAddress": "127.0.0.1",
        "userAgent": f"python-httpx/{httpx.__version__}",
    }
    return usual | values


async def test_an_export_has_no_secrets(api: Api, admin: Api, ada: Person, db: Database) -> None:
    laptop = await api.login(ada)
    await laptop(ASK, input={"newEmail": "lovelace@example.com", "password": ada.password})
    secrets = await db.rows(
        text(
            "SELECT password_hash FROM users WHERE password_hash IS NOT NULL UNION ALL"
            " SELECT encode(token_salt, 'hex') FROM sessions UNION ALL"
            " SELECT encode(token_hash, 'hex') FROM one_time_tokens UNION ALL"
            " SELECT headers ->> 'person' FROM pgqueuer"
        )
    )

    written = json.dumps(await of_user(admin, ada.id))

    assert len(secrets) == 9
    assert [secret for (secret,) in secrets if secret in written] == []


async def test_an_export_does_not_reveal_which_administrator_acted(
    admin: Api, grace: Person, ada: Person
) -> None:
    await mutate(admin, END, userId=ada.id)

    written = json.dumps(await of_user(admin, ada.id))

    assert [each for each in (grace.email, uuid_of(grace).hex, grace.id) if each in written] == []
    assert str(uuid_of(grace)) not in written


async def test_an_export_of_an_administrator_does_not_reveal_whose_accounts_they_changed(
    admin: Api, grace: Person, ada: Person
) -> None:
    await mutate(admin, SUSPEND, userId=ada.id, reason="Spam", until="2090-01-01T00:00:00Z")

    document = (await own(admin, grace))["document"]

    events = [each for each in document["events"] if each["about"] == "SOMEBODY_ELSE"]
    assert sorted(without_times(events), key=itemgetter("name")) == [
        event("session.ended", about="SOMEBODY_ELSE"),
        event("user.suspended", about="SOMEBODY_ELSE"),
    ]
    assert str(uuid_of(ada)) not in json.dumps(document)


async def test_a_wrong_password_exports_nothing(api: Api, ada: Person, db: Database) -> None:
    laptop = await api.login(ada)

    answer = await own(laptop, Person(ada.email, "wrong"))

    assert answer == {"__typename": "InvalidCredentials", "message": "The password is wrong."}
    assert await db.rows(EXPORTED) == []


async def test_an_export_of_an_unknown_user_is_not_found(admin: Api, db: Database) -> None:
    assert (await of_user(admin, NOBODY))["__typename"] == "NotFound"
    assert await db.rows(EXPORTED) == []


async def test_the_audit_records_who_exported(
    api: Api, admin: Api, grace: Person, ada: Person, db: Database, environment: dict[str, str]
) -> None:
    await own(await api.login(ada), ada)
    await of_user(admin, ada.id)
    await run("users", "personal-data", ada.email, "-", **environment)

    events = [tuple(row) for row in await db.rows(EXPORTED)]
    expected: list[Any] = [
        (uuid_of(ada), uuid_of(ada), {}),
        (uuid_of(grace), uuid_of(ada), {}),
        (None, uuid_of(ada), {"by": "command line"}),
    ]
    assert sorted(events, key=str) == sorted(expected, key=str)


async def test_the_command_writes_what_an_administrator_gets(
    admin: Api, ada: Person, tmp_path: Path, environment: dict[str, str]
) -> None:
    answer = await of_user(admin, ada.id)
    file = tmp_path / "ada.json"

    said = await run("users", "personal-data", ada.email, str(file), **environment)

    assert (
        said.stdout
        == f"The personal data of {ada.email} was written to {file}, which only you can read.\n"
    )
    assert file.stat().st_mode & 0o777 == 0o600
    document = json.loads(file.read_bytes())
    # Each export records an event, which the second export contains.
    *copies, _, _ = events = document["events"]
    before = events[len(copies) :]
    assert [(each["name"], each["by"], each["details"]) for each in copies] == [
        ("user.exported", None, {"by": "command line"}),
        ("user.exported", "ADMINISTRATOR", {}),
    ]
    moment = {"exportedAt": None}
    assert {**document, "events": before, **moment} == {**answer["document"], **moment}


async def test_a_long_list_is_truncated_in_an_answer_and_complete_in_a_file(
    admin: Api, ada: Person, db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    values = {"id": uuid_of(ada), "number": MOST}
    async with db.begin() as session_:
        await session_.execute(MANY_EVENTS, values)
    file = tmp_path / "ada.json"

    answer = await of_user(admin, ada.id)
    await run("users", "personal-data", ada.id, str(file), **environment)

    document, whole = answer["document"], json.loads(file.read_bytes())
    ids = [each["id"] for each in whole["events"]]
    assert (answer["isComplete"], document["truncated"]) == (False, ["events"])
    assert len(document["events"]) == MOST
    assert len(ids) > MOST
    assert (whole["truncated"], len(set(ids))) == ([], len(ids))


async def test_an_unknown_user_makes_no_file(
    db: Database, tmp_path: Path, environment: dict[str, str]
) -> None:
    file = tmp_path / "nobody.json"

    said = await run("users", "personal-data", "nobody@example.com", str(file), **environment)

    assert (said.exit_code, names_in(tmp_path)) == (1, [])
    assert said.stderr == "portico: No user has this address or id.\n"
    assert await db.rows(EXPORTED) == []


def test_each_table_declares_what_is_exported_of_it_or_that_nothing_is() -> None:
    """A column may name users without a foreign key: no table is left to a guess."""
    assert [table.name for table in HOUSE_TABLES if declared_of(table) is None] == []


def test_a_table_that_is_about_nobody_names_no_user() -> None:
    not_about_users = [table for table in HOUSE_TABLES if declared_of(table) == NOT_ABOUT_USERS]

    assert [table.name for table in not_about_users if keys_to_users(table)] == []


@pytest.mark.parametrize("exported", EXPORTED_TABLES, ids=lambda each: each.table.name)
def test_each_column_about_users_is_exported_or_withheld_with_a_reason(exported: Exported) -> None:
    declared = exported.declared

    named = [*declared.exported, *declared.withheld]

    assert sorted(named) == sorted(exported.table.columns.keys())
    assert all(declared.withheld.values())


def test_rows_about_a_deleted_user_are_deleted_or_name_no_user() -> None:
    kept = [
        str(key.parent)
        for table in Base.metadata.tables.values()
        for key in table.foreign_keys
        if key.parent in keys_to_users(table) and key.ondelete not in {"CASCADE", "SET NULL"}
    ]

    assert kept == []


def test_no_column_of_hashes_or_tokens_is_exported() -> None:
    exported = {name for each in EXPORTED_TABLES for name in each.declared.exported}

    assert [name for name in exported if re.search("hash|salt|token|secret|digest", name)] == []


def test_ids_in_an_export_are_those_of_tokens_and_other_systems() -> None:
    row = [uuid.UUID(int=1), *[None] * (len(USERS.declared.exported) - 1)]

    assert USERS.record(row)["id"] == "00000000-0000-0000-0000-000000000001"


def table_of(name: str, *keys: str) -> Table:
    """Returns a table of an external module that declares nothing about exports."""
    columns = [Column(each, Uuid, ForeignKey("users.id", ondelete="CASCADE")) for each in keys]
    key = Column("id", Uuid, primary_key=True)
    return Table(
        name, MetaData(), key, *columns, Column("read_at", DateTime), Column("seal", LargeBinary)
    )


def test_a_table_about_users_is_exported_by_default() -> None:
    tables = PersonalTables.of([table_of("side_notes", "author_id"), table_of("planets")])

    assert {name: each.declared for name, each in tables.lists.items() if name != "events"} == {
        "sideNotes": PersonalColumns(
            "sideNotes",
            exported=("id", "read_at"),
            withheld={"author_id": OWNER, "seal": BINARY},
            newest_first="id",
            owner="author_id",
        )
    }


def test_a_table_with_two_users_must_declare_the_owner() -> None:
    with pytest.raises(Misconfigured) as refused:
        PersonalTables.of([table_of("gifts", "giver_id", "taker_id")])

    assert str(refused.value) == (
        "The table gifts names users in several columns: declare its personal_data"
    )


def test_no_table_replaces_another_part_of_an_export() -> None:
    with pytest.raises(Misconfigured) as refused:
        PersonalTables.of([table_of("jobs", "user_id")])

    assert str(refused.value) == "No table can be exported as jobs"
