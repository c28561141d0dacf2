"""Challenges: how long they can be answered, by whom, what ends them, and what wrong codes cost."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.keys.services.signing_keys import SigningKeys
from app.main import create_app
from app.settings import Settings
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from app.testing.outbox import Outbox
from tests.accounts.test_email_changes import ask, confirm
from tests.accounts.test_password_changes import NEW, REQUEST, change, reset
from tests.people.test_administration import END, REINSTATE, SUSPEND, mutate
from tests.sessions.test_cookies import OWN
from tests.support.authenticator import ANSWER, LOGIN, Enrolled, answer, events
from tests.support.periodic import tidy

Deliver = Callable[[], Awaitable[None]]
UNKNOWN = f"pct_{'A' * 43}"
COUNTESS = "countess@example.com"
SESSIONS = text("SELECT id FROM sessions WHERE ended_at IS NULL ORDER BY id")


async def kind(api: Api, token: str, **given: str) -> str:
    return (await answer(api, token, **given))["__typename"]


async def test_a_challenge_says_what_can_answer_it_and_how_long(
    api: Api, db: Database, enrolled: Enrolled, clock: FakeClock
) -> None:
    before = await db.rows(SESSIONS)
    data = await api(LOGIN, input=enrolled.person.credentials)

    challenge = data["login"]["challenge"]
    assert challenge["methods"] == ["TOTP", "RECOVERY_CODE"]
    assert challenge["token"].startswith("pct_")
    expires_at = challenge["expiresAt"]
    clock.pass_(minutes=10)
    assert expires_at <= clock().isoformat().replace("+00:00", "Z")
    assert await db.rows(SESSIONS) == before


async def test_a_challenge_is_answered_within_ten_minutes(
    api: Api, enrolled: Enrolled, clock: FakeClock
) -> None:
    token = await enrolled.challenge(api)
    late = await enrolled.challenge(api)

    clock.pass_(minutes=9, seconds=50)
    assert await kind(api, token, totp=enrolled.app.code()) == "SignedIn"
    clock.pass_(seconds=10)

    assert await kind(api, late, recoveryCode=enrolled.codes[0]) == "ChallengeExpired"
    # It was not used up.
    assert await enrolled.enter(api, recoveryCode=enrolled.codes[0]) == "SignedIn"


async def test_unknown_used_and_expired_challenges_are_alike(
    api: Api, enrolled: Enrolled, clock: FakeClock
) -> None:
    expired = await enrolled.challenge(api)
    clock.pass_(minutes=10)
    used = await enrolled.challenge(api)
    code = enrolled.app.next_code()
    assert await kind(api.of_program("another"), used, totp=code) == "SignedIn"

    seen = list[Any]()
    for token in (UNKNOWN, used, expired, "", "x", "pot_" + "A" * 43, "pct_", UNKNOWN + "A"):
        for given in ({"totp": code}, {"totp": "000000"}, {"recoveryCode": enrolled.codes[0]}):
            assert await kind(api, token, **given) == "ChallengeExpired"
            seen.append(api.last_seen)

    assert seen == [seen[0]] * len(seen)


@pytest.mark.parametrize("given", [{"totp": "000000"}, {"recoveryCode": "0000-0000-0000-0000"}])
async def test_wrong_codes_do_not_use_up_a_challenge(
    api: Api, db: Database, enrolled: Enrolled, given: dict[str, str]
) -> None:
    token = await enrolled.challenge(api)
    before = await db.rows(SESSIONS)

    assert [await kind(api, token, **given) for _ in range(12)] == ["InvalidCode"] * 12
    assert await db.rows(SESSIONS) == before

    assert await kind(api, token, totp=enrolled.app.next_code()) == "SignedIn"


async def test_a_challenge_is_not_a_token_of_anything_else(
    api: Api, db: Database, enrolled: Enrolled
) -> None:
    token = await enrolled.challenge(api)
    before = await contents(db)
    as_access = api.with_bearer(token)

    assert (await as_access(ME), as_access.last_code) == ({"me": None}, "UNAUTHENTICATED")
    for mutation, kind_of_token in OTHER_MUTATIONS.items():
        data = await api(mutation, token=token)
        assert data["result"]["__typename"] == kind_of_token

    assert await contents(db) == before


OTHER_MUTATIONS = {
    f"mutation ($token: String!) {{ result: {field} {{ __typename }} }}": kind_of_token
    for field, kind_of_token in {
        "refreshSession(input: {refreshToken: $token})": "SessionEnded",
        "logout(input: {refreshToken: $token})": "SignedOut",
        "verifyEmail(input: {token: $token})": "TokenInvalid",
        "confirmEmailChange(input: {token: $token})": "TokenInvalid",
        'resetPassword(input: {token: $token, newPassword: "punched cards in brass"})': (
            "TokenInvalid"
        ),
    }.items()
}


class TestRepeated:
    """A page that sends its answer twice, or whose answer was lost."""

    @pytest.fixture
    async def code(self, enrolled: Enrolled) -> str:
        return enrolled.app.next_code()

    async def test_the_same_client_gets_the_same_session(
        self, api: Api, db: Database, enrolled: Enrolled, code: str
    ) -> None:
        token = await enrolled.challenge(api)
        before = await db.rows(SESSIONS)

        first = await answer(api, token, totp=code)
        await api.with_tokens(first)(ME)
        second = await answer(api, token, totp=code)

        assert first["session"] == second["session"]
        assert await api.with_tokens(second)(ME) == {"me": {"email": enrolled.person.email}}
        assert len(await db.rows(SESSIONS)) == len(before) + 1

    async def test_a_recovery_code_is_repeated_too(
        self, api: Api, enrolled: Enrolled, outbox: Outbox, deliver: Deliver
    ) -> None:
        token = await enrolled.challenge(api)

        first = await answer(api, token, recoveryCode=enrolled.codes[0])
        second = await answer(api, token, recoveryCode=enrolled.codes[0])

        assert first["session"] == second["session"]
        await deliver()
        subjects = [subject for _, subject in outbox.subjects]
        assert subjects.count("A recovery code of your account was used") == 1

    @pytest.mark.parametrize(("seconds", "is_used"), [(29, True), (500, False)])
    async def test_within_half_a_minute_or_while_the_session_is_unused(
        self, api: Api, enrolled: Enrolled, clock: FakeClock, code: str, seconds: int, is_used: bool
    ) -> None:
        token = await enrolled.challenge(api)
        first = await answer(api, token, totp=code)
        if is_used:
            await api.with_tokens(first)(ME)
        clock.pass_(seconds=seconds)

        assert (await answer(api, token, totp=code))["session"] == first["session"]

    async def test_not_later_if_the_session_is_used(
        self, api: Api, enrolled: Enrolled, clock: FakeClock, code: str
    ) -> None:
        token = await enrolled.challenge(api)
        first = await answer(api, token, totp=code)
        await api.with_tokens(first)(ME)
        clock.pass_(seconds=31)

        assert await kind(api, token, totp=code) == "ChallengeExpired"

    async def test_not_after_the_challenge_has_expired(
        self, api: Api, enrolled: Enrolled, clock: FakeClock, code: str
    ) -> None:
        token = await enrolled.challenge(api)
        assert await kind(api, token, totp=code) == "SignedIn"
        clock.pass_(minutes=10)

        assert await kind(api, token, totp=code) == "ChallengeExpired"

    async def test_not_if_the_session_has_ended(
        self, api: Api, enrolled: Enrolled, code: str
    ) -> None:
        token = await enrolled.challenge(api)
        session = api.with_tokens(await answer(api, token, totp=code))
        await session("mutation { logout { sessionsEnded } }")

        assert await kind(api, token, totp=code) == "ChallengeExpired"

    async def test_another_client_or_another_answer_gets_nothing(
        self, api: Api, db: Database, enrolled: Enrolled, code: str
    ) -> None:
        token = await enrolled.challenge(api)
        assert await kind(api, token, totp=code) == "SignedIn"
        before = await db.rows(SESSIONS)

        assert await kind(api.of_program("thief"), token, totp=code) == "ChallengeExpired"
        for given in ({"totp": f"{code} "}, {"totp": "000000"}, {"recoveryCode": code}):
            assert await kind(api, token, **given) == "ChallengeExpired"
        assert await kind(api, token, totp=enrolled.app.next_code()) == "ChallengeExpired"
        assert await kind(api, token, recoveryCode=enrolled.codes[0]) == "ChallengeExpired"

        assert await db.rows(SESSIONS) == before

    async def test_a_device_that_was_lost_meanwhile_gets_no_second_session(
        self, api: Api, enrolled: Enrolled, code: str
    ) -> None:
        """The code is used up for other challenges of the same client, too."""
        first, second = await enrolled.challenge(api), await enrolled.challenge(api)

        assert await kind(api, first, totp=code) == "SignedIn"
        assert await kind(api, second, totp=code) == "InvalidCode"


class TestEndedByAChange:
    """What was proved before a change of trust does not count after it."""

    @pytest.fixture
    async def token(self, api: Api, enrolled: Enrolled) -> str:
        return await enrolled.challenge(api)

    async def ends(self, api: Api, enrolled: Enrolled, token: str) -> bool:
        """Whether the challenge of a stranger who has a right code is over."""
        answers = [
            await kind(api, token, totp=enrolled.app.next_code()),
            await kind(api, token, recoveryCode=enrolled.codes[0]),
        ]
        assert len(set(answers)) == 1, answers
        return answers == ["ChallengeExpired"] * 2

    async def test_a_reset(
        self, api: Api, enrolled: Enrolled, token: str, outbox: Outbox, deliver: Deliver
    ) -> None:
        await api(REQUEST, email=enrolled.person.email)
        await deliver()
        # To ask for it ends nothing: anybody can.
        link = outbox.token_for(enrolled.person.email)
        assert await reset(api, link) == "UserChanged"

        assert await self.ends(api, enrolled, token)

    async def test_a_changed_password(self, api: Api, enrolled: Enrolled, token: str) -> None:
        changed = await change(enrolled.session, enrolled.person.password, NEW)

        assert changed == "PasswordChanged"
        assert await self.ends(api, enrolled, token)

    async def test_a_changed_address(
        self, api: Api, enrolled: Enrolled, outbox: Outbox, deliver: Deliver
    ) -> None:
        password = enrolled.person.password
        assert await ask(enrolled.session, COUNTESS, password) == "RequestAccepted"
        await deliver()
        token = await enrolled.challenge(api)
        assert await confirm(api, outbox.token_for(COUNTESS)) == "UserChanged"

        assert await self.ends(api, enrolled, token)
        moved = replace(enrolled, person=replace(enrolled.person, email=COUNTESS))
        assert await moved.enter(api, totp=enrolled.app.next_code()) == "SignedIn"

    async def test_a_suspension_also_once_it_is_over(
        self, api: Api, enrolled: Enrolled, token: str, grace: Person
    ) -> None:
        admin = await api.login(grace)
        await mutate(admin, SUSPEND, userId=enrolled.person.id, reason="stolen")
        assert await self.ends(api, enrolled, token)
        await mutate(admin, REINSTATE, userId=enrolled.person.id)

        assert await self.ends(api, enrolled, token)
        assert await enrolled.enter(api, totp=enrolled.app.next_code()) == "SignedIn"

    async def test_the_end_of_all_sessions_by_an_administrator(
        self, api: Api, enrolled: Enrolled, token: str, grace: Person
    ) -> None:
        await mutate(await api.login(grace), END, userId=enrolled.person.id)

        assert await self.ends(api, enrolled, token)

    async def test_the_deletion_of_the_account(
        self, api: Api, enrolled: Enrolled, token: str
    ) -> None:
        password = enrolled.person.password
        delete = """
        mutation ($password: String!) {
          deleteAccount(input: {password: $password}) { __typename }
        }
        """
        await enrolled.session(delete, password=password)

        assert await self.ends(api, enrolled, token)

    async def test_not_a_sign_out_elsewhere(self, api: Api, enrolled: Enrolled, token: str) -> None:
        await enrolled.session("mutation { logout { sessionsEnded } }")

        assert await kind(api, token, totp=enrolled.app.next_code()) == "SignedIn"

    async def test_not_the_answer_to_another_challenge(
        self, api: Api, enrolled: Enrolled, token: str
    ) -> None:
        await enrolled.sign_in(api)

        assert await kind(api, token, totp=enrolled.app.next_code()) == "SignedIn"


COOKIE = """
mutation ($input: AnswerChallengeInput!) { answerChallenge(input: $input) {
  __typename
  ... on SignedIn { session { id } tokens { accessToken refreshToken deviceToken } }
} }
"""


class TestTheCookie:
    async def sent(self, api: Api, token: str, totp: str, origin: str) -> httpx.Response:
        variables = {"token": token, "answer": {"totp": totp}, "delivery": "COOKIE"}
        body = {"query": COOKIE, "variables": {"input": variables}}
        return await api.http.post("/graphql", json=body, headers={"origin": origin})

    async def test_holds_the_tokens_that_scripts_must_not_read(
        self, api: Api, enrolled: Enrolled
    ) -> None:
        token, code = await enrolled.challenge(api), enrolled.app.next_code()

        answered = await self.sent(api, token, code, OWN)

        result = answered.json()["data"]["answerChallenge"]
        assert result["__typename"] == "SignedIn"
        assert (result["tokens"]["refreshToken"], result["tokens"]["deviceToken"]) == (None, None)
        cookie = answered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        refresh = "mutation { refreshSession(input: {}) { ... on SignedIn { session { id } } } }"
        refreshed = await api.http.post(
            "/graphql", json={"query": refresh}, headers={"origin": OWN}
        )
        assert refreshed.json()["data"]["refreshSession"]["session"] == result["session"]

    async def test_is_not_for_pages_of_strangers_who_use_up_nothing(
        self, api: Api, db: Database, enrolled: Enrolled
    ) -> None:
        token, code = await enrolled.challenge(api), enrolled.app.next_code()
        before = await contents(db)

        refused = await self.sent(api, token, code, "https://x.example")

        assert refused.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert "set-cookie" not in refused.headers
        assert await contents(db) == before
        assert await kind(api, token, totp=code) == "SignedIn"


class TestLimits:
    """With the budgets of production, behind a proxy."""

    @pytest.fixture(scope="class")
    @classmethod
    async def limited(
        cls, settings: Settings, clock: FakeClock, mailer: Outbox
    ) -> AsyncIterator[FastAPI]:
        changes = {"throttle_scale": 1.0, "trusted_proxies": ("10.0.0.0/8", "127.0.0.1")}
        app = create_app(settings.model_copy(update=changes), clock, mailer)
        async with app.router.lifespan_context(app):
            yield app

    @pytest.fixture
    async def client(self, limited: FastAPI, enrolled: Enrolled) -> Callable[[str], Api]:
        assert enrolled.codes
        await limited.state.portico.services[SigningKeys].refresh()

        def make(address: str) -> Api:
            transport = httpx.ASGITransport(limited, raise_app_exceptions=False)
            headers = {"x-forwarded-for": address}
            http = httpx.AsyncClient(transport=transport, base_url="http://p", headers=headers)
            return Api(http)

        return make

    async def test_wrong_codes_are_charged_to_the_account_across_challenges_and_addresses(
        self, client: Any, enrolled: Enrolled, clock: FakeClock
    ) -> None:
        strangers = [client(f"203.0.113.{number}") for number in range(1, 12)]

        answers = [await enrolled.enter(each, totp="000000") for each in strangers]

        assert answers == [*["InvalidCode"] * 10, "RateLimited"]
        elsewhere = client("198.51.100.1")
        assert await enrolled.enter(elsewhere, totp=enrolled.app.next_code()) == "RateLimited"
        # A recovery code cannot be guessed: a thief of the password cannot make its owner wait.
        assert await enrolled.enter(elsewhere, recoveryCode=enrolled.codes[0]) == "SignedIn"
        clock.pass_(minutes=15)
        assert await enrolled.enter(elsewhere, totp=enrolled.app.next_code()) == "SignedIn"

    async def test_right_codes_are_not_charged(self, client: Any, enrolled: Enrolled) -> None:
        person = client("203.0.113.1")

        answers = [await enrolled.enter(person, totp=enrolled.app.next_code()) for _ in range(12)]

        assert answers == ["SignedIn"] * 12

    async def test_a_known_device_has_a_budget_of_its_own(
        self, client: Any, enrolled: Enrolled
    ) -> None:
        stranger = client("203.0.113.1")
        token = await enrolled.challenge(stranger)
        signed_in = await answer(stranger, token, totp=enrolled.app.next_code())
        phone = stranger.of_device(signed_in["tokens"]["deviceToken"])
        for _ in range(10):
            await enrolled.enter(stranger, totp="000000")
        assert await enrolled.enter(stranger, totp="000000") == "RateLimited"

        answers = [await enrolled.enter(phone, totp="000000") for _ in range(9)]
        assert answers == ["InvalidCode"] * 9
        assert await enrolled.enter(phone, totp=enrolled.app.next_code()) == "SignedIn"
        answers = [await enrolled.enter(phone, totp="000000") for _ in range(2)]
        assert answers == ["InvalidCode", "RateLimited"]

    async def test_unknown_challenges_are_charged_to_the_address(
        self, client: Any, enrolled: Enrolled
    ) -> None:
        stranger = client("203.0.113.1")

        answers = [await kind(stranger, UNKNOWN, totp="000000") for _ in range(61)]

        assert answers == [*["ChallengeExpired"] * 60, "RateLimited"]
        person = client("203.0.113.2")
        assert await enrolled.enter(person, totp=enrolled.app.next_code()) == "SignedIn"


async def test_expired_challenges_are_deleted(
    api: Api, app: FastAPI, db: Database, enrolled: Enrolled, clock: FakeClock
) -> None:
    await enrolled.challenge(api)
    await enrolled.sign_in(api)
    clock.pass_(minutes=10)
    token = await enrolled.challenge(api)

    await tidy(app.state.portico)

    assert len(await db.rows(text("SELECT 1 FROM challenges"))) == 1
    assert await kind(api, token, totp=enrolled.app.next_code()) == "SignedIn"


async def test_a_wrong_code_leaves_all_but_counts_and_events_as_they_were(
    api: Api, db: Database, enrolled: Enrolled
) -> None:
    token = await enrolled.challenge(api)
    before = await contents(db)

    await kind(api, token, totp="000000")

    after = await contents(db)
    changed = {table for table, rows in after.items() if rows != before[table]}
    assert changed == {"audit_chains", "audit_events", "totp_secrets"}
    assert (await events(db))[-1] == ("factor.refused", {"method": "TOTP"})


@pytest.mark.parametrize("given", [{}, {"totp": "000000", "recoveryCode": "x"}, {"totp": None}])
async def test_an_answer_is_of_one_kind(
    api: Api, db: Database, enrolled: Enrolled, given: dict[str, Any]
) -> None:
    token = await enrolled.challenge(api)
    before = await contents(db)

    await api(ANSWER, input={"token": token, "answer": given})

    assert api.last_code == "BAD_USER_INPUT"
    assert await contents(db) == before
