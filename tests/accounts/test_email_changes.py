"""Changing the email address."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import ME, Api, Person
from app.testing.outbox import Outbox
from tests.accounts.test_password_changes import REQUEST, change, reset

Deliver = Callable[[], Awaitable[None]]
NEW = "countess@example.com"
ASK = """
mutation Ask($input: RequestEmailChangeInput!) {
  requestEmailChange(input: $input) { __typename ... on Problem { message } }
}
"""
CONFIRM = """
mutation Confirm($token: String!) {
  confirmEmailChange(input: {token: $token}) {
    __typename
    ... on UserChanged { user { email emailVerified } }
  }
}
"""


WAITING = text(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def ask(client: Api, email: str, password: str) -> str:
    data = await client(ASK, input={"newEmail": email, "password": password})
    return data["requestEmailChange"]["__typename"]


async def confirm(client: Api, token: str) -> str:
    data = await client(CONFIRM, token=token)
    return data["confirmEmailChange"]["__typename"]


@pytest.fixture
async def token(api: Api, ada: Person, outbox: Outbox, deliver: Deliver) -> str:
    """Returns the token in the email to Ada's new address."""
    laptop = await api.login(ada)
    assert await ask(laptop, "Countess@Example.com", ada.password) == "RequestAccepted"
    await deliver()
    return outbox.token_for(NEW)


async def test_the_address_changes_when_the_new_one_is_confirmed(
    api: Api, ada: Person, token: str
) -> None:
    laptop = await api.login(ada)

    data = await api(CONFIRM, token=token)

    assert data["confirmEmailChange"] == {
        "__typename": "UserChanged",
        "user": {"email": NEW, "emailVerified": True},
    }
    assert await laptop(ME) == {"me": {"email": NEW}}
    assert await api.login(replace(ada, email=NEW))


async def test_the_former_address_is_notified_of_each_step(
    api: Api, ada: Person, token: str, outbox: Outbox, deliver: Deliver
) -> None:
    await confirm(api, token)
    await deliver()

    assert sorted(outbox.subjects) == [
        (ada.email, "A change of your email address was requested"),
        (ada.email, "Your email address was changed"),
        (NEW, "Confirm your new email address"),
    ]


async def test_a_taken_address_is_refused_only_after_the_link_in_the_email(
    api: Api, ada: Person, token: str
) -> None:
    await api.register(Person(NEW, "a countess's secret 5"))

    assert await confirm(api, token) == "EmailTaken"

    assert await api.login(ada)


async def test_of_two_concurrent_changes_to_an_address_one_succeeds(
    api: Api, ada: Person, grace: Person, outbox: Outbox, deliver: Deliver
) -> None:
    for person in (ada, grace):
        assert await ask(await api.login(person), NEW, person.password) == "RequestAccepted"
    await deliver()
    emails = [each for each in outbox.messages if each.to == NEW]
    tokens = [replace(outbox, messages=[each]).token_for(NEW) for each in emails]

    answers = await asyncio.gather(*(confirm(Api(api.http), token) for token in tokens))

    assert sorted(answers) == ["EmailTaken", "UserChanged"]


@pytest.mark.parametrize(
    ("email", "password", "expected"),
    [
        (NEW, "wrong", "InvalidCredentials"),
        ("ADA@example.com", "difference engine 1", "InvalidInput"),
        ("no address", "difference engine 1", "InvalidInput"),
    ],
)
async def test_a_refused_request_sends_no_email(
    api: Api,
    ada: Person,
    outbox: Outbox,
    deliver: Deliver,
    email: str,
    password: str,
    expected: str,
) -> None:
    assert await ask(await api.login(ada), email, password) == expected
    await deliver()

    assert outbox.messages == []


async def test_a_password_that_was_changed_meanwhile_is_refused(
    api: Api, ada: Person, db: Database, outbox: Outbox, deliver: Deliver
) -> None:
    laptop = await api.login(ada)
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET password_hash = NULL"))
        asking = asyncio.ensure_future(ask(laptop, NEW, ada.password))
        while not asking.done() and not await db.rows(WAITING):
            await asyncio.wait({asking}, timeout=0.01)

    assert await asking == "InvalidCredentials"
    await deliver()
    assert outbox.messages == []


async def test_changing_the_password_stops_the_change(api: Api, ada: Person, token: str) -> None:
    assert await change(await api.login(ada), ada.password, "punched cards 77") == "PasswordChanged"

    assert await confirm(api, token) == "TokenInvalid"


async def test_the_change_revokes_password_reset_links(
    api: Api, ada: Person, token: str, outbox: Outbox, deliver: Deliver
) -> None:
    await api(REQUEST, email=ada.email)
    await deliver()

    assert await confirm(api, token) == "UserChanged"

    assert await reset(api, outbox.token_for(ada.email)) == "TokenInvalid"


async def test_the_link_works_for_one_client(api: Api, token: str) -> None:
    answers = [await confirm(each, token) for each in (api, api.of_program("another browser"))]

    assert answers == ["UserChanged", "TokenInvalid"]
