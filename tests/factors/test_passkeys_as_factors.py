"""Passkeys as an answer to a challenge and to a step-up; and listing, renaming, removing them."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from app.testing.outbox import Outbox
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.authenticator import Enrolled
from tests.support.passkeys import Json, SoftwareAuthenticator, encode

Deliver = Callable[[], Awaitable[None]]
REFUSED = {
    "__typename": "PasskeyRefused",
    "message": "This passkey was not accepted. Try again, or choose another way.",
}
SESSIONS = text("SELECT id FROM sessions WHERE ended_at IS NULL ORDER BY id")
RENAME = """
mutation ($id: ID!, $name: String!) { renamePasskey(input: {passkeyId: $id, name: $name}) {
  __typename
  ... on UserChanged { user { factors { id ... on Passkey { name } } } }
  ... on InvalidInput { issues { path code } }
} }
"""
ACCEPTED = """
query ($id: ID!) {
  node(id: $id) { ... on User { acceptedPasskeys { rpId userId allAcceptedCredentialIds } } }
}
"""
NODE = "query ($id: ID!) { node(id: $id) { id ... on Passkey { name } } }"


@pytest.fixture
async def device(owner: Api) -> SoftwareAuthenticator:
    """An authenticator with a passkey of Ada."""
    made = SoftwareAuthenticator()
    await passkeys.register(owner, made, name="Ada's key")
    return made


async def challenge(guest: Api, person: Person) -> Json:
    return (await guest(factors.LOGIN, input=person.credentials))["login"]["challenge"]


async def begin(guest: Api, token: str) -> Json:
    return (await guest(passkeys.BEGIN_CHALLENGE, token=token))["beginPasskeyChallenge"]


async def answer(guest: Api, token: str, begun: Json, credential: Json) -> Json:
    given = {"passkey": {"ceremony": begun["ceremony"], "credential": credential}}
    sent = {"token": token, "answer": given}
    return (await guest(factors.ANSWER, input=sent))["answerChallenge"]


async def begin_step_up(client: Api) -> Json:
    return (await client(passkeys.BEGIN_STEP_UP))["beginPasskeyStepUp"]


async def step_up(client: Api, begun: Json, credential: Json) -> Json:
    given = {"passkey": {"ceremony": begun["ceremony"], "credential": credential}}
    return (await client(factors.STEP_UP, answer=given))["stepUp"]


async def id_of(client: Api) -> str:
    return (await client(factors.FACTORS))["me"]["factors"][0]["id"]


class TestAChallenge:
    async def test_names_the_strongest_method_first(self, api: Api, enrolled: Enrolled) -> None:
        await passkeys.register(enrolled.session, SoftwareAuthenticator())

        asked = await challenge(api, enrolled.person)

        assert asked["methods"] == ["PASSKEY", "TOTP", "RECOVERY_CODE"]

    async def test_asks_for_the_passkeys_of_the_account(
        self, api: Api, ada: Person, device: SoftwareAuthenticator
    ) -> None:
        token = (await challenge(api, ada))["token"]

        options = (await begin(api, token))["publicKey"]

        assert options["allowCredentials"] == [
            {
                "type": "public-key",
                "id": encode(device.credentials[0].id),
                "transports": ["hybrid", "internal"],
            }
        ]
        assert options["userVerification"] == "required"

    async def test_is_not_used_up_by_a_passkey_that_is_refused(
        self, api: Api, ada: Person, device: SoftwareAuthenticator, db: Database
    ) -> None:
        token, before = (await challenge(api, ada))["token"], await db.rows(SESSIONS)
        begun = await begin(api, token)
        device.origin = "https://evil.example"
        refused = await answer(api, token, begun, device.get(begun["publicKey"]))
        device.origin = passkeys.ORIGIN
        used_up = await answer(api, token, begun, device.get(begun["publicKey"]))

        assert refused == used_up == REFUSED
        assert await db.rows(SESSIONS) == before
        assert (await factors.events(db))[-2:] == [("factor.refused", {"method": "PASSKEY"})] * 2
        again = await begin(api, token)
        signed_in = await answer(api, token, again, device.get(again["publicKey"]))
        assert signed_in["session"]["methods"] == ["PASSWORD", "PASSKEY"]

    async def test_repeated_by_the_same_client_returns_the_same_session(
        self, api: Api, ada: Person, device: SoftwareAuthenticator, db: Database
    ) -> None:
        token = (await challenge(api, ada))["token"]
        begun = await begin(api, token)
        credential = device.get(begun["publicKey"])
        first = await answer(api, token, begun, credential)
        before = await db.rows(SESSIONS)

        again = await answer(api, token, begun, credential)
        other = await answer(api.of_program("another"), token, begun, credential)

        assert again["session"] == first["session"]
        assert other["__typename"] == "ChallengeExpired"
        assert await db.rows(SESSIONS) == before

    @pytest.mark.parametrize("of", ["sign_in", "step_up", "another_challenge"])
    async def test_is_not_answered_with_a_ceremony_for_something_else(
        self,
        api: Api,
        owner: Api,
        ada: Person,
        device: SoftwareAuthenticator,
        db: Database,
        of: str,
    ) -> None:
        token, other = (await challenge(api, ada))["token"], (await challenge(api, ada))["token"]
        begun = {
            "sign_in": passkeys.begin_sign_in(api),
            "step_up": begin_step_up(owner),
            "another_challenge": begin(api, other),
        }
        asked = {name: await each for name, each in begun.items()}[of]
        before = await db.rows(SESSIONS)

        refused = await answer(api, token, asked, device.get(asked["publicKey"]))

        assert refused == REFUSED
        assert await db.rows(SESSIONS) == before

    async def test_is_not_answered_with_the_passkey_of_another_account(
        self, api: Api, ada: Person, device: SoftwareAuthenticator, db: Database
    ) -> None:
        eve = await api.register(Person("eve@example.com", "an apple a day 42"))
        await factors.verify(db, eve)
        stranger = SoftwareAuthenticator()
        await passkeys.register(await api.login(eve), stranger)
        token, before = (await challenge(api, ada))["token"], await db.rows(SESSIONS)
        begun = await begin(api, token)
        credential = stranger.get(begun["publicKey"], stranger.credentials[0])

        assert device.credentials
        assert await answer(api, token, begun, credential) == REFUSED
        assert await db.rows(SESSIONS) == before

    async def test_that_is_unknown_or_used_gives_no_options(
        self, api: Api, ada: Person, device: SoftwareAuthenticator
    ) -> None:
        token = (await challenge(api, ada))["token"]
        begun = await begin(api, token)
        await answer(api, token, begun, device.get(begun["publicKey"]))

        assert await begin(api, token) == {"__typename": "ChallengeExpired"}
        assert await begin(api, "poc_" + "x" * 43) == {"__typename": "ChallengeExpired"}

    async def test_ends_when_a_passkey_is_removed(
        self, api: Api, owner: Api, ada: Person, device: SoftwareAuthenticator
    ) -> None:
        token = (await challenge(api, ada))["token"]
        begun = await begin(api, token)
        await owner(factors.REMOVE, id=await id_of(owner))

        answered = await answer(api, token, begun, device.get(begun["publicKey"]))

        assert answered["__typename"] == "ChallengeExpired"


class TestAStepUp:
    async def test_repeated_in_thirty_seconds_changes_nothing(
        self, owner: Api, device: SoftwareAuthenticator, clock: FakeClock, db: Database
    ) -> None:
        clock.pass_(minutes=11)
        begun = await begin_step_up(owner)
        credential = device.get(begun["publicKey"])
        first = await step_up(owner, begun, credential)
        clock.pass_(seconds=29)

        again = await step_up(owner, begun, credential)

        assert first["__typename"] == "SteppedUp"
        assert first["session"]["methods"] == ["PASSWORD", "PASSKEY"]
        assert again == first
        stepped = ("session.stepped_up", {"method": "PASSKEY"})
        assert (await factors.events(db)).count(stepped) == 1
        clock.pass_(seconds=2)
        assert await step_up(owner, begun, credential) == REFUSED

    async def test_of_another_session_is_refused_and_leaves_both_stale(
        self, api: Api, owner: Api, device: SoftwareAuthenticator, clock: FakeClock, db: Database
    ) -> None:
        thief = api.with_tokens(await passkeys.sign_in(api, device))
        clock.pass_(minutes=11)
        begun = await begin_step_up(owner)

        refused = await step_up(thief, begun, device.get(begun["publicKey"]))

        assert refused == REFUSED
        assert (await factors.events(db))[-1] == ("factor.refused", {"method": "PASSKEY"})
        for client in (owner, thief):
            assert await client(factors.RENEW) == {"renewRecoveryCodes": None}
            assert client.last_code == "STEP_UP_REQUIRED"

    async def test_with_an_assertion_of_a_sign_in_is_refused(
        self, api: Api, owner: Api, device: SoftwareAuthenticator, clock: FakeClock
    ) -> None:
        clock.pass_(minutes=11)
        begun = await passkeys.begin_sign_in(api)

        assert await step_up(owner, begun, device.get(begun["publicKey"])) == REFUSED

    async def test_refused_more_often_than_codes_may_be_does_not_end_the_session(
        self, owner: Api, device: SoftwareAuthenticator
    ) -> None:
        for _ in range(12):
            assert await step_up(owner, {"ceremony": "x"}, {}) == REFUSED
        begun = await begin_step_up(owner)

        assert (await step_up(owner, begun, device.get(begun["publicKey"])))["__typename"] == (
            "SteppedUp"
        )

    async def test_with_the_password_alone_is_refused(
        self, owner: Api, ada: Person, device: SoftwareAuthenticator
    ) -> None:
        assert device.credentials
        assert await factors.step_up(owner, password=ada.password) == "InvalidCode"


class TestRenaming:
    async def test_is_seen_and_recorded(
        self, owner: Api, device: SoftwareAuthenticator, db: Database
    ) -> None:
        assert device.credentials
        factor_id = await id_of(owner)

        renamed = (await owner(RENAME, id=factor_id, name=" Office "))["renamePasskey"]

        named = [{"id": factor_id, "name": "Office"}]
        assert renamed == {"__typename": "UserChanged", "user": {"factors": named}}
        events = text("SELECT details FROM audit_events WHERE name = 'passkey.renamed'")
        assert await db.rows(events) == [({},)]

    @pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x00b"])
    async def test_to_what_is_no_name_is_refused(
        self, owner: Api, device: SoftwareAuthenticator, db: Database, name: str
    ) -> None:
        assert device.credentials
        factor_id, before = await id_of(owner), await contents(db)

        renamed = (await owner(RENAME, id=factor_id, name=name))["renamePasskey"]

        assert renamed["__typename"] == "InvalidInput"
        assert [each["path"] for each in renamed["issues"]] == [["name"]]
        assert await contents(db) == before

    async def test_of_the_passkey_of_another_user_is_not_possible(
        self, api: Api, owner: Api, device: SoftwareAuthenticator, grace: Person, db: Database
    ) -> None:
        assert device.credentials
        admin, factor_id = await api.login(grace), await id_of(owner)
        before = await contents(db)

        renamed = (await admin(RENAME, id=factor_id, name="Mine"))["renamePasskey"]

        assert renamed == {"__typename": "NotFound"}
        assert await contents(db) == before

    async def test_of_an_app_is_not_possible(self, enrolled: Enrolled, db: Database) -> None:
        before = await contents(db)
        as_passkey = enrolled.factor_id.replace("TotpFactor_", "Passkey_")

        renamed = (await enrolled.session(RENAME, id=as_passkey, name="App"))["renamePasskey"]

        assert renamed == {"__typename": "NotFound"}
        assert await enrolled.session(RENAME, id=enrolled.factor_id, name="App") == {
            "renamePasskey": None
        }
        assert enrolled.session.last_code == "BAD_USER_INPUT"
        assert await contents(db) == before


class TestRemoving:
    async def test_takes_the_codes_with_the_last_one_and_names_it_in_an_email(
        self,
        owner: Api,
        device: SoftwareAuthenticator,
        db: Database,
        outbox: Outbox,
        deliver: Deliver,
    ) -> None:
        assert device.credentials

        removed = (await owner(factors.REMOVE, id=await id_of(owner)))["removeFactor"]
        await deliver()

        assert removed["user"] == {"factors": [], "recoveryCodesLeft": 0}
        assert (await factors.events(db))[-1] == ("factor.removed", {"kind": "PASSKEY"})
        assert "Ada's key" in outbox.messages[-1].text
        assert await db.rows(text("SELECT 1 FROM passkeys")) == []

    async def test_keeps_the_codes_while_another_is_left(self, enrolled: Enrolled) -> None:
        await passkeys.register(enrolled.session, SoftwareAuthenticator())

        removed = await enrolled.session(factors.REMOVE, id=enrolled.factor_id)

        assert removed["removeFactor"]["user"]["recoveryCodesLeft"] == 10

    async def test_the_last_way_in_is_refused(
        self, owner: Api, device: SoftwareAuthenticator, db: Database
    ) -> None:
        assert device.credentials
        factor_id = await id_of(owner)
        # As an undone change of the address leaves it.
        async with db.begin() as session:
            await session.execute(text("UPDATE users SET password_hash = NULL"))
        before = await contents(db)

        refused = (await owner(factors.REMOVE, id=factor_id))["removeFactor"]

        assert refused == {"__typename": "LastWayIn"}
        changed = {name for name, rows in (await contents(db)).items() if rows != before.get(name)}
        assert changed <= {"budgets"}
        await passkeys.register(owner, SoftwareAuthenticator())
        removed = (await owner(factors.REMOVE, id=factor_id))["removeFactor"]
        assert removed["__typename"] == "UserChanged"

    async def test_an_app_of_somebody_without_a_password_is_possible(
        self, enrolled: Enrolled, db: Database
    ) -> None:
        """Codes alone never sign in."""
        async with db.begin() as session:
            await session.execute(text("UPDATE users SET password_hash = NULL"))

        removed = (await enrolled.session(factors.REMOVE, id=enrolled.factor_id))["removeFactor"]

        assert removed["__typename"] == "UserChanged"


class TestWhoSees:
    @pytest.mark.parametrize("by", ["owner", "admin", "guest"])
    async def test_what_browsers_are_told_and_the_passkey(
        self,
        api: Api,
        owner: Api,
        ada: Person,
        grace: Person,
        device: SoftwareAuthenticator,
        by: str,
    ) -> None:
        factor_id = await id_of(owner)
        client = {"owner": owner, "admin": await api.login(grace), "guest": api}[by]

        user = (await client(ACCEPTED, id=ada.id))["node"]
        node = (await client(NODE, id=factor_id))["node"]

        credential = device.credentials[0]
        accepted: Any = {
            "rpId": "localhost",
            "userId": encode(credential.user_handle),
            "allAcceptedCredentialIds": [encode(credential.id)],
        }
        passkey = {"id": factor_id, "name": "Ada's key"}
        assert (user, node) == {
            "owner": ({"acceptedPasskeys": accepted}, passkey),
            "admin": ({"acceptedPasskeys": None}, passkey),
            "guest": (None, None),
        }[by]

    async def test_nothing_of_who_has_never_begun_to_register(
        self, owner: Api, ada: Person
    ) -> None:
        assert (await owner(ACCEPTED, id=ada.id))["node"] == {"acceptedPasskeys": None}

    async def test_that_none_is_left_after_the_last_was_removed(
        self, owner: Api, ada: Person, device: SoftwareAuthenticator
    ) -> None:
        assert device.credentials
        await owner(factors.REMOVE, id=await id_of(owner))

        accepted = (await owner(ACCEPTED, id=ada.id))["node"]["acceptedPasskeys"]

        assert accepted["allAcceptedCredentialIds"] == []
