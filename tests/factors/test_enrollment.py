"""Enrolling an authenticator app, and removing it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.factors.services.enrollment import TotpEnrollments
from app.testing.clients import LOGIN, ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from app.testing.outbox import Outbox
from tests.accounts.test_email_changes import ask, confirm
from tests.accounts.test_password_changes import NEW, REQUEST, change, reset
from tests.support.authenticator import (
    BEGIN,
    CONFIRM,
    FACTORS,
    REMOVE,
    RENEW,
    Enrolled,
    answer,
    begin,
    enroll,
    events,
    step_up,
    verify,
)

Deliver = Callable[[], Awaitable[None]]
COUNTESS = "countess@example.com"
PENDING = text("SELECT session_id FROM totp_enrollments")


@pytest.fixture
async def laptop(api: Api, db: Database, ada: Person) -> Api:
    """A session of Ada, who has proved her address and has no factor."""
    await verify(db, ada)
    return await api.login(ada)


async def confirmed(client: Api, code: str) -> str:
    return (await client(CONFIRM, code=code))["confirmTotpEnrollment"]["__typename"]


async def signs_in_with_a_password(api: Api, person: Person) -> bool:
    data = await api(LOGIN, input=person.credentials)
    return data["login"]["__typename"] == "SignedIn"


async def test_a_secret_and_its_uri_are_shown(laptop: Api, ada: Person, clock: FakeClock) -> None:
    now = clock()

    begun: dict[str, str] = (await laptop(BEGIN))["beginTotpEnrollment"]

    uri = urlsplit(begun["otpauthUri"])
    label = f"/Portico:{ada.email}"
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", label)
    assert parse_qs(uri.query) == {
        "secret": [begun["secret"]],
        "issuer": ["Portico"],
        "algorithm": ["SHA1"],
        "digits": ["6"],
        "period": ["30"],
    }
    # 160 bits in base32.
    assert len(begun["secret"]) == 32
    minutes = (datetime.fromisoformat(begun["expiresAt"]) - now).total_seconds() / 60
    assert 15 <= minutes < 16


async def test_beginning_changes_nothing_for_signing_in(
    api: Api, laptop: Api, ada: Person, clock: FakeClock
) -> None:
    await begin(laptop, clock)

    assert await signs_in_with_a_password(api, ada)
    assert await laptop(FACTORS) == {"me": {"factors": [], "recoveryCodesLeft": 0}}


async def test_a_code_makes_it_a_factor(
    api: Api, laptop: Api, ada: Person, clock: FakeClock
) -> None:
    app = await begin(laptop, clock)

    added = (await laptop(CONFIRM, code=app.code()))["confirmTotpEnrollment"]

    assert added["__typename"] == "FactorAdded"
    assert len(added["recoveryCodes"]) == 10
    assert added["factor"]["createdAt"] == added["factor"]["lastUsedAt"]
    assert (await laptop(FACTORS))["me"]["factors"][0]["id"] == added["factor"]["id"]
    assert not await signs_in_with_a_password(api, ada)


async def test_it_is_an_event_and_an_email(
    laptop: Api, ada: Person, db: Database, clock: FakeClock, outbox: Outbox, deliver: Deliver
) -> None:
    app = await begin(laptop, clock)
    assert await confirmed(laptop, app.code()) == "FactorAdded"
    await deliver()

    assert await events(db) == [("factor.added", {"kind": "TOTP"})]
    assert outbox.subjects == [(ada.email, "A second factor was added to your account")]
    words = " ".join(outbox.messages[0].text.split())
    for sentence in (
        "An authenticator app was added to your account at Portico.",
        "Keep your recovery codes in a safe place",
        "If it was not you, ask for a new password at once, and tell an administrator",
    ):
        assert sentence in words


async def test_a_secret_can_be_confirmed_for_fifteen_minutes(
    api: Api, laptop: Api, ada: Person, clock: FakeClock, app: FastAPI, db: Database
) -> None:
    clock.pass_(minutes=1)
    authenticator = await begin(laptop, clock)
    clock.pass_(minutes=13, seconds=50)
    other = await api.login(ada)
    assert await begin(other, clock)
    clock.pass_(seconds=70)
    # Its access token is as old as the secret.
    refreshed = await refresh(api, laptop)

    assert await confirmed(refreshed, authenticator.code()) == "ChallengeExpired"

    assert await signs_in_with_a_password(api, ada)
    await app.state.portico.services[TotpEnrollments].purge()
    assert [str(each[0].hex) for each in await db.rows(PENDING)] == [hex_of(other.session_id)]


def hex_of(global_id: str | None) -> str:
    return str(global_id).removeprefix("Session_")


async def refresh(api: Api, client: Api) -> Api:
    refresh = """
    mutation ($token: String!) { refreshSession(input: {refreshToken: $token}) {
      ... on SignedIn { session { id } tokens { accessToken refreshToken } }
    } }
    """
    data = await api(refresh, token=client.refresh_token)
    return api.with_tokens(data["refreshSession"])


async def test_just_in_time(api: Api, laptop: Api, clock: FakeClock) -> None:
    app = await begin(laptop, clock)
    clock.pass_(minutes=14, seconds=50)

    assert await confirmed(await refresh(api, laptop), app.code()) == "FactorAdded"


async def test_another_session_cannot_confirm(
    api: Api, laptop: Api, ada: Person, db: Database, clock: FakeClock
) -> None:
    app, thief = await begin(laptop, clock), await api.login(ada)
    before = await contents(db)

    assert await confirmed(thief, app.code()) == "ChallengeExpired"

    assert await contents(db) == before
    assert await confirmed(laptop, app.code()) == "FactorAdded"


async def test_each_session_has_a_secret_of_its_own_and_the_first_code_wins(
    api: Api, laptop: Api, ada: Person, db: Database, clock: FakeClock
) -> None:
    phone = await api.login(ada)
    of_laptop, of_phone = await begin(laptop, clock), await begin(phone, clock)
    assert of_laptop.secret != of_phone.secret

    assert await confirmed(phone, of_phone.code()) == "FactorAdded"

    assert await confirmed(laptop, of_laptop.code()) == "ChallengeExpired"
    assert await db.rows(PENDING) == []


async def test_beginning_again_replaces_the_secret(laptop: Api, clock: FakeClock) -> None:
    former, app = await begin(laptop, clock), await begin(laptop, clock)

    assert await confirmed(laptop, former.code()) == "InvalidCode"
    assert await confirmed(laptop, app.code()) == "FactorAdded"


@pytest.mark.parametrize("code", ["", "000000", "12345", "9" * 10_000])
async def test_a_wrong_code_enrolls_nothing_and_may_be_corrected(
    laptop: Api, db: Database, clock: FakeClock, code: str
) -> None:
    app = await begin(laptop, clock)
    before = await contents(db)

    assert await confirmed(laptop, code) == "InvalidCode"

    assert await contents(db) == before
    assert await confirmed(laptop, f"{app.code()[:3]} {app.code()[3:]}") == "FactorAdded"


async def test_without_a_secret_there_is_nothing_to_confirm(laptop: Api, db: Database) -> None:
    before = await contents(db)

    assert await confirmed(laptop, "000000") == "ChallengeExpired"

    assert await contents(db) == before


async def test_a_second_app_is_refused(enrolled: Enrolled, db: Database) -> None:
    before = await contents(db)

    begun = (await enrolled.session(BEGIN))["beginTotpEnrollment"]

    message = "An authenticator app is enrolled already. Remove it first."
    assert begun == {"__typename": "FactorAlreadyEnrolled", "message": message}
    assert await contents(db) == before


async def test_an_unverified_address_is_refused(api: Api, ada: Person, db: Database) -> None:
    """A stranger who registers an address must not lock its owner out."""
    laptop = await api.login(ada)
    before = await contents(db)

    begun = (await laptop(BEGIN))["beginTotpEnrollment"]

    assert begun["__typename"] == "EmailNotVerified"
    assert await contents(db) == before
    assert await confirmed(laptop, "000000") == "ChallengeExpired"


async def test_a_session_that_has_ended_confirms_nothing(
    api: Api, laptop: Api, ada: Person, clock: FakeClock, outbox: Outbox, deliver: Deliver
) -> None:
    app = await begin(laptop, clock)
    await api(REQUEST, email=ada.email)
    await deliver()
    assert await reset(api, outbox.token_for(ada.email)) == "UserChanged"

    assert await laptop(CONFIRM, code=app.code()) == {"confirmTotpEnrollment": None}

    assert laptop.last_code == "UNAUTHENTICATED"
    assert await signs_in_with_a_password(api, Person(ada.email, NEW))


class TestTheFirstFactor:
    """Ends the freshness of other sessions, and links that were asked for without it."""

    async def test_other_sessions_step_up_with_a_code_and_not_with_the_password(
        self, api: Api, laptop: Api, ada: Person, db: Database, clock: FakeClock
    ) -> None:
        phone = await api.login(ada)
        enrolled = await enroll(api, db, ada, clock)

        for client in (laptop, phone):
            assert await client(ME) == {"me": {"email": ada.email}}
            assert await client(REMOVE, id=enrolled.factor_id) == {"removeFactor": None}
            code = client.errors[0]["extensions"]
            assert code == {"code": "STEP_UP_REQUIRED", "maxAge": 600, "methods": ["TOTP"]}
            assert await step_up(client, password=ada.password) == "InvalidCode"
            await client(REMOVE, id=enrolled.factor_id)
            assert client.last_code == "STEP_UP_REQUIRED"

        assert await step_up(phone, totp=enrolled.app.next_code()) == "SteppedUp"
        removed = (await phone(REMOVE, id=enrolled.factor_id))["removeFactor"]
        assert removed["user"]["factors"] == []

    async def test_other_sessions_change_no_password_and_no_address(
        self, api: Api, laptop: Api, ada: Person, db: Database, clock: FakeClock
    ) -> None:
        await enroll(api, db, ada, clock)
        before = await contents(db)
        refreshed = await refresh(api, laptop)

        for mutation in (
            'changePassword(input: {currentPassword: "x", newPassword: "y"}) { __typename }',
            'requestEmailChange(input: {newEmail: "t@example.com", password: "x"}) { __typename }',
            'deleteAccount(input: {password: "x"}) { __typename }',
            'exportPersonalData(input: {password: "x"}) { __typename }',
            "renewRecoveryCodes { codes }",
            "beginTotpEnrollment { __typename }",
        ):
            await refreshed(f"mutation {{ {mutation} }}")
            assert refreshed.last_code == "STEP_UP_REQUIRED", mutation

        after = await contents(db)
        # The refresh.
        assert {name for name in after if after[name] != before[name]} == {"sessions"}

    async def test_the_session_in_which_it_was_enrolled_stays_fresh(
        self, enrolled: Enrolled, clock: FakeClock
    ) -> None:
        clock.pass_(minutes=9)

        assert (await enrolled.session(RENEW))["renewRecoveryCodes"]["codes"]

    async def test_a_change_of_address_that_was_asked_for_before_is_not_confirmed(
        self,
        api: Api,
        laptop: Api,
        ada: Person,
        db: Database,
        clock: FakeClock,
        outbox: Outbox,
        deliver: Deliver,
    ) -> None:
        assert await ask(laptop, COUNTESS, ada.password) == "RequestAccepted"
        await deliver()
        await enroll(api, db, ada, clock)

        assert await confirm(api, outbox.token_for(COUNTESS)) == "TokenInvalid"

        assert await laptop(ME) == {"me": {"email": ada.email}}

    async def test_who_changes_the_password_and_keeps_sessions_leaves_them_stale(
        self, api: Api, laptop: Api, ada: Person, clock: FakeClock
    ) -> None:
        phone = await api.login(ada)
        assert await change(laptop, ada.password, NEW, keepOtherSessions=True) == "PasswordChanged"

        await phone(BEGIN)

        assert phone.last_code == "STEP_UP_REQUIRED"
        assert await begin(laptop, clock)
        assert await step_up(phone, password=ada.password) == "InvalidCredentials"
        assert await step_up(phone, password=NEW) == "SteppedUp"
        assert await begin(phone, clock)


class TestRemoval:
    async def test_is_an_event_and_an_email_that_says_that_none_is_left(
        self, api: Api, enrolled: Enrolled, db: Database, outbox: Outbox, deliver: Deliver
    ) -> None:
        removed = (await enrolled.session(REMOVE, id=enrolled.factor_id))["removeFactor"]
        await deliver()

        assert removed["user"] == {"factors": [], "recoveryCodesLeft": 0}
        assert (await events(db))[-1] == ("factor.removed", {"kind": "TOTP"})
        subject = "A second factor was removed from your account"
        email = next(each for each in outbox.messages if each.subject == subject)
        assert email.to == enrolled.person.email
        words = " ".join(email.text.split())
        assert "your password only, and your recovery codes no longer work." in words
        assert "If it was not you, ask for a new password at once" in words
        assert await signs_in_with_a_password(api, enrolled.person)

    async def test_once(self, enrolled: Enrolled, db: Database) -> None:
        await enrolled.session(REMOVE, id=enrolled.factor_id)
        before = await contents(db)

        again = (await enrolled.session(REMOVE, id=enrolled.factor_id))["removeFactor"]

        assert again["__typename"] == "NotFound"
        assert await contents(db) == before

    async def test_not_of_the_factor_of_another_user(
        self, api: Api, enrolled: Enrolled, db: Database, grace: Person
    ) -> None:
        admin = await api.login(grace)
        before = await contents(db)

        answered = (await admin(REMOVE, id=enrolled.factor_id))["removeFactor"]

        assert answered["__typename"] == "NotFound"
        assert await contents(db) == before

    async def test_open_challenges_end(self, api: Api, enrolled: Enrolled) -> None:
        token = await enrolled.challenge(api)
        await enrolled.session(REMOVE, id=enrolled.factor_id)

        for given in ({"totp": enrolled.app.next_code()}, {"recoveryCode": enrolled.codes[0]}):
            assert (await answer(api, token, **given))["__typename"] == "ChallengeExpired"


@pytest.mark.parametrize("by", ["admin", "member", "guest"])
async def test_who_sees_the_factors_of_a_user(
    api: Api, enrolled: Enrolled, grace: Person, by: str
) -> None:
    eve = Person("eve@example.com", "an apple a day 42", "Eve")
    member = await api.login(await api.register(eve))
    client = {"admin": await api.login(grace), "member": member, "guest": api}[by]
    query = """
    query ($id: ID!) {
      node(id: $id) { __typename ... on User { factors { id } recoveryCodesLeft } }
    }
    """

    user = (await client(query, id=enrolled.person.id))["node"]
    factor: Any = await client("query ($id: ID!) { node(id: $id) { id } }", id=enrolled.factor_id)

    if by == "admin":
        assert user["factors"] == [{"id": enrolled.factor_id}]
        assert user["recoveryCodesLeft"] == 10
        assert factor == {"node": {"id": enrolled.factor_id}}
    else:
        assert (user, factor) == (None, {"node": None})
