"""Required verification of addresses: registering, links, and who may sign in."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.jobs.services.worker import Worker
from app.keys.services.signing_keys import SigningKeys
from app.main import create_app
from app.settings import Settings
from app.testing.clients import LOGIN, ME, REGISTER, SIGNED_IN, Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from tests.accounts.test_email_changes import ask, confirm
from tests.accounts.test_password_changes import AGAIN, NEW, REQUEST, reset
from tests.people.test_administration import CREATE, mutate
from tests.sessions.test_refreshing import reason
from tests.support.periodic import tidy

Deliver = Callable[[], Awaitable[None]]
EVE = Person("eve@example.com", "an apple a day 42", "Eve")
VERIFY = f"""
mutation Verify($token: String!) {{ verifyEmail(input: {{token: $token}}) {{ {SIGNED_IN} }} }}
"""
PROMOTE = """
mutation Promote($id: ID!) { setUserRole(input: {userId: $id, role: ADMIN}) { __typename } }
"""
MADE_FOR_THEM = text(
    "INSERT INTO users (id, email, role, password_hash, created_at, updated_at)"
    " VALUES (:id, :email, 'ADMIN', :stored, now(), now())"
)
SENT = {"register": {"__typename": "VerificationSent"}}


@pytest.fixture(scope="module")
async def strict_app(
    settings: Settings, clock: FakeClock, mailer: Outbox
) -> AsyncIterator[FastAPI]:
    app = create_app(settings.model_copy(update={"email_verification": "required"}), clock, mailer)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def guest(strict_app: FastAPI, api: Api) -> AsyncIterator[Api]:
    """A client of a server that requires verified addresses, on the same database."""
    # The previous test has deleted all keys.
    await strict_app.state.portico.services[SigningKeys].refresh()
    async with Api.of(strict_app) as client:
        yield replace(client, refresh_token=api.refresh_token)


@pytest.fixture
def post(strict_app: FastAPI, outbox: Outbox) -> Deliver:
    """Deliver what the server that requires verified addresses has to send."""
    assert outbox.messages == []
    return replace(strict_app.state.portico.services[Worker], delays=[timedelta(0)] * 3).drain


async def verify(client: Api, token: str) -> str:
    data = await client(VERIFY, token=token)
    return data["verifyEmail"]["__typename"]


async def login(client: Api, person: Person) -> str:
    data = await client(LOGIN, input=person.credentials)
    return data["login"]["__typename"]


async def test_the_link_finishes_the_registration_and_signs_in(
    guest: Api, outbox: Outbox, post: Deliver
) -> None:
    assert await guest(REGISTER, input=EVE.registration) == SENT
    await post()

    data = (await guest(VERIFY, token=outbox.token_for(EVE.email)))["verifyEmail"]

    eve = guest.with_tokens(data)
    assert await eve("{ me { email emailVerified displayName } }") == {
        "me": {"email": EVE.email, "emailVerified": True, "displayName": "Eve"}
    }


async def test_a_link_that_is_used_twice_finishes_one_registration(
    guest: Api, outbox: Outbox, post: Deliver
) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()
    token = outbox.token_for(EVE.email)

    answers = await asyncio.gather(*(Api(guest.http)(VERIFY, token=token) for _ in range(10)))

    sessions = {answer["verifyEmail"]["session"]["id"] for answer in answers}
    assert len(sessions) == 1


async def test_nobody_signs_in_before_verification(guest: Api, post: Deliver) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()

    assert await login(guest, EVE) == "InvalidCredentials"
    assert await login(guest, replace(EVE, password="wrong")) == "InvalidCredentials"


async def test_signing_in_does_not_reveal_whether_a_registered_address_was_free(
    guest: Api, ada: Person, post: Deliver, db: Database
) -> None:
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET email_verified = true"))
    seen: list[Any] = []

    for person in (EVE, replace(ada, password=EVE.password)):
        await guest(REGISTER, input=person.registration)
        await post()
        await guest(LOGIN, input=person.credentials)
        seen.append(guest.last_seen)

    assert seen[0] == seen[1]


async def test_an_older_unverified_account_gets_email_not_verified_after_the_right_password(
    guest: Api, ada: Person
) -> None:
    assert await login(guest, ada) == "EmailNotVerified"
    assert await login(guest, replace(ada, password="wrong")) == "InvalidCredentials"


async def test_a_known_address_gets_the_same_answer_and_an_email(
    guest: Api, ada: Person, outbox: Outbox, post: Deliver, db: Database
) -> None:
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET email_verified = true"))
    seen: list[Any] = []

    for person in (EVE, replace(ada, password=EVE.password)):
        assert await guest(REGISTER, input=person.registration) == SENT
        seen.append(guest.last_seen)
    await post()

    assert seen[0] == seen[1]
    assert sorted(outbox.subjects) == [
        (ada.email, "You have an account already"),
        (EVE.email, "Confirm your registration"),
    ]
    assert await login(guest, ada) == "SignedIn"


async def test_registering_again_does_not_give_a_stranger_the_account(
    guest: Api, outbox: Outbox, post: Deliver
) -> None:
    stranger = replace(EVE, password="a stranger's secret 9")
    await guest(REGISTER, input=stranger.registration)
    await post()
    await guest(REGISTER, input=EVE.registration)
    await post()

    assert await verify(guest, outbox.token_for(EVE.email)) == "SignedIn"

    assert await login(guest, stranger) == "InvalidCredentials"
    assert await login(guest, EVE) == "SignedIn"


async def test_the_second_email_warns_of_the_first(
    guest: Api, outbox: Outbox, post: Deliver
) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()
    await guest(REGISTER, input=EVE.registration)
    await post()

    assert ["not the first time" in each.text for each in outbox.messages] == [False, True]


async def test_a_new_password_ends_the_access_of_a_stranger_who_registered_first(
    guest: Api, outbox: Outbox, post: Deliver
) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()
    link = outbox.token_for(EVE.email)
    await guest(REQUEST, email=EVE.email)
    await post()

    assert await reset(guest, outbox.token_for(EVE.email)) == "UserChanged"

    assert await verify(guest, link) == "TokenInvalid"
    assert await login(guest, EVE) == "InvalidCredentials"
    assert await login(guest, replace(EVE, password=NEW)) == "SignedIn"


async def test_a_registration_does_not_change_an_account_with_a_later_sign_in(
    guest: Api, api: Api, outbox: Outbox, post: Deliver
) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()
    laptop = await api.login(EVE)

    assert await verify(guest, outbox.token_for(EVE.email)) == "TokenInvalid"

    assert await laptop("{ me { emailVerified } }") == {"me": {"emailVerified": False}}
    await guest(AGAIN, email=EVE.email)
    await post()
    assert await verify(guest, outbox.token_for(EVE.email)) == "SignedIn"
    assert await laptop(ME) == {"me": None}


async def test_confirming_a_registration_revokes_the_links_of_others(
    guest: Api, outbox: Outbox, post: Deliver
) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()
    link = outbox.token_for(EVE.email)
    await guest(REQUEST, email=EVE.email)
    await post()

    assert await verify(guest, link) == "SignedIn"

    assert await reset(guest, outbox.token_for(EVE.email)) == "TokenInvalid"


async def test_a_lost_email_can_be_requested_again(
    guest: Api, outbox: Outbox, post: Deliver
) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()

    await guest(AGAIN, email=EVE.email)
    await guest(AGAIN, email="nobody@example.com")
    await post()

    assert len(outbox.messages) == 2
    assert await verify(guest, outbox.token_for(EVE.email)) == "SignedIn"
    assert await login(guest, EVE) == "SignedIn"


async def test_a_link_works_for_one_client(guest: Api, outbox: Outbox, post: Deliver) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()
    token = outbox.token_for(EVE.email)

    clients = [guest.of_program(f"browser {number}") for number in range(50)]
    tries = [verify(client, token) for client in clients]

    assert sorted(await asyncio.gather(*tries)) == ["SignedIn", *["TokenInvalid"] * 49]


async def test_a_link_of_another_purpose_verifies_nothing(
    guest: Api, ada: Person, outbox: Outbox, post: Deliver
) -> None:
    await guest(REQUEST, email=ada.email)
    await post()
    token = outbox.token_for(ada.email)

    assert await verify(guest, token) == "TokenInvalid"
    assert await reset(guest, token) == "UserChanged"


async def test_a_link_expires_after_a_day(
    guest: Api, outbox: Outbox, post: Deliver, clock: FakeClock
) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()

    clock.pass_(hours=24)

    assert await verify(guest, outbox.token_for(EVE.email)) == "TokenInvalid"


async def test_a_link_does_not_sign_in_a_suspended_user(
    guest: Api, outbox: Outbox, post: Deliver, db: Database
) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET suspended_at = now()"))

    assert await verify(guest, outbox.token_for(EVE.email)) == "TokenInvalid"
    assert await login(guest, EVE) == "InvalidCredentials"


async def test_an_older_session_of_an_unverified_user_ends(
    guest: Api, api: Api, ada: Person, outbox: Outbox, post: Deliver
) -> None:
    laptop = await api.login(ada)
    same = Api(guest.http, laptop.access_token)

    assert (await same(ME), same.last_code) == ({"me": None}, "UNAUTHENTICATED")
    assert await reason(guest, laptop.refresh_token) == "REVOKED"

    await guest(AGAIN, email=ada.email)
    await post()
    assert await verify(guest, outbox.token_for(ada.email)) == "SignedIn"


async def test_an_older_session_of_a_verified_user_continues(
    guest: Api, api: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET email_verified = true"))

    assert await Api(guest.http, laptop.access_token)(ME) == {"me": {"email": ada.email}}


async def test_an_invitation_replaces_an_unconfirmed_registration(
    guest: Api, grace: Person, outbox: Outbox, post: Deliver, db: Database
) -> None:
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET email_verified = true"))
    admin = await guest.login(grace)
    await guest(REGISTER, input=EVE.registration)
    await post()
    link = outbox.token_for(EVE.email)

    assert (await mutate(admin, CREATE, email=EVE.email))["__typename"] == "UserChanged"
    await post()

    assert await verify(guest, link) == "TokenInvalid"
    assert await login(guest, EVE) == "InvalidCredentials"
    assert await reset(guest, outbox.token_for(EVE.email)) == "UserChanged"
    assert await login(guest, replace(EVE, password=NEW)) == "SignedIn"


async def test_a_registration_without_verification_replaces_an_unconfirmed_one(
    guest: Api, api: Api, outbox: Outbox, post: Deliver
) -> None:
    await guest(REGISTER, input=replace(EVE, password="a stranger's secret 9").registration)
    await post()

    await api.register(EVE)

    assert await verify(guest, outbox.token_for(EVE.email)) == "TokenInvalid"
    assert await api.login(EVE)


async def test_a_change_of_address_replaces_an_unconfirmed_registration(
    guest: Api, ada: Person, outbox: Outbox, post: Deliver, db: Database
) -> None:
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET email_verified = true"))
    laptop = await guest.login(ada)
    await guest(REGISTER, input=EVE.registration)
    await post()
    assert await ask(laptop, EVE.email, ada.password) == "RequestAccepted"
    await post()

    assert await confirm(guest, outbox.token_for(EVE.email)) == "UserChanged"

    assert await laptop(ME) == {"me": {"email": EVE.email}}


async def test_the_owner_among_many_registrations_does_not_get_the_password_of_a_stranger(
    guest: Api, outbox: Outbox, post: Deliver
) -> None:
    strangers = [replace(EVE, password=f"attacker lemur {n} trombone") for n in range(3)]
    for each in (*strangers, EVE):
        await guest(REGISTER, input=each.registration)
        await post()
    assert len(outbox.messages) == 4
    await guest(AGAIN, email=EVE.email)
    await post()

    assert await verify(guest, outbox.token_for(EVE.email)) == "SignedIn"
    await post()

    assert [await login(guest, each) for each in strangers] == ["InvalidCredentials"] * 3
    assert outbox.subjects[-1] == (EVE.email, "Choose a password for your account")
    assert await reset(guest, outbox.token_for(EVE.email)) == "UserChanged"
    assert await login(guest, replace(EVE, password=NEW)) == "SignedIn"


async def test_a_registration_is_deleted_when_its_last_link_has_expired(
    strict_app: FastAPI,
    guest: Api,
    outbox: Outbox,
    post: Deliver,
    db: Database,
    clock: FakeClock,
) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()
    clock.pass_(hours=20)
    await guest(AGAIN, email=EVE.email)
    await post()
    clock.pass_(hours=20)
    await tidy(strict_app.state.portico)
    assert len(await db.rows(text("SELECT 1 FROM users"))) == 1

    clock.pass_(hours=5)
    await tidy(strict_app.state.portico)

    assert await db.rows(text("SELECT 1 FROM users")) == []
    events = text("SELECT name, details->>'reason', ip_address FROM audit_events ORDER BY id")
    assert [tuple(row) for row in await db.rows(events)] == [
        ("user.registered", None, None),
        ("user.deleted", "unconfirmed", None),
    ]
    assert [to for to, _ in outbox.subjects] == [EVE.email, EVE.email]


@pytest.mark.parametrize("made_by", ["an invitation", "an import"])
async def test_a_registration_does_not_give_a_stranger_an_invited_or_imported_account(
    guest: Api, outbox: Outbox, post: Deliver, db: Database, made_by: str
) -> None:
    stored = None if made_by == "an invitation" else "$2b$04$" + "a" * 21 + "u" + "a" * 31
    values = {"id": uuid.uuid4(), "email": EVE.email, "stored": stored}
    async with db.begin() as session:
        await session.execute(MADE_FOR_THEM, values)

    await guest(REGISTER, input=EVE.registration)
    await guest(AGAIN, email=EVE.email)
    await post()

    assert sorted(outbox.subjects) == [
        (EVE.email, "Confirm your email address"),
        (EVE.email, "You have an account already"),
    ]
    assert await verify(guest, outbox.token_for(EVE.email)) == "SignedIn"
    assert await login(guest, EVE) == "InvalidCredentials"


async def test_no_link_is_sent_for_an_expired_registration(
    guest: Api, outbox: Outbox, post: Deliver, db: Database
) -> None:
    await guest(REGISTER, input=EVE.registration)
    await post()
    async with db.begin() as session:
        await session.execute(text("DELETE FROM one_time_tokens"))
    outbox.messages.clear()

    await guest(AGAIN, email=EVE.email)
    await post()
    assert outbox.messages == []

    await guest(REGISTER, input=EVE.registration)
    await post()
    assert await verify(guest, outbox.token_for(EVE.email)) == "SignedIn"


async def test_an_unconfirmed_registration_cannot_become_an_administrator(
    guest: Api, grace: Person, post: Deliver, db: Database
) -> None:
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET email_verified = true"))
    admin = await guest.login(grace)
    await guest(REGISTER, input=EVE.registration)
    await post()
    eve = await admin('{ user(by: {email: "eve@example.com"}) { id role } }')

    await admin(PROMOTE, id=eve["user"]["id"])

    assert admin.last_code == "BAD_USER_INPUT"
    assert "`input.userId`" in admin.errors[0]["message"]
    assert await admin('{ user(by: {email: "eve@example.com"}) { id role } }') == eve
