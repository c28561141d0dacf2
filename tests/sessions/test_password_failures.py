"""A hundred wrong passwords in a row lock the password until it is reset by email."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.jobs.services.worker import Worker
from app.testing.clients import LOGIN, Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from tests.accounts.test_email_changes import WAITING
from tests.accounts.test_password_changes import NEW, REQUEST, change, reset
from tests.support.periodic import tidy

Deliver = Callable[[], Awaitable[None]]
LOCKED = "Your password was locked"
DEVICE = """
mutation Login($input: LoginInput!) {
  login(input: $input) { __typename ... on SignedIn { tokens { deviceToken } } }
}
"""


async def login(client: Api, person: Person, device: str | None = None) -> str:
    client.http.headers["portico-device"] = device or ""
    data = await client(LOGIN, input=person.credentials)
    return data["login"]["__typename"]


async def guess(client: Api, person: Person, times: int, device: str | None = None) -> set[str]:
    wrong = replace(person, password="wrong")
    return {await login(client, wrong, device) for _ in range(times)}


@pytest.fixture
async def device(api: Api, ada: Person) -> str:
    """Returns the token of a device on which Ada has signed in."""
    data = await api(DEVICE, input=ada.credentials)
    return data["login"]["tokens"]["deviceToken"]


async def test_from_unknown_devices_lock_the_password_there(api: Api, ada: Person) -> None:
    assert await guess(api, ada, 99) == {"InvalidCredentials"}
    assert await login(api, ada) == "SignedIn"

    assert await guess(api, ada, 100) == {"InvalidCredentials"}

    assert await login(api, ada) == "InvalidCredentials"


async def test_the_lock_does_not_expire(api: Api, ada: Person, clock: FakeClock) -> None:
    await guess(api, ada, 60)
    clock.pass_(days=300)
    await guess(api, ada, 40)

    assert await login(api, ada) == "InvalidCredentials"


async def test_a_known_device_is_not_locked_out_by_strangers(
    api: Api, ada: Person, device: str
) -> None:
    await guess(api, ada, 100)

    assert await login(api, ada, device) == "SignedIn"
    assert await login(api, ada) == "InvalidCredentials"


async def test_from_known_devices_are_counted_separately_with_the_same_limit(
    api: Api, ada: Person, device: str
) -> None:
    assert await guess(api, ada, 100, device) == {"InvalidCredentials"}

    assert await login(api, ada, device) == "InvalidCredentials"
    assert await login(api, ada) == "SignedIn"


async def test_in_sessions_are_counted_separately_with_the_same_limit(
    api: Api, ada: Person
) -> None:
    laptop = await api.login(ada)

    answers = {await change(laptop, "wrong", NEW) for _ in range(100)}

    assert answers == {"InvalidCredentials"}
    assert await change(laptop, ada.password, NEW) == "InvalidCredentials"
    assert await login(api, ada) == "SignedIn"


async def test_a_password_reset_unlocks_the_account(
    api: Api, ada: Person, outbox: Outbox, deliver: Deliver
) -> None:
    await guess(api, ada, 100)
    await api(REQUEST, email=ada.email)
    await deliver()

    assert await reset(api, outbox.token_for(ada.email)) == "UserChanged"

    assert await login(api, replace(ada, password=NEW)) == "SignedIn"


async def test_the_owner_is_notified_once_and_the_audit_records_it(
    api: Api, ada: Person, outbox: Outbox, deliver: Deliver, db: Database
) -> None:
    await guess(api, ada, 130)
    await deliver()

    assert outbox.subjects == [(ada.email, LOCKED)]
    events = text("SELECT details FROM audit_events WHERE name = 'password.locked'")
    assert [row[0] for row in await db.rows(events)] == [{"source": "UNKNOWN_DEVICE"}]


async def test_a_hundred_concurrent_ones_are_counted_exactly(api: Api, ada: Person) -> None:
    batches = [[guess(Api(api.http), ada, 1) for _ in range(20)] for _ in range(5)]
    for batch in batches:
        await asyncio.gather(*batch)

    assert await login(api, ada) == "InvalidCredentials"


async def test_an_address_without_an_account_is_counted_too_until_the_next_day(
    app: FastAPI, api: Api, ada: Person, db: Database, clock: FakeClock, outbox: Outbox
) -> None:
    counted = text("SELECT in_a_row, user_id IS NULL FROM password_failures ORDER BY 2")
    await guess(api, ada, 2)
    await guess(api, Person("nobody@example.com", ""), 100)
    assert [tuple(row) for row in await db.rows(counted)] == [(2, False), (100, True)]

    clock.pass_(days=1, minutes=1)
    await tidy(app.state.portico)
    await app.state.portico.services[Worker].drain()

    assert [tuple(row) for row in await db.rows(counted)] == [(2, False)]
    assert outbox.subjects == []


async def test_a_user_who_is_deleted_meanwhile_is_refused_in_the_same_way(
    api: Api, ada: Person, db: Database
) -> None:
    async with db.begin() as session:
        await session.execute(text("DELETE FROM users"))
        guessing = asyncio.ensure_future(guess(api, ada, 1))
        while not guessing.done() and not await db.rows(WAITING):
            await asyncio.wait({guessing}, timeout=0.01)

    assert await guessing == {"InvalidCredentials"}
    assert api.errors == []
