"""A link that its client uses again: a page that runs twice, a retry, a lost response."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from app.testing.outbox import Outbox
from tests.accounts.test_email_changes import ask, confirm
from tests.accounts.test_email_verification import VERIFY, verify
from tests.accounts.test_password_changes import AGAIN, CHANGE, NEW
from tests.people.test_administration import SUSPEND, mutate
from tests.sessions.test_refreshing import LOGOUT, refresh

Deliver = Callable[[], Awaitable[None]]
COUNTESS = "countess@example.com"
EVENTS = text("SELECT name FROM audit_events WHERE name LIKE 'email.%' ORDER BY at")


async def signed_in(client: Api, token: str) -> Any:
    answer = (await client(VERIFY, token=token))["verifyEmail"]
    assert answer["__typename"] == "SignedIn", answer
    return answer


def opened(answer: Any) -> tuple[str, str]:
    return answer["session"]["id"], answer["tokens"]["refreshToken"]


@pytest.fixture
async def link(api: Api, ada: Person, outbox: Outbox, deliver: Deliver) -> str:
    """Returns the token of a link that verifies Ada's address."""
    await api(AGAIN, email=ada.email)
    await deliver()
    return outbox.token_for(ada.email)


@pytest.fixture
async def change(api: Api, ada: Person, outbox: Outbox, deliver: Deliver) -> str:
    """Returns the token of a link that changes Ada's address."""
    assert await ask(await api.login(ada), COUNTESS, ada.password) == "RequestAccepted"
    await deliver()
    return outbox.token_for(COUNTESS)


async def test_a_link_that_is_used_twice_starts_one_session(
    api: Api, link: str, db: Database
) -> None:
    answers = await asyncio.gather(*(signed_in(Api(api.http), link) for _ in range(20)))

    assert len({opened(answer) for answer in answers}) == 1
    assert await db.rows(EVENTS) == [("email.verified",)]


async def test_every_answer_signs_in(api: Api, ada: Person, link: str) -> None:
    answers = [await signed_in(api, link) for _ in range(2)]

    for answer in answers:
        assert await api.with_tokens(answer)(ME) == {"me": {"email": ada.email}}


async def test_a_lost_answer_can_be_repeated_much_later(
    api: Api, link: str, clock: FakeClock
) -> None:
    lost = await signed_in(api, link)

    clock.pass_(hours=5)

    assert opened(await signed_in(api, link)) == opened(lost)


async def test_an_answer_that_was_used_can_be_repeated_within_30_seconds(
    api: Api, link: str, clock: FakeClock
) -> None:
    first = await signed_in(api, link)
    await api.with_tokens(first)(ME)

    clock.pass_(seconds=29)
    assert opened(await signed_in(api, link)) == opened(first)

    clock.pass_(seconds=2)
    assert await verify(api, link) == "TokenInvalid"


async def test_an_answer_whose_session_was_refreshed_is_not_repeated(
    api: Api, link: str, clock: FakeClock
) -> None:
    await refresh(api, opened(await signed_in(api, link))[1])

    clock.pass_(seconds=31)

    assert await verify(api, link) == "TokenInvalid"


async def test_a_link_does_not_revive_its_ended_session(api: Api, link: str) -> None:
    await api.with_tokens(await signed_in(api, link))(LOGOUT)

    assert await verify(api, link) == "TokenInvalid"


async def test_a_used_link_is_invalid_after_a_change_of_the_password(
    api: Api, ada: Person, link: str, db: Database
) -> None:
    async with db.begin() as proved:
        await proved.execute(text("UPDATE users SET email_verified = true"))
    session = api.with_tokens(await signed_in(api, link))
    passwords = {"currentPassword": ada.password, "newPassword": NEW, "keepOtherSessions": True}
    changed = await session(CHANGE, input=passwords)
    assert changed["changePassword"]["__typename"] == "PasswordChanged"

    assert await verify(api, link) == "TokenInvalid"


async def test_a_repeated_link_does_not_sign_in_a_suspended_user(
    api: Api, ada: Person, grace: Person, link: str
) -> None:
    await signed_in(api, link)
    await mutate(await api.login(grace), SUSPEND, userId=ada.id, reason="spam")

    assert await verify(api, link) == "TokenInvalid"


async def test_a_repeated_link_expires_with_its_email(
    api: Api, link: str, clock: FakeClock
) -> None:
    await signed_in(api, link)

    clock.pass_(hours=24)

    assert await verify(api, link) == "TokenInvalid"


async def test_a_used_link_is_invalid_for_another_client(api: Api, link: str, db: Database) -> None:
    await signed_in(api, link)
    before = await contents(db)

    assert await verify(api.of_program("another browser"), link) == "TokenInvalid"

    assert await contents(db) == before


async def test_a_repeated_link_confirms_a_change_of_address_once(
    api: Api, change: str, db: Database
) -> None:
    answers = await asyncio.gather(*(confirm(Api(api.http), change) for _ in range(20)))

    assert answers == ["UserChanged"] * 20
    assert await db.rows(EVENTS) == [("email.change_requested",), ("email.changed",)]


async def test_a_change_that_was_undone_is_not_confirmed_again(
    api: Api, ada: Person, change: str, db: Database, outbox: Outbox, deliver: Deliver
) -> None:
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET email_verified = true"))
    await confirm(api, change)
    await deliver()
    undo = outbox.token_for(ada.email)

    assert [await confirm(api, undo) for _ in range(2)] == ["UserChanged"] * 2

    assert await confirm(api, change) == "TokenInvalid"
    assert await confirm(api.of_program("another browser"), undo) == "TokenInvalid"
