"""The account of the current user: its profile, and its deletion."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import ME, Api, Person
from app.testing.outbox import Outbox

Deliver = Callable[[], Awaitable[None]]
UPDATE = """
mutation Update($input: UpdateProfileInput!) {
  updateProfile(input: $input) {
    ... on UserChanged { user { displayName } }
    ... on InvalidInput { issues { path code } }
  }
}
"""
DELETE = """
mutation Delete($password: String!) {
  deleteAccount(input: {password: $password}) { __typename ... on Problem { message } }
}
"""


async def update(client: Api, **changes: Any) -> Any:
    return (await client(UPDATE, input=changes))["updateProfile"]


async def delete(client: Api, password: str) -> str:
    return (await client(DELETE, password=password))["deleteAccount"]["__typename"]


async def test_a_name_is_changed_kept_and_removed(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)

    assert await update(laptop, displayName="  Countess ") == {"user": {"displayName": "Countess"}}
    assert await update(laptop) == {"user": {"displayName": "Countess"}}
    assert await update(laptop, displayName=None) == {"user": {"displayName": None}}


@pytest.mark.parametrize("nothing", ["", "  "])
async def test_an_empty_name_is_removed_as_null_is(api: Api, ada: Person, nothing: str) -> None:
    laptop = await api.login(ada)

    assert await update(laptop, displayName=nothing) == {"user": {"displayName": None}}


async def test_an_update_that_changes_nothing_records_no_event(
    api: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)

    await update(laptop, displayName=ada.name)
    await update(laptop)

    names = await db.rows(text("SELECT name FROM audit_events WHERE name = 'profile.changed'"))
    assert names == []


async def test_an_invalid_name_is_refused(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)

    assert await update(laptop, displayName="\u202eadA") == {
        "issues": [{"path": ["displayName"], "code": "INVALID_FORMAT"}]
    }
    assert await laptop("{ me { displayName } }") == {"me": {"displayName": ada.name}}


async def test_a_deleted_account_leaves_no_trace_of_the_person(
    api: Api, ada: Person, db: Database, outbox: Outbox, deliver: Deliver
) -> None:
    laptop, phone = await api.login(ada), await api.login(ada)

    assert await delete(laptop, ada.password) == "AccountDeleted"
    await deliver()

    assert [await each(ME) for each in (laptop, phone)] == [{"me": None}] * 2
    assert outbox.subjects == [(ada.email, "Your account was deleted")]
    tables = ("users", "sessions", "one_time_tokens", "pgqueuer", "pgqueuer_log")
    left = [await db.rows(text(f"SELECT t::text FROM {name} t")) for name in tables]  # noqa: S608
    assert "ada" not in str(left)
    assert await api.register(ada)


async def test_deleting_an_account_returns_its_former_id(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)
    named = DELETE.replace("__typename", "__typename ... on AccountDeleted { userId }")

    answer = await laptop(named, password=ada.password)

    assert answer["deleteAccount"] == {"__typename": "AccountDeleted", "userId": ada.id}


async def test_a_wrong_password_deletes_nothing(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)

    assert await delete(laptop, "wrong") == "InvalidCredentials"

    assert await laptop(ME) == {"me": {"email": ada.email}}


async def test_the_last_administrator_cannot_be_removed(
    api: Api, grace: Person, ada: Person
) -> None:
    admin = await api.login(grace)

    assert await delete(admin, grace.password) == "LastAdministrator"

    assert await admin(ME) == {"me": {"email": grace.email}}
    assert await delete(await api.login(ada), ada.password) == "AccountDeleted"


@pytest.mark.parametrize("_round", range(3))
async def test_of_two_administrators_who_delete_themselves_at_once_one_remains(
    api: Api, grace: Person, ada: Person, db: Database, _round: int
) -> None:
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET role = 'ADMIN'"))
    both = [(await api.login(person), person.password) for person in (grace, ada)]

    answers = await asyncio.gather(*(delete(client, password) for client, password in both))

    assert sorted(answers) == ["AccountDeleted", "LastAdministrator"]


async def test_a_suspended_administrator_does_not_count_as_another_one(
    api: Api, grace: Person, ada: Person, db: Database
) -> None:
    admin = await api.login(grace)
    async with db.begin() as session:
        statement = "UPDATE users SET role = 'ADMIN', suspended_at = now() WHERE email = :email"
        await session.execute(text(statement), {"email": ada.email})

    assert await delete(admin, grace.password) == "LastAdministrator"
    assert await api.login(replace(grace))
