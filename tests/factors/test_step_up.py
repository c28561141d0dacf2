"""Step-up: who they are is proved again in a session, and services can see it in tokens."""

from datetime import datetime
from typing import Any

import jwt
import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from tests.people.test_administration import mutate
from tests.sessions.test_refreshing import REFRESH
from tests.support.authenticator import (
    BEGIN,
    RENEW,
    STEP_UP,
    Enrolled,
    answer,
    events,
    step_up,
    verify,
)

CURRENT = "{ me { sessions { nodes { isCurrent authenticatedAt methods } } } }"
PASSWORD_FAILURES = text("SELECT source, in_a_row FROM password_failures")
BUDGETS = text("SELECT count(*) FROM budgets WHERE cardinality(spent) > 0")


@pytest.fixture
async def laptop(api: Api, db: Database, ada: Person) -> Api:
    await verify(db, ada)
    return await api.login(ada)


async def current(client: Api) -> dict[str, Any]:
    nodes = (await client(CURRENT))["me"]["sessions"]["nodes"]
    return next(each for each in nodes if each["isCurrent"])


async def authenticated_at(client: Api) -> datetime:
    return datetime.fromisoformat((await current(client))["authenticatedAt"])


async def refresh(api: Api, client: Api) -> Api:
    return api.with_tokens((await api(REFRESH, token=client.refresh_token))["refreshSession"])


def claims(client: Api) -> dict[str, Any]:
    assert client.access_token is not None
    found = jwt.decode(client.access_token, options={"verify_signature": False})
    return {name: found[name] for name in ("amr", "acr", "auth_time")}


class TestWithAPassword:
    async def test_the_password_makes_a_session_fresh(
        self, laptop: Api, db: Database, ada: Person, clock: FakeClock
    ) -> None:
        clock.pass_(minutes=11)
        assert await laptop(BEGIN) == {"beginTotpEnrollment": None}
        before = clock()

        stepped = (await laptop(STEP_UP, answer={"password": ada.password}))["stepUp"]

        assert stepped["__typename"] == "SteppedUp"
        assert (stepped["session"]["id"], stepped["session"]["methods"]) == (
            laptop.session_id,
            ["PASSWORD"],
        )
        assert datetime.fromisoformat(stepped["session"]["authenticatedAt"]) >= before
        begun = (await laptop(BEGIN))["beginTotpEnrollment"]
        assert begun["__typename"] == "TotpEnrollment"
        assert await events(db) == [("session.stepped_up", {"method": "PASSWORD"})]

    async def test_a_wrong_one_is_counted_and_changes_nothing_else(
        self, laptop: Api, db: Database, clock: FakeClock
    ) -> None:
        clock.pass_(minutes=11)

        assert await step_up(laptop, password="wrong") == "InvalidCredentials"

        assert await laptop(BEGIN) == {"beginTotpEnrollment": None}
        assert await db.rows(PASSWORD_FAILURES) == [("SESSION", 1)]
        assert await events(db) == []

    async def test_a_code_is_refused_where_there_is_no_factor(
        self, laptop: Api, db: Database
    ) -> None:
        assert await step_up(laptop, totp="000000") == "InvalidCode"

        assert await events(db) == []

    async def test_only_this_session_is_fresh(
        self, api: Api, laptop: Api, ada: Person, clock: FakeClock
    ) -> None:
        phone = await api.login(ada)
        clock.pass_(minutes=11)
        await step_up(laptop, password=ada.password)

        assert await phone(BEGIN) == {"beginTotpEnrollment": None}

    async def test_for_ten_minutes(self, laptop: Api, ada: Person, clock: FakeClock) -> None:
        clock.pass_(minutes=3)
        await step_up(laptop, password=ada.password)
        clock.pass_(minutes=9)
        assert (await laptop(BEGIN))["beginTotpEnrollment"]
        clock.pass_(minutes=1)

        assert await laptop(BEGIN) == {"beginTotpEnrollment": None}
        assert laptop.last_code == "STEP_UP_REQUIRED"


class TestWithAFactor:
    async def test_a_code_makes_a_session_fresh(
        self, db: Database, enrolled: Enrolled, clock: FakeClock
    ) -> None:
        clock.pass_(minutes=11)
        assert await enrolled.session(RENEW) == {"renewRecoveryCodes": None}

        assert await step_up(enrolled.session, totp=enrolled.app.code()) == "SteppedUp"

        assert (await enrolled.session(RENEW))["renewRecoveryCodes"]["codes"]
        assert ("session.stepped_up", {"method": "TOTP"}) in await events(db)

    @pytest.mark.parametrize("is_right", [True, False])
    async def test_a_password_is_neither_verified_nor_counted(
        self, db: Database, enrolled: Enrolled, is_right: bool
    ) -> None:
        async with db.begin() as session:
            await session.execute(text("DELETE FROM budgets"))
        before = await contents(db)
        password = enrolled.person.password if is_right else "wrong"

        answered = (await enrolled.session(STEP_UP, answer={"password": password}))["stepUp"]

        assert answered == {
            "__typename": "InvalidCode",
            "message": "Your account has a second factor: confirm with it.",
        }
        assert await contents(db) == before
        assert (await db.rows(BUDGETS))[0][0] == 0

    async def test_a_wrong_code_is_recorded_and_leaves_the_session_stale(
        self, db: Database, enrolled: Enrolled, clock: FakeClock
    ) -> None:
        clock.pass_(minutes=11)

        assert await step_up(enrolled.session, totp="000000") == "InvalidCode"

        assert (await events(db))[-1] == ("factor.refused", {"method": "TOTP"})
        assert await enrolled.session(RENEW) == {"renewRecoveryCodes": None}


