"""Secrets of factors when SECRET_KEY changes, is missing, or has leaked."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from app.composition import build
from app.factors.services.resealing import Resealing
from app.sessions.services.compromise import Compromise, CompromiseDeclared
from app.testing.clients import LOGIN, Person
from tests.support.authenticator import ANSWER, CONFIRM, STEP_UP, Enrolled, answer, begin, enroll
from tests.support.fleets import NEW, OLD, Fleet, FleetServer

ADA = Person("ada@example.com", "difference engine 1", "Ada Lovelace")
SEALED = """
SELECT (SELECT count(DISTINCT sealed_with) FROM (
    SELECT sealed_with FROM totp_secrets UNION ALL SELECT sealed_with FROM recovery_codes
) each)
"""
ROWS = """
SELECT sealed_secret, sealed_with, wrong_codes, last_step, NULL FROM totp_secrets UNION ALL
SELECT sealed_key, sealed_with, NULL, NULL, hashes::text FROM recovery_codes
"""


@pytest.fixture
async def old(fleet: Fleet) -> AsyncIterator[FleetServer]:
    async with fleet.server(OLD) as server:
        yield server


@pytest.fixture
async def enrolled(old: FleetServer, fleet: Fleet) -> Enrolled:
    await old.api.register(ADA)
    return await enroll(old.api, old.database, ADA, fleet.clock)


def resealing(server: FleetServer) -> Resealing:
    return server.portico.services[Resealing]


async def test_a_new_secret_takes_over_and_the_former_one_can_go(
    fleet: Fleet, old: FleetServer, enrolled: Enrolled
) -> None:
    before = await old.rows(ROWS)

    async with fleet.server(f"{NEW},{OLD}") as both:
        # Opened with the former one.
        assert await enrolled.enter(both.api, totp=enrolled.app.next_code()) == "SignedIn"
        assert await resealing(both).unreadable() == 0
        assert await resealing(both).run() == 2
        assert await resealing(both).run() == 0
        await both.keys.rotate(now=True)
    # The servers with the former secret are stopped by now.
    fleet.clock.pass_(minutes=4)

    after = await old.rows(ROWS)
    assert [each[4] for each in after] == [each[4] for each in before]
    assert not {each[0] for each in before} & {each[0] for each in after}
    assert not {each[1] for each in before} & {each[1] for each in after}
    async with fleet.server(NEW) as new:
        assert await resealing(new).unreadable() == 0
        assert await enrolled.enter(new.api, totp=enrolled.app.next_code()) == "SignedIn"
        assert await enrolled.enter(new.api, recoveryCode=enrolled.codes[0]) == "SignedIn"


async def test_many_are_resealed_in_batches(
    fleet: Fleet, old: FleetServer, enrolled: Enrolled
) -> None:
    assert enrolled.factor_id
    await old.execute(
        "INSERT INTO users (id, email, role, created_at, updated_at) SELECT"
        " gen_random_uuid(), 'user' || n || '@example.com', 'MEMBER', now(), now()"
        " FROM generate_series(1, 250) n"
    )
    await old.execute(
        "INSERT INTO recovery_codes (user_id, sealed_key, sealed_with, hashes, created_at)"
        " SELECT users.id, sealed_key, sealed_with, hashes, now() FROM users, recovery_codes"
        " WHERE users.id <> recovery_codes.user_id"
    )

    async with fleet.server(f"{NEW},{OLD}") as both:
        assert await resealing(both).run() == 252
        assert await both.rows(SEALED) == [(1,)]


async def test_a_server_without_the_secret_says_so_and_counts_nothing(
    fleet: Fleet, old: FleetServer
) -> None:
    async with fleet.server(f"{NEW},{OLD}") as new:
        await new.api.register(ADA)
        enrolled = await enroll(new.api, new.database, ADA, fleet.clock)
        token = await enrolled.challenge(new.api)
        assert await resealing(old).unreadable() == 2
        assert await resealing(old).run() == 0
        before = await old.rows(ROWS)

        code = enrolled.app.next_code()
        for given in ({"totp": code}, {"totp": "000000"}, {"recoveryCode": enrolled.codes[0]}):
            assert await old.api(ANSWER, input={"token": token, "answer": given}) is None
            assert old.api.last_code == "SERVICE_UNAVAILABLE"
            assert old.api.last is not None
            assert old.api.last.status_code == 503
        stepping = old.api.with_bearer(enrolled.session.access_token or "")
        data = await stepping(STEP_UP, answer={"totp": code})
        assert (data, stepping.last_code) == (None, "SERVICE_UNAVAILABLE")

        assert await old.rows(ROWS) == before
        assert (await answer(new.api, token, totp=code))["__typename"] == "SignedIn"


async def test_a_server_without_the_secret_does_not_confirm_an_enrollment(
    fleet: Fleet, old: FleetServer
) -> None:
    await old.api.register(ADA)
    await old.execute("UPDATE users SET email_verified = true")
    async with fleet.server(f"{NEW},{OLD}") as new:
        laptop = await new.api.login(ADA)
        app = await begin(laptop, fleet.clock)
        elsewhere = old.api.with_bearer(laptop.access_token or "")

        data = await elsewhere(CONFIRM, code=app.code())

        assert (data, elsewhere.last_code) == (None, "SERVICE_UNAVAILABLE")
        assert await old.rows("SELECT * FROM factors") == []
        confirmed = (await laptop(CONFIRM, code=app.code()))["confirmTotpEnrollment"]
        assert confirmed["__typename"] == "FactorAdded"


async def test_factors_are_removed_if_their_secret_has_leaked(
    fleet: Fleet, old: FleetServer, enrolled: Enrolled
) -> None:
    """Who has the secret and a copy of the database makes their codes."""
    token = await enrolled.challenge(old.api)
    changed = fleet.settings.model_copy(update={"secret_key": SecretStr(NEW)})
    process = build(changed, fleet.clock)
    try:
        declared = await process.services[Compromise].declare(None)
    finally:
        await process.stop()

    assert isinstance(declared, CompromiseDeclared)
    assert declared.factors == 1
    for table in ("factors", "totp_secrets", "totp_enrollments", "recovery_codes", "challenges"):
        assert await old.rows(f"SELECT * FROM {table}") == []  # noqa: S608 - our tables
    details = await old.rows(
        "SELECT details->>'factors' FROM audit_events WHERE name = 'secret.compromised'"
    )
    assert details == [("1",)]
    async with fleet.server(NEW) as new:
        expired = await answer(new.api, token, recoveryCode=enrolled.codes[0])
        assert expired["__typename"] == "ChallengeExpired"
        data = await new.api(LOGIN, input=ADA.credentials)
        assert data["login"]["__typename"] == "SignedIn"
