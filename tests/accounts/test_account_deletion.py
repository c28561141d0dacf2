"""Deletion of an account by its owner, an administrator or a command: it erases personal data."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import String, select, text

from app.accounts.services.erasure import MAX_EVENTS_PER_TRANSACTION
from app.database.database import Database
from app.main import create_app
from app.modules import MODULES, tables_of
from app.settings import Settings
from app.testing.clients import ME, Api, Person
from app.testing.commands import run
from app.testing.databases import everything
from app.testing.outbox import Outbox
from app.users.models import User
from tests.accounts.test_email_changes import ASK as CHANGE_EMAIL
from tests.accounts.test_password_changes import AGAIN, REQUEST, change
from tests.people.test_administration import NOBODY

Deliver = Callable[[], Awaitable[None]]
DELETE_USER = """
mutation Delete($id: ID!) {
  deleteUser(input: {userId: $id}) {
    __typename
    ... on UserDeleted { userId }
    ... on Problem { message }
  }
}
"""
DELETE_ACCOUNT = """
mutation Delete($password: String!) {
  deleteAccount(input: {password: $password}) { __typename }
}
"""
EVENT = text(
    "SELECT actor_id, target_id, ip_address, details FROM audit_events WHERE name = 'user.deleted'"
)
WITH_ADDRESSES = text("SELECT 1 FROM audit_events WHERE actor_id = :id AND ip_address IS NOT NULL")
MANY_SIGN_INS = text(
    "INSERT INTO audit_events (id, at, name, actor_id, target_id, ip_address, details)"
    " SELECT gen_random_uuid(), now(), 'session.started', :id, :id, '203.0.113.7', '{}'"
    " FROM generate_series(1, :number)"
)
NOT_FOUND = {"__typename": "NotFound", "message": "Not found."}


async def delete_user(client: Api, user_id: str) -> Any:
    return (await client(DELETE_USER, id=user_id))["deleteUser"]


async def by_owner(laptop: Api, ada: Person, _grace: Person, _environment: dict[str, str]) -> None:
    answer = await laptop(DELETE_ACCOUNT, password=ada.password)
    assert answer["deleteAccount"]["__typename"] == "AccountDeleted"


async def by_administrator(
    api: Api, ada: Person, grace: Person, _environment: dict[str, str]
) -> None:
    answer = await delete_user(await api.login(grace), ada.id)
    assert answer == {"__typename": "UserDeleted", "userId": ada.id}


async def by_command(_api: Api, ada: Person, _grace: Person, environment: dict[str, str]) -> None:
    answer = await run("users", "delete", ada.email, "--yes", **environment)
    assert answer.stdout == f"The account of {ada.email} is deleted.\n"


FACTOR_ROWS = (
    "UPDATE sessions SET methods = '{PASSWORD,TOTP}' WHERE user_id = :id",
    "INSERT INTO factors (id, user_id, kind, created_at) VALUES (:id, :id, 'TOTP', now())",
    (
        "INSERT INTO totp_secrets (user_id, factor_id, sealed_secret, sealed_with, last_step)"
        " VALUES (:id, :id, '', '', 0)"
    ),
    (
        "INSERT INTO passkeys (factor_id, user_id, credential_id, public_key, sign_count, name,"
        " aaguid, is_backup_eligible, is_backed_up, transports, rp_id)"
        " VALUES (:id, :id, '', '', 0, '', '', true, true, '{}', 'localhost')"
    ),
    "INSERT INTO passkey_users (user_id, handle, created_at) VALUES (:id, '', now())",
    (
        "INSERT INTO totp_enrollments"
        " (session_id, user_id, sealed_secret, sealed_with, created_at, expires_at)"
        " SELECT id, user_id, '', '', now(), now() FROM sessions WHERE user_id = :id LIMIT 1"
    ),
    (
        "INSERT INTO recovery_codes (user_id, sealed_key, sealed_with, hashes, created_at)"
        " VALUES (:id, '', '', '{}', now())"
    ),
    (
        "INSERT INTO challenges (id, user_id, token_hash, methods, created_at, expires_at)"
        " VALUES (:id, :id, '', '{PASSWORD}', now(), now())"
    ),
)
WAYS = [by_owner, by_administrator, by_command]


def uuid_of(person: Person) -> uuid.UUID:
    return uuid.UUID(person.id.removeprefix("User_"))


async def traces_of(db: Database, person: Person) -> list[str]:
    """Returns the texts in the row of a user, and their id."""
    columns: list[Any] = [*User.__table__.c]
    written = [
        each for each in columns if isinstance(each.type, String) and not each.server_default
    ]
    rows = await db.rows(select(*written).where(User.id == uuid_of(person)))
    return [str(uuid_of(person)), *(value for value in rows[0] if value)]


def tables_about_users() -> set[str]:
    """Returns the tables whose rows belong to a user, and the table of users."""
    return {"users"} | {
        table.name
        for table in tables_of(MODULES)
        if any(key.column.table.name == "users" for key in table.foreign_keys)
    }


def tables_with(trace: str, tables: dict[str, list[str]]) -> set[str]:
    return {name for name, rows in tables.items() if trace in str(rows)}


async def create_traces(api: Api, person: Person) -> Api:
    """Create sessions, wrong passwords, open links, and emails and requests in the queue.

    Returns one of the sessions.
    """
    laptop = await api.login(person)
    await api.of_program("phone").login(person)
    values = {"newEmail": "lovelace@example.com", "password": person.password}
    await laptop(CHANGE_EMAIL, input=values)
    # After the right password, which would reset the count.
    await change(laptop, "wrong", "an apple a day 42")
    for request in (REQUEST, AGAIN):
        await api(request, email=person.email)
    return laptop


async def insert_factor(db: Database, person: Person) -> None:
    """Insert a row into each table of second factors."""
    async with db.begin() as session:
        for statement in FACTOR_ROWS:
            await session.execute(text(statement), {"id": uuid_of(person)})


@pytest.mark.parametrize("way", WAYS)
async def test_a_deleted_account_leaves_an_id_in_the_audit_and_nothing_else(
    api: Api,
    ada: Person,
    grace: Person,
    db: Database,
    environment: dict[str, str],
    outbox: Outbox,
    deliver: Deliver,
    way: Callable[[Api, Person, Person, dict[str, str]], Awaitable[None]],
) -> None:
    laptop = await create_traces(api, ada)
    await insert_factor(db, ada)
    await api(REQUEST, email=grace.email)
    waiting = await db.rows(text("SELECT 1 FROM pgqueuer"))
    traces = ["lovelace@example.com", *await traces_of(db, ada)]
    before = await everything(db)
    assert {ada.email, ada.name, str(uuid_of(ada))} < set(traces)
    assert tables_about_users() <= tables_with(str(uuid_of(ada)), before)
    assert [trace for trace in traces if not tables_with(trace, before)] == []
    assert len(waiting) == 5

    await way(laptop, ada, grace, environment)

    left = await everything(db)
    found = {name for trace in traces for name in tables_with(trace, left)}
    assert found == {"audit_events"}
    assert [trace for trace in traces if trace in str(left["audit_events"])] == [str(uuid_of(ada))]
    assert await db.rows(WITH_ADDRESSES, {"id": uuid_of(ada)}) == []
    await deliver()
    assert sorted(outbox.subjects) == [
        (ada.email, "Your account was deleted"),
        (grace.email, "Choose a new password"),
    ]
    assert await api.register(ada)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (by_owner, "If it was not you"),
        (by_administrator, "The people who run"),
        (by_command, "The people who run"),
    ],
)
async def test_the_last_email_says_who_has_deleted_the_account(
    api: Api,
    ada: Person,
    grace: Person,
    environment: dict[str, str],
    outbox: Outbox,
    deliver: Deliver,
    way: Callable[[Api, Person, Person, dict[str, str]], Awaitable[None]],
    words: str,
) -> None:
    await way(await api.login(ada), ada, grace, environment)
    await deliver()

    assert [words in each.text for each in outbox.messages] == [True]


async def test_ip_addresses_in_very_many_events_are_erased_by_a_job(
    ada: Person, grace: Person, api: Api, db: Database, deliver: Deliver
) -> None:
    async with db.begin() as session:
        await session.execute(
            MANY_SIGN_INS, {"id": uuid_of(ada), "number": MAX_EVENTS_PER_TRANSACTION}
        )

    await delete_user(await api.login(grace), ada.id)

    assert len(await db.rows(WITH_ADDRESSES, {"id": uuid_of(ada)})) == 2
    await deliver()
    assert await db.rows(WITH_ADDRESSES, {"id": uuid_of(ada)}) == []
    assert await db.rows(text("SELECT 1 FROM pgqueuer")) == []


async def test_the_audit_says_who_has_deleted_an_account(
    api: Api, ada: Person, grace: Person, db: Database, environment: dict[str, str]
) -> None:
    others = [
        await api.register(Person(f"{name}@example.com", "an apple a day 42"))
        for name in ("eve", "bob")
    ]

    for way, person in zip(WAYS, [ada, *others], strict=True):
        await way(await api.login(person), person, grace, environment)

    own, eve, bob = (uuid_of(each) for each in (ada, *others))
    events = [tuple(row) for row in await db.rows(EVENT)]
    expected: list[Any] = [
        (own, own, None, {}),
        (uuid_of(grace), eve, "127.0.0.1", {}),
        (None, bob, None, {"by": "command line"}),
    ]
    assert sorted(events, key=str) == sorted(expected, key=str)


async def test_jobs_under_a_former_secret_are_deleted_too(
    api: Api, ada: Person, grace: Person, settings: Settings, outbox: Outbox, db: Database
) -> None:
    await api(REQUEST, email=ada.email)
    assert settings.secret_key is not None
    secret = f"{'another secret, which is new ' * 2},{settings.secret_key.get_secret_value()}"
    newer = settings.model_copy(update={"secret_key": SecretStr(secret)})
    app: FastAPI = create_app(newer, mailer=outbox)
    admin = await api.login(grace)

    async with app.router.lifespan_context(app), Api.of(app) as guest:
        await delete_user(Api(guest.http, admin.access_token), ada.id)

    jobs = await db.rows(text("SELECT entrypoint FROM pgqueuer"))
    assert [row[0] for row in jobs] == ["mail.letter"]


async def test_a_user_who_is_deleted_twice_is_not_found(
    api: Api, ada: Person, grace: Person, db: Database
) -> None:
    admin = await api.login(grace)

    answers = [await delete_user(admin, each) for each in (ada.id, ada.id, NOBODY)]

    assert answers == [{"__typename": "UserDeleted", "userId": ada.id}, NOT_FOUND, NOT_FOUND]
    assert len(await db.rows(EVENT)) == 1


async def test_a_module_erases_its_data_about_a_deleted_user(
    ada: Person, grace: Person, db: Database, environment: dict[str, str]
) -> None:
    async with db.begin() as session:
        await session.execute(text("CREATE TABLE journal (author uuid)"))
        for each in (ada, grace):
            await session.execute(text("INSERT INTO journal VALUES (:id)"), {"id": uuid_of(each)})
    given = environment | {"MODULES": "tests.support.modules.journal"}

    await run("users", "delete", ada.email, "--yes", **given)

    async with db.begin() as session:
        left = (await session.execute(text("SELECT author FROM journal"))).scalars().all()
        await session.execute(text("DROP TABLE journal"))
    assert left == [uuid_of(grace)]


async def test_sessions_of_a_deleted_user_end_at_once(api: Api, ada: Person, grace: Person) -> None:
    admin, laptop = await api.login(grace), await api.login(ada)

    await delete_user(admin, ada.id)

    assert (await laptop(ME), laptop.last_code) == ({"me": None}, "UNAUTHENTICATED")


async def test_an_administrator_can_delete_themself_only_if_there_is_another_one(
    api: Api, ada: Person, grace: Person, db: Database
) -> None:
    admin = await api.login(grace)

    last = await delete_user(admin, grace.id)
    assert (last["__typename"], await admin(ME)) == (
        "LastAdministrator",
        {"me": {"email": grace.email}},
    )
    assert await db.rows(EVENT) == []
    assert await db.rows(text("SELECT 1 FROM pgqueuer")) == []

    async with db.begin() as session:
        await session.execute(text("UPDATE users SET role = 'ADMIN'"))
    assert await delete_user(admin, grace.id) == {"__typename": "UserDeleted", "userId": grace.id}
    assert [tuple(row) for row in await db.rows(EVENT)] == [
        (uuid_of(grace), uuid_of(grace), None, {})
    ]
    assert await (await api.login(ada))(ME) == {"me": {"email": ada.email}}
