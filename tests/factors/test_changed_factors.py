"""What sessions may still do after a factor was added, removed or copied."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator

import pytest

from app.database.database import Database
from app.main import create_app
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from app.testing.settings import settings_for
from tests.factors.model.actors import REFRESH
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.passkeys import SoftwareAuthenticator

USERS = "{ users(first: 5) { nodes { email } } }"


@pytest.fixture
async def strict(migrated_url: str, clock: FakeClock, api: Api) -> AsyncIterator[Api]:
    """A server beside `api` that requires a second factor of administrators."""
    settings = settings_for(migrated_url, second_factor_required="admins")
    app = create_app(settings, clock, Outbox())
    async with app.router.lifespan_context(app), Api.of(app) as strict:
        yield strict
    assert api


async def register(client: Api, device: SoftwareAuthenticator) -> str:
    """Register a passkey, and return its id."""
    added = await passkeys.register(client, device)
    assert added["__typename"] == "FactorAdded"
    return added["factor"]["id"]


async def remove(client: Api, factor_id: str) -> None:
    assert (await client(factors.REMOVE, id=factor_id))["removeFactor"]


async def code_of_change(client: Api) -> str | None:
    """Begin to register a passkey, and return the code of the refusal."""
    await client(passkeys.BEGIN_REGISTRATION)
    return client.last_code


async def test_the_session_of_a_removed_passkey_adds_no_other_one(api: Api, owner: Api) -> None:
    mine, theirs = SoftwareAuthenticator(), SoftwareAuthenticator()
    await register(owner, mine)
    removed = await register(owner, theirs)
    thief = api.with_tokens(await passkeys.sign_in(api, theirs))
    assert await code_of_change(thief) is None

    await remove(owner, removed)

    assert await code_of_change(thief) == "STEP_UP_REQUIRED"
    assert await code_of_change(owner) is None


async def test_an_app_is_not_confirmed_by_the_session_of_a_removed_passkey(
    api: Api, owner: Api, clock: FakeClock
) -> None:
    theirs = SoftwareAuthenticator()
    await register(owner, SoftwareAuthenticator())
    removed = await register(owner, theirs)
    thief = api.with_tokens(await passkeys.sign_in(api, theirs))
    app = await factors.begin(thief, clock)

    await remove(owner, removed)

    confirmed = (await thief(factors.CONFIRM, code=app.code()))["confirmTotpEnrollment"]
    assert confirmed["__typename"] == "ChallengeExpired"


async def test_a_copy_makes_every_session_step_up(api: Api, owner: Api) -> None:
    device = SoftwareAuthenticator(counts=True)
    await register(owner, device)
    alone = api.with_tokens(await passkeys.sign_in(api, device))
    device.credentials[0].counter = 0

    assert (await passkeys.sign_in(api, device))["__typename"] == "PasskeyRefused"

    assert await code_of_change(alone) == "STEP_UP_REQUIRED"
    assert await code_of_change(owner) == "STEP_UP_REQUIRED"


async def test_a_removed_factor_does_not_count_where_one_is_required(
    strict: Api, db: Database, grace: Person, clock: FakeClock
) -> None:
    await factors.verify(db, grace)
    thief = await strict.login(grace)
    await remove(thief, await register(thief, SoftwareAuthenticator()))
    await thief(USERS)
    assert thief.last_code == "SECOND_FACTOR_REQUIRED"

    owner = await strict.login(grace)
    app = await factors.begin(owner, clock)
    await owner(factors.CONFIRM, code=app.code())

    await thief(USERS)
    assert thief.last_code == "STEP_UP_REQUIRED"


async def test_tokens_do_not_say_that_a_removed_factor_was_proved(
    api: Api, db: Database, ada: Person, clock: FakeClock
) -> None:
    await factors.verify(db, ada)
    thief = await api.login(ada)
    await remove(thief, await register(thief, SoftwareAuthenticator()))
    owner = await api.login(ada)
    app = await factors.begin(owner, clock)
    await owner(factors.CONFIRM, code=app.code())

    sent = {"refreshToken": thief.refresh_token}
    token = (await api(REFRESH, input=sent))["refreshSession"]["tokens"]["accessToken"]

    claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (claims["acr"], claims["amr"]) == ("aal1", ["pwd"])