async def test_a_guest_has_nothing_to_step_up(api: Api, db: Database, ada: Person) -> None:
    before = await contents(db)

    assert await api(STEP_UP, answer={"password": ada.password}) == {"stepUp": None}

    assert api.last_code == "UNAUTHENTICATED"
    assert await contents(db) == before


async def test_a_refresh_does_not_move_the_time_of_the_proof(
    api: Api, enrolled: Enrolled, clock: FakeClock
) -> None:
    laptop = await enrolled.sign_in(api)
    before = await current(laptop)
    clock.pass_(minutes=11)

    refreshed = await refresh(api, laptop)

    assert await current(refreshed) == before
    assert claims(refreshed) == claims(laptop)
    await refreshed(RENEW)
    assert refreshed.last_code == "STEP_UP_REQUIRED"


async def test_a_step_up_moves_the_time_of_the_proof_and_a_refresh_brings_it_into_tokens(
    api: Api, enrolled: Enrolled, clock: FakeClock
) -> None:
    laptop = await enrolled.sign_in(api)
    before = await authenticated_at(laptop)
    clock.pass_(minutes=5)

    assert await step_up(laptop, totp=enrolled.app.code()) == "SteppedUp"

    after = await authenticated_at(laptop)
    assert (after - before).total_seconds() >= 300
    assert claims(laptop)["auth_time"] == int(before.timestamp())
    refreshed = await refresh(api, laptop)
    assert claims(refreshed) == {
        "amr": ["pwd", "otp", "mfa"],
        "acr": "aal2",
        "auth_time": int(after.timestamp()),
    }


async def test_tokens_say_by_what_the_user_has_proved_who_they_are(
    api: Api, laptop: Api, enrolled: Enrolled
) -> None:
    token = await enrolled.challenge(api)
    by_recovery_code = api.with_tokens(await answer(api, token, recoveryCode=enrolled.codes[0]))
    by_code = await enrolled.sign_in(api)
    enrolled_in = await refresh(api, enrolled.session)

    told = [claims(each) for each in (laptop, by_recovery_code, by_code, enrolled_in)]
    assert [(each["amr"], each["acr"]) for each in told] == [
        (["pwd"], "aal1"),
        (["pwd", "otp", "mfa"], "aal2"),
        (["pwd", "otp", "mfa"], "aal2"),
        # The first code was entered there.
        (["pwd", "otp", "mfa"], "aal2"),
    ]
    assert (await current(by_recovery_code))["methods"] == ["PASSWORD", "RECOVERY_CODE"]
    assert (await current(enrolled_in))["methods"] == ["PASSWORD", "TOTP"]


async def test_methods_are_listed_once(enrolled: Enrolled) -> None:
    for _ in range(3):
        await step_up(enrolled.session, totp=enrolled.app.next_code())

    assert (await current(enrolled.session))["methods"] == ["PASSWORD", "TOTP"]


async def test_a_session_that_ends_meanwhile_is_not_made_fresh(enrolled: Enrolled) -> None:
    code = enrolled.app.next_code()
    mutation = f"""
    mutation {{
      logoutEverywhere {{ sessionsEnded }}
      stepUp(input: {{answer: {{totp: "{code}"}}}}) {{ __typename }}
    }}
    """

    data = await enrolled.session(mutation)

    assert data["stepUp"] is None
    assert enrolled.session.last_code == "UNAUTHENTICATED"


REVOKE = """
mutation ($input: RevokeSessionInput!) { revokeSession(input: $input) { __typename } }
"""


async def test_the_session_of_another_user_is_ended_in_a_fresh_session_only(
    api: Api, enrolled: Enrolled, grace: Person, db: Database, clock: FakeClock
) -> None:
    admin = await api.login(grace)
    own = await api.login(grace)
    clock.pass_(minutes=11)
    before = await contents(db)

    assert await admin(REVOKE, input={"sessionId": enrolled.session.session_id}) == {
        "revokeSession": None
    }

    assert admin.errors[0]["extensions"] == {
        "code": "STEP_UP_REQUIRED",
        "maxAge": 600,
        "methods": ["PASSWORD"],
    }
    assert await contents(db) == before
    ended = await mutate(admin, REVOKE, sessionId=own.session_id)
    assert ended["__typename"] == "SignedOut"
    assert await step_up(admin, password=grace.password) == "SteppedUp"
    ended = await mutate(admin, REVOKE, sessionId=enrolled.session.session_id)
    assert ended["__typename"] == "SignedOut"
