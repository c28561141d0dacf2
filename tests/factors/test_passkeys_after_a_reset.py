"""Passkeys after a reset of the password: a stranger may have registered one."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from tests.accounts.test_password_changes import NEW, REQUEST, reset
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.passkeys import SoftwareAuthenticator

Deliver = Callable[[], Awaitable[None]]
NEWEST_EVENT = text("SELECT name, target_id IS NOT NULL FROM audit_events ORDER BY id DESC LIMIT 1")


@pytest.fixture
async def device(api: Api, db: Database, ada: Person) -> SoftwareAuthenticator:
    """An authenticator with a passkey of Ada."""
    await factors.verify(db, ada)
    device = SoftwareAuthenticator()
    await passkeys.register(await api.login(ada), device, name="Laptop")
    return device


async def reset_password(api: Api, outbox: Outbox, deliver: Deliver, person: Person) -> Person:
    await api(REQUEST, email=person.email)
    await deliver()
    assert await reset(api, outbox.token_for(person.email)) == "UserChanged"
    return Person(person.email, NEW)


async def answer(api: Api, device: SoftwareAuthenticator, person: Person) -> str:
    """Sign in with the password and then the passkey, and return what the answer is."""
    login = (await api(factors.LOGIN, input=person.credentials))["login"]
    token = login["challenge"]["token"]
    begun = (await api(passkeys.BEGIN_CHALLENGE, token=token))["beginPasskeyChallenge"]
    given = {"ceremony": begun["ceremony"], "credential": device.get(begun["publicKey"])}
    sent = {"token": token, "answer": {"passkey": given}}
    return (await api(factors.ANSWER, input=sent))["answerChallenge"]["__typename"]


async def test_a_passkey_needs_the_new_password_once(
    api: Api, ada: Person, device: SoftwareAuthenticator, outbox: Outbox, deliver: Deliver
) -> None:
    ada = await reset_password(api, outbox, deliver, ada)

    refused = await passkeys.sign_in(api, device)
    assert refused["__typename"] == "PasskeyRefused"
    assert "Sign in with your password" in refused["message"]

    assert await answer(api, device, ada) == "SignedIn"
    assert (await passkeys.sign_in(api, device))["__typename"] == "SignedIn"


async def test_the_email_names_the_passkeys_that_remain(
    api: Api, ada: Person, device: SoftwareAuthenticator, outbox: Outbox, deliver: Deliver
) -> None:
    await reset_password(api, outbox, deliver, ada)
    await deliver()

    told = outbox.messages[-1]
    assert (told.to, told.subject) == (ada.email, "Your password was changed")
    assert "- “Laptop”, registered on " in told.text
    assert device.credentials


async def test_a_thief_who_registered_a_passkey_is_out_after_a_reset(
    api: Api, db: Database, ada: Person, outbox: Outbox, deliver: Deliver
) -> None:
    await factors.verify(db, ada)
    thief, theirs = await api.login(ada), SoftwareAuthenticator()
    await passkeys.register(thief, theirs)

    await reset_password(api, outbox, deliver, ada)

    assert (await passkeys.sign_in(api, theirs))["__typename"] == "PasskeyRefused"
    login = (await api(factors.LOGIN, input=ada.credentials))["login"]
    assert login["__typename"] == "InvalidCredentials"


async def test_a_try_to_sign_in_with_a_passkey_alone_is_recorded(
    api: Api,
    db: Database,
    ada: Person,
    device: SoftwareAuthenticator,
    outbox: Outbox,
    deliver: Deliver,
) -> None:
    await reset_password(api, outbox, deliver, ada)

    await passkeys.sign_in(api, device)

    [(name, has_target)] = await db.rows(NEWEST_EVENT)
    assert (name, has_target) == ("session.refused", True)


async def test_a_copy_that_comes_with_the_new_password_is_told_by_email(
    api: Api, db: Database, ada: Person, outbox: Outbox, deliver: Deliver
) -> None:
    await factors.verify(db, ada)
    device = SoftwareAuthenticator(counts=True)
    await passkeys.register(await api.login(ada), device, name="Key")
    ada = await reset_password(api, outbox, deliver, ada)
    device.credentials[0].counter = 0

    assert await answer(api, device, ada) == "PasskeyRefused"

    await deliver()
    assert outbox.subjects[-1] == (ada.email, "A passkey of your account may have been copied")


async def test_a_passkey_that_may_have_been_copied_steps_up_in_no_session_of_its_own(
    api: Api, db: Database, ada: Person, clock: FakeClock
) -> None:
    await factors.verify(db, ada)
    device = SoftwareAuthenticator(counts=True)
    await passkeys.register(await api.login(ada), device)
    alone = api.with_tokens(await passkeys.sign_in(api, device))
    device.credentials[0].counter = 0
    await passkeys.sign_in(api, device)
    device.credentials[0].counter = 10
    clock.pass_(minutes=11)

    begun = (await alone(passkeys.BEGIN_STEP_UP))["beginPasskeyStepUp"]
    given = {"ceremony": begun["ceremony"], "credential": device.get(begun["publicKey"])}
    refused = (await alone(factors.STEP_UP, answer={"passkey": given}))["stepUp"]

    assert refused["__typename"] == "PasskeyRefused"
    assert await alone(factors.RENEW) == {"renewRecoveryCodes": None}
    assert alone.last_code == "STEP_UP_REQUIRED"
