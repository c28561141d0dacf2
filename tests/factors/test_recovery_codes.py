"""Recovery codes: each signs in once, and the person is told of it."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from app.testing.outbox import Outbox
from tests.support.authenticator import (
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
)

Deliver = Callable[[], Awaitable[None]]
STORED = text("SELECT cardinality(hashes) FROM recovery_codes")


async def left(enrolled: Enrolled) -> int:
    return (await enrolled.session(FACTORS))["me"]["recoveryCodesLeft"]


async def test_ten_codes_are_shown_once(enrolled: Enrolled) -> None:
    assert len(set(enrolled.codes)) == 10
    assert await left(enrolled) == 10


async def test_each_code_signs_in_once(api: Api, enrolled: Enrolled) -> None:
    first = [await enrolled.enter(api, recoveryCode=each) for each in enrolled.codes]
    second = [await enrolled.enter(api, recoveryCode=each) for each in enrolled.codes]

    assert first == ["SignedIn"] * 10
    assert second == ["InvalidCode"] * 10
    assert await left(enrolled) == 0


async def test_a_code_is_read_as_people_write_it(api: Api, enrolled: Enrolled) -> None:
    code = enrolled.codes[0].lower().replace("0", "o").replace("1", "l").replace("-", " \u2013 ")

    assert await enrolled.enter(api, recoveryCode=f" {code}\n") == "SignedIn"

    assert await enrolled.enter(api, recoveryCode=enrolled.codes[0]) == "InvalidCode"
    assert await left(enrolled) == 9


async def test_the_session_says_how_it_began(api: Api, enrolled: Enrolled) -> None:
    token = await enrolled.challenge(api)

    signed_in = await answer(api, token, recoveryCode=enrolled.codes[3])

    assert signed_in["session"]["methods"] == ["PASSWORD", "RECOVERY_CODE"]


async def test_each_use_is_an_event_and_an_email(
    api: Api, db: Database, enrolled: Enrolled, outbox: Outbox, deliver: Deliver
) -> None:
    outbox.messages.clear()
    await enrolled.enter(api, recoveryCode=enrolled.codes[0])
    await enrolled.enter(api, recoveryCode=enrolled.codes[1])
    await enrolled.enter(api, recoveryCode=enrolled.codes[1])
    await deliver()

    used = [each for each in await events(db) if each[0] == "recovery_code.used"]
    assert used == [("recovery_code.used", {})] * 2
    emails = [each for each in outbox.messages if "recovery code" in each.subject]
    assert [(each.to, each.subject) for each in emails] == [
        (enrolled.person.email, "A recovery code of your account was used")
    ] * 2
    # Jobs are delivered in any order.
    texts = sorted(" ".join(each.text.split()) for each in emails)
    for words, number in zip(texts, ("8", "9"), strict=True):
        assert f"with a recovery code. Codes that are left: {number}." in words
        assert "If it was not you, ask for a new password at once" in words
        assert not any(code in words for code in enrolled.codes)


async def test_a_code_of_another_account_is_wrong(
    api: Api, db: Database, enrolled: Enrolled, grace: Person, clock: FakeClock
) -> None:
    other = await enroll(api, db, grace, clock)

    assert await enrolled.enter(api, recoveryCode=other.codes[0]) == "InvalidCode"

    assert await other.enter(api, recoveryCode=other.codes[0]) == "SignedIn"
    assert (await left(enrolled), await left(other)) == (10, 9)


async def test_a_code_does_not_step_up(db: Database, enrolled: Enrolled) -> None:
    """The input has no place for it: who has lost a factor signs in again."""
    before = await contents(db)

    await enrolled.session(
        'mutation { stepUp(input: {answer: {recoveryCode: "x"}}) { __typename } }'
    )

    assert enrolled.session.last_code == "GRAPHQL_VALIDATION_FAILED"
    assert await contents(db) == before


async def test_new_codes_replace_all_former_ones(
    api: Api, db: Database, enrolled: Enrolled, outbox: Outbox, deliver: Deliver
) -> None:
    await enrolled.enter(api, recoveryCode=enrolled.codes[0])

    codes = (await enrolled.session(RENEW))["renewRecoveryCodes"]["codes"]

    assert len(set(codes) - set(enrolled.codes)) == 10
    assert await enrolled.enter(api, recoveryCode=enrolled.codes[1]) == "InvalidCode"
    assert await enrolled.enter(api, recoveryCode=codes[1]) == "SignedIn"
    assert await left(enrolled) == 9
    assert ("recovery_codes.renewed", {}) in await events(db)
    await deliver()
    email = next(each for each in outbox.messages if each.subject == "You have new recovery codes")
    assert email.to == enrolled.person.email
    assert "All earlier ones no longer work." in " ".join(email.text.split())


async def test_codes_are_for_who_has_a_factor(api: Api, ada: Person, db: Database) -> None:
    laptop = await api.login(ada)
    before = await contents(db)

    assert await laptop(RENEW) == {"renewRecoveryCodes": None}

    assert laptop.errors == []
    assert await contents(db) == before


async def test_codes_go_with_the_last_factor(
    api: Api, db: Database, enrolled: Enrolled, clock: FakeClock
) -> None:
    removed = await enrolled.session(REMOVE, id=enrolled.factor_id)

    assert removed["removeFactor"] == {
        "__typename": "UserChanged",
        "user": {"factors": [], "recoveryCodesLeft": 0},
    }
    assert await db.rows(STORED) == []
    app = await begin(enrolled.session, clock)
    added = (await enrolled.session(CONFIRM, code=app.code()))["confirmTotpEnrollment"]
    assert set(added["recoveryCodes"]).isdisjoint(enrolled.codes)
    assert await enrolled.enter(api, recoveryCode=enrolled.codes[0]) == "InvalidCode"
    assert await enrolled.enter(api, recoveryCode=added["recoveryCodes"][0]) == "SignedIn"


async def test_who_has_lost_the_app_signs_in_with_a_code_and_enrolls_another(
    api: Api, enrolled: Enrolled, clock: FakeClock
) -> None:
    token = await enrolled.challenge(api)
    phone = api.with_tokens(await answer(api, token, recoveryCode=enrolled.codes[0]))

    assert (await phone(REMOVE, id=enrolled.factor_id))["removeFactor"]["user"]["factors"] == []
    app = await begin(phone, clock)
    added = (await phone(CONFIRM, code=app.code()))["confirmTotpEnrollment"]

    assert added["__typename"] == "FactorAdded"
    # The session that had the first factor is stale again: another first one was added.
    await enrolled.session(RENEW)
    assert enrolled.session.last_code == "STEP_UP_REQUIRED"
    assert await step_up(enrolled.session, totp=app.next_code()) == "SteppedUp"


@pytest.mark.parametrize("typed", ["", "0000-0000-0000-0000", "x", "0" * 10_000])
async def test_what_is_no_code_uses_up_none(api: Api, enrolled: Enrolled, typed: str) -> None:
    token = await enrolled.challenge(api)

    assert (await answer(api, token, recoveryCode=typed))["__typename"] == "InvalidCode"

    assert await left(enrolled) == 10
