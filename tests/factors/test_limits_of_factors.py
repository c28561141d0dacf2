"""Limits of factors, which neither a thief nor a neighbour can use up for the owner."""

from collections.abc import AsyncIterator

import pytest

from app.database.database import Database
from app.main import create_app
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from app.testing.settings import settings_for
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.passkeys import SoftwareAuthenticator

# More than any budget allows.
MANY = 61
UNKNOWN = "pct_" + "A" * 43


@pytest.fixture
async def limited(migrated_url: str, clock: FakeClock, owner: Api) -> AsyncIterator[Api]:
    """A guest of a server with the limits of production, beside that of `owner`."""
    app = create_app(settings_for(migrated_url, throttle_scale=1), clock, Outbox())
    async with app.router.lifespan_context(app), Api.of(app) as limited:
        yield limited
    assert owner


async def guess_challenges(stranger: Api) -> None:
    """Use up what one address may try."""
    answers = [await factors.answer(stranger, UNKNOWN, totp="000000") for _ in range(MANY)]
    assert answers[-1]["__typename"] == "RateLimited"


async def test_what_is_refused_does_not_use_up_the_changes_of_the_owner(
    limited: Api, owner: Api
) -> None:
    assert owner.access_token
    owner, theirs = limited.with_bearer(owner.access_token), SoftwareAuthenticator()
    added = await passkeys.register(owner, theirs)
    thief = limited.with_tokens(await passkeys.sign_in(limited, theirs))

    for _ in range(MANY):
        await thief(factors.REMOVE, id="nonsense")
        assert thief.last_code == "BAD_USER_INPUT"

    removed = await owner(factors.REMOVE, id=added["factor"]["id"])
    assert removed["removeFactor"]["__typename"] == "UserChanged"


async def test_a_neighbour_does_not_use_up_the_passkey_of_a_known_device(
    limited: Api, owner: Api, ada: Person
) -> None:
    device = SoftwareAuthenticator()
    await passkeys.register(owner, device)
    signed_in = await passkeys.sign_in(limited, device)
    known = limited.of_device(signed_in["tokens"]["deviceToken"])

    await guess_challenges(limited)

    login = (await known(factors.LOGIN, input=ada.credentials))["login"]
    token = login["challenge"]["token"]
    begun = (await known(passkeys.BEGIN_CHALLENGE, token=token))["beginPasskeyChallenge"]
    given = {"ceremony": begun["ceremony"], "credential": device.get(begun["publicKey"])}
    sent = {"token": token, "answer": {"passkey": given}}
    answered = (await known(factors.ANSWER, input=sent))["answerChallenge"]
    assert answered["__typename"] == "SignedIn"


async def test_a_neighbour_does_not_use_up_the_recovery_codes_of_a_known_device(
    limited: Api, db: Database, ada: Person, clock: FakeClock
) -> None:
    enrolled = await factors.enroll(limited, db, ada, clock)
    token = await enrolled.challenge(limited)
    signed_in = await factors.answer(limited, token, totp=enrolled.app.next_code())
    known = limited.of_device(signed_in["tokens"]["deviceToken"])

    await guess_challenges(limited)

    assert await enrolled.enter(known, recoveryCode=enrolled.codes[0]) == "SignedIn"
