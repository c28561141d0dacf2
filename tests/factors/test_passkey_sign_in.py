"""Signing in with a passkey: for whom it starts a session, once, and what tokens say of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.factors.services.passkey_proofs import PasskeyProofs
from app.main import create_app
from app.settings import Settings
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from tests.factors.model.actors import (
    REINSTATE,
    RESET_FACTORS,
    SUSPEND,
)
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.authenticator import Enrolled
from tests.support.passkeys import PRESENT, USUAL, VERIFIED, SoftwareAuthenticator

Deliver = Callable[[], Awaitable[None]]
REFUSED = {
    "__typename": "PasskeyRefused",
    "message": "This passkey was not accepted. Try again, or choose another way.",
}
SESSIONS = text("SELECT id FROM sessions ORDER BY id")
COPIES = text("SELECT details FROM audit_events WHERE name = 'passkey.copied'")
USED = "{ me { factors { lastUsedAt } } }"
WITH_COOKIE = """
mutation ($input: SignInWithPasskeyInput!) { signInWithPasskey(input: $input) {
  __typename ... on SignedIn { tokens { accessToken refreshToken } }
} }
"""


@pytest.fixture
async def device(owner: Api) -> SoftwareAuthenticator:
    """An authenticator with a passkey of Ada, which counts."""
    made = SoftwareAuthenticator(counts=True)
    assert (await passkeys.register(owner, made, name="Ada's key"))["__typename"] == "FactorAdded"
    return made


def claims(signed_in: dict[str, Any]) -> dict[str, Any]:
    token = signed_in["tokens"]["accessToken"]
    found = jwt.decode(token, options={"verify_signature": False})
    return {name: found[name] for name in ("amr", "acr")}


@pytest.mark.parametrize(
    ("flags", "key"), [(USUAL, "swk"), (PRESENT | VERIFIED, "hwk")], ids=["synced", "hardware"]
)
async def test_tokens_say_that_a_key_was_used_and_count_it_as_two_factors(
    api: Api, owner: Api, flags: int, key: str
) -> None:
    device = SoftwareAuthenticator(flags=flags)
    await passkeys.register(owner, device)

    signed_in = await passkeys.sign_in(api, device)

    assert claims(signed_in) == {"amr": [key, "user", "mfa"], "acr": "aal2"}
    # It is fresh, and may do what needs the second factor.
    assert (await api.with_tokens(signed_in)(factors.RENEW))["renewRecoveryCodes"]


async def test_it_is_remembered_when_the_passkey_was_used(
    api: Api, owner: Api, device: SoftwareAuthenticator, clock: FakeClock
) -> None:
    before = (await owner(USED))["me"]["factors"][0]["lastUsedAt"]
    clock.pass_(minutes=1)

    await passkeys.sign_in(api, device)

    assert (await owner(USED))["me"]["factors"][0]["lastUsedAt"] > before


async def test_with_delivery_as_a_cookie_the_refresh_token_is_not_in_the_answer(
    api: Api, device: SoftwareAuthenticator
) -> None:
    begun = await passkeys.begin_sign_in(api)
    given = {
        "ceremony": begun["ceremony"],
        "credential": device.get(begun["publicKey"]),
        "delivery": "COOKIE",
    }

    signed_in = (await api(WITH_COOKIE, input=given))["signInWithPasskey"]

    assert signed_in["__typename"] == "SignedIn"
    assert signed_in["tokens"]["refreshToken"] is None
    assert api.last is not None
    assert "HttpOnly" in api.last.headers["set-cookie"]


class TestTheCeremony:
    async def test_names_no_account(self, api: Api, device: SoftwareAuthenticator) -> None:
        assert device.credentials

        options = (await passkeys.begin_sign_in(api))["publicKey"]

        assert len(passkeys.decode(options.pop("challenge"))) == 32
        assert options == {
            "timeout": 270_000,
            "rpId": "localhost",
            "allowCredentials": [],
            "userVerification": "required",
        }

    async def test_repeated_by_the_same_client_returns_the_same_session(
        self, api: Api, device: SoftwareAuthenticator, db: Database
    ) -> None:
        begun = await passkeys.begin_sign_in(api)
        answer = device.get(begun["publicKey"])
        first = await passkeys.finish_sign_in(api, begun["ceremony"], answer)
        before = await db.rows(SESSIONS)

        again = await passkeys.finish_sign_in(api, begun["ceremony"], answer)

        assert again["session"] == first["session"]
        assert await db.rows(SESSIONS) == before

    async def test_repeated_by_another_client_is_refused(
        self, api: Api, device: SoftwareAuthenticator, db: Database
    ) -> None:
        begun = await passkeys.begin_sign_in(api)
        answer = device.get(begun["publicKey"])
        await passkeys.finish_sign_in(api, begun["ceremony"], answer)
        before = await db.rows(SESSIONS)

        thief = api.of_program("another browser")

        assert await passkeys.finish_sign_in(thief, begun["ceremony"], answer) == REFUSED
        assert await db.rows(SESSIONS) == before

    async def test_repeated_later_in_a_used_session_is_refused(
        self, api: Api, device: SoftwareAuthenticator, clock: FakeClock, db: Database
    ) -> None:
        begun = await passkeys.begin_sign_in(api)
        answer = device.get(begun["publicKey"])
        first = await passkeys.finish_sign_in(api, begun["ceremony"], answer)
        await api.with_tokens(first)(ME)
        refresh = 'mutation { refreshSession(input: {refreshToken: "%s"}) { __typename } }'
        await api(refresh % first["tokens"]["refreshToken"])
        before = await db.rows(SESSIONS)
        clock.pass_(seconds=31)

        assert await passkeys.finish_sign_in(api, begun["ceremony"], answer) == REFUSED
        assert await db.rows(SESSIONS) == before

    async def test_works_once_with_another_signature_too(
        self, api: Api, device: SoftwareAuthenticator, db: Database
    ) -> None:
        begun = await passkeys.begin_sign_in(api)
        await passkeys.finish_sign_in(api, begun["ceremony"], device.get(begun["publicKey"]))
        before = await db.rows(SESSIONS)
        newer = device.get(begun["publicKey"])

        assert await passkeys.finish_sign_in(api, begun["ceremony"], newer) == REFUSED
        assert await db.rows(SESSIONS) == before

    async def test_is_used_up_by_a_refusal(
        self, api: Api, device: SoftwareAuthenticator, db: Database
    ) -> None:
        begun = await passkeys.begin_sign_in(api)
        before = await db.rows(SESSIONS)
        assert await passkeys.finish_sign_in(api, begun["ceremony"], {}) == REFUSED

        good = device.get(begun["publicKey"])

        assert await passkeys.finish_sign_in(api, begun["ceremony"], good) == REFUSED
        assert await db.rows(SESSIONS) == before

    async def test_expires_after_five_minutes(
        self, api: Api, device: SoftwareAuthenticator, clock: FakeClock
    ) -> None:
        begun = await passkeys.begin_sign_in(api)
        clock.pass_(minutes=5)

        answer = device.get(begun["publicKey"])

        assert await passkeys.finish_sign_in(api, begun["ceremony"], answer) == REFUSED

    async def test_of_a_step_up_signs_nobody_in(
        self, api: Api, owner: Api, device: SoftwareAuthenticator
    ) -> None:
        begun = (await owner(passkeys.BEGIN_STEP_UP))["beginPasskeyStepUp"]

        answer = device.get(begun["publicKey"])

        assert await passkeys.finish_sign_in(api, begun["ceremony"], answer) == REFUSED


class TestTheAccount:
    async def test_is_refused_while_it_is_suspended(
        self, api: Api, ada: Person, grace: Person, device: SoftwareAuthenticator, db: Database
    ) -> None:
        admin = await api.login(grace)
        await admin(SUSPEND, input={"userId": ada.id, "reason": "fraud"})
        before = await db.rows(SESSIONS)

        refused = await passkeys.sign_in(api, device)

        assert refused == REFUSED
        assert await db.rows(SESSIONS) == before
        await admin(REINSTATE, input={"userId": ada.id})
        assert (await passkeys.sign_in(api, device))["__typename"] == "SignedIn"

    async def test_is_refused_while_its_address_has_to_be_verified(
        self, settings: Settings, clock: FakeClock, device: SoftwareAuthenticator, db: Database
    ) -> None:
        async with db.begin() as session:
            await session.execute(text("UPDATE users SET email_verified = false"))
        strict = create_app(
            settings.model_copy(update={"email_verification": "required"}), clock, Outbox()
        )

        async with strict.router.lifespan_context(strict), Api.of(strict) as guest:
            refused = await passkeys.sign_in(guest, device)

        assert refused == REFUSED

    async def test_is_unknown_after_it_was_deleted(
        self, api: Api, device: SoftwareAuthenticator, db: Database
    ) -> None:
        async with db.begin() as session:
            await session.execute(text("DELETE FROM users WHERE email = 'ada@example.com'"))

        assert await passkeys.sign_in(api, device) == REFUSED
        assert await db.rows(SESSIONS) == []

    async def test_is_not_signed_in_to_with_a_passkey_that_was_removed(
        self, api: Api, owner: Api, device: SoftwareAuthenticator, db: Database
    ) -> None:
        begun = await passkeys.begin_sign_in(api)
        [factor] = (await owner(factors.FACTORS))["me"]["factors"]
        await owner(factors.REMOVE, id=factor["id"])
        before = await db.rows(SESSIONS)

        answer = device.get(begun["publicKey"])

        assert await passkeys.finish_sign_in(api, begun["ceremony"], answer) == REFUSED
        assert await db.rows(SESSIONS) == before

    async def test_is_not_signed_in_to_after_an_administrator_has_removed_the_factors(
        self, api: Api, ada: Person, grace: Person, device: SoftwareAuthenticator, db: Database
    ) -> None:
        admin = await api.login(grace)
        await admin(RESET_FACTORS, input={"userId": ada.id, "reason": "lost the key"})

        assert await passkeys.sign_in(api, device) == REFUSED
        assert await db.rows(text("SELECT 1 FROM passkeys")) == []
        assert (await api.login(ada)).access_token


class TestTheCounter:
    async def test_may_always_be_zero(self, api: Api, owner: Api) -> None:
        device = SoftwareAuthenticator()
        await passkeys.register(owner, device)

        answers = [await passkeys.sign_in(api, device) for _ in range(2)]

        assert [each["__typename"] for each in answers] == ["SignedIn"] * 2

    @pytest.mark.parametrize("back", [0, 1, 2])
    async def test_that_does_not_grow_is_refused_as_a_copy(
        self,
        api: Api,
        device: SoftwareAuthenticator,
        db: Database,
        outbox: Outbox,
        deliver: Deliver,
        back: int,
    ) -> None:
        for _ in range(3):
            assert (await passkeys.sign_in(api, device))["__typename"] == "SignedIn"
        before = await db.rows(SESSIONS)
        device.credentials[0].counter -= back + 1
        begun = await passkeys.begin_sign_in(api)
        answer = device.get(begun["publicKey"])

        refused = await passkeys.finish_sign_in(api, begun["ceremony"], answer)
        await deliver()

        assert refused == REFUSED
        assert await db.rows(SESSIONS) == before
        assert await db.rows(COPIES) == [({},)]
        told = [each for each in outbox.messages if "Ada's key" in each.text]
        assert told[-1].to == "ada@example.com"
        assert told[-1].subject not in {each.subject for each in told[:-1]}
        device.credentials[0].counter += 10
        good = device.get(begun["publicKey"])
        assert await passkeys.finish_sign_in(api, begun["ceremony"], good) == REFUSED
        # With what counts on it still works, but not alone, and no more emails are sent.
        alone = await passkeys.sign_in(api, device)
        assert alone["__typename"] == "PasskeyRefused"
        assert "confirm with the passkey" in alone["message"]
        device.credentials[0].counter = 0
        await passkeys.sign_in(api, device)
        messages = [*outbox.messages]
        await deliver()
        assert outbox.messages == messages

    async def test_of_a_passkey_that_was_removed_meanwhile_is_not_that_of_a_copy(
        self,
        api: Api,
        owner: Api,
        db: Database,
        device: SoftwareAuthenticator,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        [factor] = (await owner(factors.FACTORS))["me"]["factors"]
        check = PasskeyProofs.check

        async def check_and_remove(*given: Any) -> Any:
            checked = await check(*given)
            await owner(factors.REMOVE, id=factor["id"])
            return checked

        monkeypatch.setattr(PasskeyProofs, "check", check_and_remove)

        assert await passkeys.sign_in(api, device) == REFUSED

        assert await db.rows(COPIES) == []

    async def test_that_falls_to_zero_is_refused(
        self, api: Api, device: SoftwareAuthenticator, db: Database
    ) -> None:
        await passkeys.sign_in(api, device)
        device.counts = False
        device.credentials[0].counter = 0

        assert await passkeys.sign_in(api, device) == REFUSED
        assert len(await db.rows(COPIES)) == 1


async def test_a_second_factor_of_another_kind_is_not_asked_for(
    api: Api, enrolled: Enrolled, app: FastAPI
) -> None:
    device = SoftwareAuthenticator()
    await passkeys.register(enrolled.session, device)

    async with Api.of(app) as guest:
        signed_in = await passkeys.sign_in(guest, device)

    assert signed_in["session"]["methods"] == ["PASSKEY"]
    assert (await api.with_tokens(signed_in)(ME))["me"] == {"email": enrolled.person.email}
