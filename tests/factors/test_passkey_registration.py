"""Registering passkeys: what browsers are asked for, what is refused, and what follows."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

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
from tests.support.passkeys import Json, SoftwareAuthenticator, decode

Deliver = Callable[[], Awaitable[None]]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
BITWARDEN = UUID("d548826e-79b4-db40-a3d8-11116f7e8349").bytes
FACTORS = "{ me { factors { id ... on Passkey { name isBackedUp } } recoveryCodesLeft } }"
MANY = text(
    "WITH made AS (INSERT INTO factors (id, user_id, kind, created_at)"
    " SELECT gen_random_uuid(), users.id, 'PASSKEY', now() FROM users, generate_series(1, :n)"
    " WHERE email = :email RETURNING id, user_id)"
    " INSERT INTO passkeys SELECT id, user_id, uuid_send(id), '', 0, 'one', '', true, true, '{}',"
    " 'localhost' FROM made"
)


async def begin(client: Api) -> Json:
    return (await client(passkeys.BEGIN_REGISTRATION))["beginPasskeyRegistration"]


async def finish(client: Api, begun: Json, created: Json, **given: str) -> Json:
    sent = {"ceremony": begun["ceremony"], "credential": created, **given}
    return (await client(passkeys.FINISH_REGISTRATION, input=sent))["finishPasskeyRegistration"]


async def add_passkeys(db: Database, person: Person, number: int) -> None:
    async with db.begin() as session:
        await session.execute(MANY, {"email": person.email, "n": number})


async def factors_of(client: Api) -> Any:
    return (await client(FACTORS))["me"]["factors"]


class TestTheOptions:
    async def test_are_all_that_the_browser_needs(self, owner: Api, ada: Person) -> None:
        device = SoftwareAuthenticator()
        await passkeys.register(owner, device)

        options = (await begin(owner))["publicKey"]

        assert len(decode(options.pop("challenge"))) == 32
        handle = options["user"].pop("id")
        assert len(decode(handle)) == 32
        assert options == {
            "rp": {"id": "localhost", "name": "Portico"},
            "user": {"name": ada.email, "displayName": ada.name or ada.email},
            "pubKeyCredParams": [
                {"type": "public-key", "alg": -8},
                {"type": "public-key", "alg": -7},
                {"type": "public-key", "alg": -257},
            ],
            "timeout": 270_000,
            "excludeCredentials": [
                {
                    "type": "public-key",
                    "id": passkeys.encode(device.credentials[0].id),
                    "transports": ["hybrid", "internal"],
                }
            ],
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": True,
                "userVerification": "required",
            },
            "attestation": "none",
        }

    async def test_have_a_handle_that_is_stable_and_says_nothing(
        self, api: Api, owner: Api, ada: Person, db: Database
    ) -> None:
        first, again = await begin(owner), await begin(await api.login(ada))
        await passkeys.register(owner, SoftwareAuthenticator())
        later = await begin(owner)
        eve = await api.register(Person("eve@example.com", "an apple a day 42"))
        await factors.verify(db, eve)
        other = await begin(await api.login(eve))

        handles = [each["publicKey"]["user"]["id"] for each in (first, again, later, other)]
        assert len(set(handles[:3])) == 1
        assert handles[3] != handles[0]
        handle = decode(handles[0])
        assert UUID(ada.id.removeprefix("User_")).bytes not in handle
        assert ada.email.encode() not in handle
        challenges = {each["publicKey"]["challenge"] for each in (first, again, later, other)}
        assert len(challenges) == 4

    async def test_are_for_verified_addresses(self, api: Api, ada: Person, db: Database) -> None:
        laptop = await api.login(ada)
        before = await contents(db)

        assert await begin(laptop) is None

        assert laptop.last_code == "EMAIL_NOT_VERIFIED"
        assert await contents(db) == before

    async def test_are_for_fresh_sessions(self, owner: Api, clock: FakeClock, db: Database) -> None:
        clock.pass_(minutes=10)
        before = await contents(db)

        assert await begin(owner) is None

        assert owner.last_code == "STEP_UP_REQUIRED"
        assert await contents(db) == before


class TestTheNumber:
    async def test_is_at_most_twenty(self, owner: Api, ada: Person, db: Database) -> None:
        await passkeys.register(owner, SoftwareAuthenticator())
        await add_passkeys(db, ada, 18)
        begun = [await begin(owner) for _ in range(2)]
        created = [SoftwareAuthenticator().create(each["publicKey"]) for each in begun]

        last = await finish(owner, begun[0], created[0])
        # Begun when there was room.
        refused = await finish(owner, begun[1], created[1])

        assert last["__typename"] == "FactorAdded"
        assert (refused, owner.last_code) == (None, "LIMIT_REACHED")
        assert await begin(owner) is None
        assert owner.last_code == "LIMIT_REACHED"
        assert len(await factors_of(owner)) == 20
        await owner(factors.REMOVE, id=last["factor"]["id"])
        # A refusal that is an error has not used the ceremony up.
        assert (await finish(owner, begun[1], created[1]))["__typename"] == "FactorAdded"


class TestTheName:
    @pytest.mark.parametrize(
        ("given", "aaguid", "program", "expected"),
        [
            ({"name": " My key "}, BITWARDEN, FIREFOX, "My key"),
            ({}, BITWARDEN, FIREFOX, "Bitwarden"),
            ({"name": ""}, BITWARDEN, FIREFOX, "Bitwarden"),
            ({}, bytes(16), FIREFOX, "Firefox on Linux"),
            ({}, bytes(16), "curl/8", "Passkey"),
        ],
    )
    async def test_is_that_of_the_person_or_the_model_or_the_browser(
        self, owner: Api, given: dict[str, str], aaguid: bytes, program: str, expected: str
    ) -> None:
        owner.user_agent = program

        added = await passkeys.register(owner, SoftwareAuthenticator(aaguid=aaguid), **given)

        assert added["factor"]["name"] == expected
        assert await factors_of(owner) == [added["factor"]]

    @pytest.mark.parametrize("name", ["x" * 101, "a\nb"])
    async def test_is_refused_without_using_the_ceremony_up(
        self, owner: Api, db: Database, name: str
    ) -> None:
        begun, device = await begin(owner), SoftwareAuthenticator()
        created = device.create(begun["publicKey"])
        before = await contents(db)

        refused = await finish(owner, begun, created, name=name)

        assert refused["__typename"] == "InvalidInput"
        assert [each["path"] for each in refused["issues"]] == [["name"]]
        assert await contents(db) == before
        assert (await finish(owner, begun, created))["__typename"] == "FactorAdded"


class TestTheFirstFactor:
    async def test_brings_recovery_codes_an_event_and_an_email(
        self, owner: Api, ada: Person, db: Database, outbox: Outbox, deliver: Deliver
    ) -> None:
        added = await passkeys.register(owner, SoftwareAuthenticator(), name="Ada's phone")
        await deliver()

        assert len(set(added["recoveryCodes"])) == 10
        assert await factors.events(db) == [("factor.added", {"kind": "PASSKEY"})]
        assert outbox.subjects == [(ada.email, "A passkey was added to your account")]
        assert "Its name: Ada's phone" in " ".join(outbox.messages[0].text.split())

    async def test_is_the_first_of_any_kind(self, enrolled: Enrolled) -> None:
        added = await passkeys.register(enrolled.session, SoftwareAuthenticator())

        assert added["recoveryCodes"] is None
        state = (await enrolled.session(FACTORS))["me"]
        assert [each["id"] for each in state["factors"]] == [
            enrolled.factor_id,
            added["factor"]["id"],
        ]
        assert state["recoveryCodesLeft"] == 10

    async def test_makes_a_later_app_bring_none(self, owner: Api, clock: FakeClock) -> None:
        await passkeys.register(owner, SoftwareAuthenticator())
        app = await factors.begin(owner, clock)

        added = (await owner(factors.CONFIRM, code=app.code()))["confirmTotpEnrollment"]

        assert (added["__typename"], added["recoveryCodes"]) == ("FactorAdded", None)

    async def test_makes_other_sessions_stale_and_this_one_fresh(
        self, api: Api, owner: Api, ada: Person, clock: FakeClock
    ) -> None:
        other = await api.login(ada)
        pending = await factors.begin(other, clock)
        clock.pass_(minutes=9)
        await passkeys.register(owner, SoftwareAuthenticator())
        clock.pass_(minutes=5)

        assert await other(factors.RENEW) == {"renewRecoveryCodes": None}
        assert other.last_code == "STEP_UP_REQUIRED"
        confirmed = (await other(factors.CONFIRM, code=pending.code()))["confirmTotpEnrollment"]
        assert confirmed["__typename"] == "ChallengeExpired"
        assert (await owner(factors.RENEW))["renewRecoveryCodes"]

    async def test_ends_a_registration_that_another_session_has_begun(
        self, api: Api, owner: Api, ada: Person
    ) -> None:
        thief = await api.login(ada)
        begun, device = await begin(thief), SoftwareAuthenticator()
        created = device.create(begun["publicKey"])
        added = await passkeys.register(owner, SoftwareAuthenticator())

        assert await finish(thief, begun, created) is None

        assert thief.last_code == "STEP_UP_REQUIRED"
        assert [each["id"] for each in await factors_of(owner)] == [added["factor"]["id"]]


class TestTheCeremony:
    async def test_repeated_in_thirty_seconds_returns_the_same_without_codes(
        self, owner: Api, db: Database, clock: FakeClock
    ) -> None:
        begun, device = await begin(owner), SoftwareAuthenticator()
        created = device.create(begun["publicKey"])
        added = await finish(owner, begun, created)
        before = await contents(db)
        clock.pass_(seconds=29)

        again = await finish(owner, begun, created)

        assert again == {**added, "recoveryCodes": None}
        after = await contents(db)
        assert (after["factors"], after["recovery_codes"]) == (
            before["factors"],
            before["recovery_codes"],
        )
        clock.pass_(seconds=2)
        assert (await finish(owner, begun, created))["__typename"] == "PasskeyRefused"

    async def test_works_once_also_if_it_was_refused(self, owner: Api) -> None:
        begun, device = await begin(owner), SoftwareAuthenticator(origin="https://evil.example")
        assert (await finish(owner, begun, device.create(begun["publicKey"])))["__typename"] == (
            "PasskeyRefused"
        )

        good = SoftwareAuthenticator().create(begun["publicKey"])

        assert (await finish(owner, begun, good))["__typename"] == "PasskeyRefused"
        assert await factors_of(owner) == []

    async def test_expires_after_five_minutes(self, owner: Api, clock: FakeClock) -> None:
        first, second = await begin(owner), await begin(owner)
        created = [SoftwareAuthenticator().create(each["publicKey"]) for each in (first, second)]
        clock.pass_(minutes=4, seconds=58)
        in_time = await finish(owner, first, created[0])
        clock.pass_(seconds=3)

        late = await finish(owner, second, created[1])

        assert in_time["__typename"] == "FactorAdded"
        assert late["__typename"] == "PasskeyRefused"

    async def test_is_of_one_session_and_of_one_purpose(
        self, api: Api, owner: Api, ada: Person
    ) -> None:
        other = await api.login(ada)
        begun = await begin(owner)
        created = SoftwareAuthenticator().create(begun["publicKey"])
        foreign = await finish(other, begun, created)

        asked = (await owner(passkeys.BEGIN_STEP_UP))["beginPasskeyStepUp"]
        options = {**begun["publicKey"], "challenge": asked["publicKey"]["challenge"]}
        other_purpose = await finish(owner, asked, SoftwareAuthenticator().create(options))

        assert foreign["__typename"] == other_purpose["__typename"] == "PasskeyRefused"
        assert await factors_of(owner) == []


class TestTheSamePasskey:
    async def test_is_not_registered_twice(self, owner: Api, db: Database) -> None:
        device = SoftwareAuthenticator()
        added = await passkeys.register(owner, device)
        begun, credential = await begin(owner), device.credentials[0]
        before = await contents(db)

        refused = await finish(owner, begun, attested(device, credential, begun))

        assert refused["__typename"] == "PasskeyRefused"
        assert await factors_of(owner) == [added["factor"]]
        after = await contents(db)
        changed = {table for table in after if after[table] != before.get(table)}
        assert changed <= {"used_ceremonies", "budgets", "sessions"}

    async def test_is_of_one_account(self, api: Api, owner: Api, db: Database) -> None:
        device = SoftwareAuthenticator()
        await passkeys.register(owner, device)
        eve = await api.register(Person("eve@example.com", "an apple a day 42"))
        await factors.verify(db, eve)
        thief = await api.login(eve)
        begun = await begin(thief)

        refused = await finish(thief, begun, attested(device, device.credentials[0], begun))

        assert refused["__typename"] == "PasskeyRefused"
        assert await factors_of(thief) == []
        assert (await passkeys.sign_in(api, device))["user"] == {"email": "ada@example.com"}


def attested(device: SoftwareAuthenticator, credential: passkeys.Credential, begun: Json) -> Json:
    """Attest a passkey that exists, as no honest authenticator does."""
    named = device.aaguid + len(credential.id).to_bytes(2, "big") + credential.id
    data = device.data(credential, passkeys.ATTESTED) + named + credential.cose_key
    client_data = device.client("create", begun["publicKey"]["challenge"])
    return device.attestation(credential, data, client_data)


async def test_repeating_a_registration_with_the_id_of_another_account_shows_nothing_of_it(
    api: Api, owner: Api, db: Database, grace: Person
) -> None:
    await factors.verify(db, grace)
    theirs = SoftwareAuthenticator()
    await passkeys.register(await api.login(grace), theirs, name="Grace's key")
    begun, device = await begin(owner), SoftwareAuthenticator()
    created = device.create(begun["publicKey"])
    assert (await finish(owner, begun, created))["__typename"] == "FactorAdded"

    name = passkeys.encode(theirs.credentials[0].id)
    refused = await finish(owner, begun, {**created, "id": name, "rawId": name})

    assert refused["__typename"] == "PasskeyRefused"
    assert len(await factors_of(owner)) == 1
