"""Codes of authenticator apps: each is accepted once, and wrong ones are counted."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import TextClause, text

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.outbox import Outbox
from tests.accounts.test_password_changes import REQUEST, reset
from tests.support.authenticator import FACTORS, LOGIN, Enrolled, answer, events, step_up

Deliver = Callable[[], Awaitable[None]]
WRONG_CODES = text("SELECT wrong_codes, wrong_codes_of_known FROM totp_secrets")
SESSIONS = text("SELECT count(*) FROM sessions")
HUNDREDTH = text("UPDATE totp_secrets SET wrong_codes = 99")
HUNDREDTH_OF_KNOWN = text("UPDATE totp_secrets SET wrong_codes_of_known = 99")


async def wrong_codes(db: Database) -> tuple[int, ...]:
    """Returns the counts of unknown and of known devices."""
    return tuple((await db.rows(WRONG_CODES))[0])


async def device_of(api: Api, enrolled: Enrolled) -> Api:
    """Returns a guest on the device on which the person enters a code now."""
    token = await enrolled.challenge(api)
    signed_in = await answer(api, token, totp=enrolled.app.next_code())
    return api.of_device(signed_in["tokens"]["deviceToken"])


async def change(db: Database, statement: TextClause) -> None:
    async with db.begin() as session:
        await session.execute(statement)


def wrong(enrolled: Enrolled) -> str:
    """Returns a code that is none of the three that match now."""
    right = {enrolled.app.code(drift) for drift in (-1, 0, 1)}
    return next(each for each in ("000000", "111111", "222222", "333333") if each not in right)


async def test_the_code_of_the_enrollment_counts_as_used(
    api: Api, db: Database, enrolled: Enrolled
) -> None:
    assert await enrolled.enter(api, totp=enrolled.app.code()) == "InvalidCode"

    assert await wrong_codes(db) == (1, 0)
    assert (await db.rows(SESSIONS))[0][0] == 2


@pytest.mark.parametrize("drift", [-1, 0, 1])
async def test_a_clock_may_be_one_step_off(api: Api, enrolled: Enrolled, drift: int) -> None:
    # Its step is later than that of the enrollment.
    enrolled.app.clock.pass_(seconds=90)

    assert await enrolled.enter(api, totp=enrolled.app.code(drift)) == "SignedIn"


@pytest.mark.parametrize("drift", [-3, -2, 2, 3])
async def test_a_clock_that_is_two_steps_off_is_wrong(
    api: Api, enrolled: Enrolled, drift: int
) -> None:
    enrolled.app.clock.pass_(seconds=120)

    assert await enrolled.enter(api, totp=enrolled.app.code(drift)) == "InvalidCode"


async def test_a_code_of_an_earlier_step_than_the_last_one_is_used_up(
    api: Api, enrolled: Enrolled
) -> None:
    enrolled.app.clock.pass_(seconds=90)
    codes = [enrolled.app.code(drift) for drift in (0, -1, 0, 1)]

    answers = [await enrolled.enter(api, totp=each) for each in codes]

    assert answers == ["SignedIn", "InvalidCode", "InvalidCode", "SignedIn"]


async def test_a_code_that_stepped_up_signs_nobody_in(api: Api, enrolled: Enrolled) -> None:
    code = enrolled.app.next_code()
    assert await step_up(enrolled.session, totp=code) == "SteppedUp"

    assert await enrolled.enter(api, totp=code) == "InvalidCode"


async def test_a_code_that_signed_in_does_not_step_up(api: Api, enrolled: Enrolled) -> None:
    code = enrolled.app.next_code()
    assert await enrolled.enter(api, totp=code) == "SignedIn"

    assert await step_up(enrolled.session, totp=code) == "InvalidCode"


async def test_the_use_of_a_factor_is_shown(api: Api, enrolled: Enrolled) -> None:
    before = (await enrolled.session(FACTORS))["me"]["factors"][0]

    await enrolled.sign_in(api)

    after = (await enrolled.session(FACTORS))["me"]["factors"][0]
    assert before["id"] == after["id"] == enrolled.factor_id
    assert before["lastUsedAt"] < after["lastUsedAt"]


@pytest.mark.parametrize("between", [" ", "\u00a0"])
async def test_a_code_is_read_as_apps_show_it(api: Api, enrolled: Enrolled, between: str) -> None:
    code = enrolled.app.next_code()

    assert await enrolled.enter(api, totp=f"{code[:3]}{between}{code[3:]}\n") == "SignedIn"


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "\u0661" * 6, "9" * 10_000])
async def test_what_is_no_code_is_wrong_and_not_counted(
    api: Api, db: Database, enrolled: Enrolled, typed: str
) -> None:
    assert await enrolled.enter(api, totp=typed) == "InvalidCode"

    assert await wrong_codes(db) == (0, 0)


async def test_a_wrong_code_is_recorded(api: Api, db: Database, enrolled: Enrolled) -> None:
    assert await enrolled.enter(api, totp=wrong(enrolled)) == "InvalidCode"
    assert await enrolled.enter(api, recoveryCode="0000-0000-0000-0000") == "InvalidCode"

    assert await events(db) == [
        ("factor.added", {"kind": "TOTP"}),
        ("challenge.issued", {}),
        ("factor.refused", {"method": "TOTP"}),
        ("challenge.issued", {}),
        ("factor.refused", {"method": "RECOVERY_CODE"}),
    ]


async def test_a_right_code_ends_the_count_of_wrong_ones_from_the_same_kind_of_device(
    api: Api, db: Database, enrolled: Enrolled
) -> None:
    phone = await device_of(api, enrolled)
    await enrolled.enter(api, totp=wrong(enrolled))
    await enrolled.enter(phone, totp=wrong(enrolled))
    await step_up(enrolled.session, totp=wrong(enrolled))
    assert await wrong_codes(db) == (1, 1)

    await enrolled.sign_in(api)

    # Who uses known devices every day must not hide from themself that somebody guesses elsewhere.
    assert await wrong_codes(db) == (0, 1)


async def test_a_wrong_recovery_code_does_not_count_towards_the_lock(
    api: Api, db: Database, enrolled: Enrolled
) -> None:
    await enrolled.enter(api, recoveryCode="0000-0000-0000-0000")

    assert await wrong_codes(db) == (0, 0)


async def test_ninety_nine_wrong_codes_lock_nothing(
    api: Api, db: Database, enrolled: Enrolled
) -> None:
    await change(db, HUNDREDTH)

    assert await enrolled.enter(api, totp=enrolled.app.next_code()) == "SignedIn"


class TestLocked:
    """After a hundred wrong codes in a row."""

    @pytest.fixture(autouse=True)
    async def locked(self, api: Api, db: Database, enrolled: Enrolled) -> None:
        await change(db, HUNDREDTH)
        assert await enrolled.enter(api, totp=wrong(enrolled)) == "InvalidCode"

    async def test_the_right_code_is_refused(
        self, api: Api, db: Database, enrolled: Enrolled
    ) -> None:
        assert await enrolled.enter(api, totp=enrolled.app.next_code()) == "InvalidCode"

        assert (await db.rows(SESSIONS))[0][0] == 2

    async def test_the_person_is_told_once(
        self, api: Api, db: Database, enrolled: Enrolled, outbox: Outbox, deliver: Deliver
    ) -> None:
        await enrolled.enter(api, totp=wrong(enrolled))
        await deliver()

        subject = "The codes of your authenticator app were locked"
        emails = [each for each in outbox.messages if each.subject == subject]
        assert [each.to for each in emails] == [enrolled.person.email]
        for words in (
            "A wrong code was entered for your account at Portico a hundred times in a row",
            "use a recovery code, or sign in with a device that you have signed in with before",
            "If it was not you, ask for a new password at once",
        ):
            assert words in " ".join(emails[0].text.split())
        named = [each for each in await events(db) if each[0] == "factor.locked"]
        assert named == [("factor.locked", {"source": "UNKNOWN_DEVICE"})]

    async def test_a_recovery_code_unlocks(
        self, api: Api, db: Database, enrolled: Enrolled
    ) -> None:
        assert await enrolled.enter(api, recoveryCode=enrolled.codes[0]) == "SignedIn"

        assert await wrong_codes(db) == (0, 0)
        assert await enrolled.enter(api, totp=enrolled.app.next_code()) == "SignedIn"

    async def test_a_session_steps_up_and_unlocks(self, api: Api, enrolled: Enrolled) -> None:
        assert await step_up(enrolled.session, totp=enrolled.app.next_code()) == "SteppedUp"

        assert await enrolled.enter(api, totp=enrolled.app.next_code()) == "SignedIn"

    async def test_a_reset_of_the_password_does_not_unlock(
        self, api: Api, db: Database, enrolled: Enrolled, outbox: Outbox, deliver: Deliver
    ) -> None:
        await api(REQUEST, email=enrolled.person.email)
        await deliver()
        assert await reset(api, outbox.token_for(enrolled.person.email)) == "UserChanged"

        assert await wrong_codes(db) == (100, 0)


async def test_a_known_device_is_not_locked_by_strangers(
    api: Api, db: Database, enrolled: Enrolled
) -> None:
    phone = await device_of(api, enrolled)
    await change(db, HUNDREDTH)
    await enrolled.enter(api, totp=wrong(enrolled))

    assert await enrolled.enter(phone, totp=enrolled.app.next_code()) == "SignedIn"

    assert await wrong_codes(db) == (0, 0)


async def test_a_stolen_device_locks_itself_and_not_the_owner(
    api: Api, db: Database, enrolled: Enrolled
) -> None:
    phone = await device_of(api, enrolled)
    await change(db, HUNDREDTH_OF_KNOWN)
    await enrolled.enter(phone, totp=wrong(enrolled))

    assert await enrolled.enter(phone, totp=enrolled.app.next_code()) == "InvalidCode"
    assert ("factor.locked", {"source": "KNOWN_DEVICE"}) in await events(db)

    assert await enrolled.enter(api, totp=enrolled.app.next_code()) == "SignedIn"


async def test_the_device_of_another_account_is_unknown(
    api: Api, db: Database, enrolled: Enrolled, grace: Person
) -> None:
    data = await api(LOGIN, input=grace.credentials)
    stranger = api.of_device(data["login"]["tokens"]["deviceToken"])

    await enrolled.enter(stranger, totp=wrong(enrolled))

    assert await wrong_codes(db) == (1, 0)
