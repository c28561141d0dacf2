"""What a change of trust ends, of things that began before it."""

from collections.abc import Awaitable, Callable

from app.database.database import Database
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from tests.factors.model.actors import (
    CHANGE_PASSWORD,
    REQUEST_VERIFICATION,
    STATE_OF_ME,
    VERIFY_EMAIL,
)
from tests.support.authenticator import BEGIN, CONFIRM, Authenticator, enroll, verify


async def test_a_kept_session_cannot_confirm_what_it_began_before_the_password_was_changed(
    api: Api, db: Database, ada: Person, clock: FakeClock
) -> None:
    await verify(db, ada)
    thief, owner = await api.login(ada), await api.login(ada)
    begun = (await thief(BEGIN))["beginTotpEnrollment"]
    changed = {
        "currentPassword": ada.password,
        "newPassword": "analytical engine 2",
        "keepOtherSessions": True,
    }
    await owner(CHANGE_PASSWORD, input=changed)

    code = Authenticator(begun["secret"], clock).code()
    data = await thief(CONFIRM, code=code)

    assert data["confirmTotpEnrollment"]["__typename"] == "ChallengeExpired"
    assert (await thief(STATE_OF_ME))["me"]["factors"] == []
    await thief(BEGIN)
    assert thief.last_code == "STEP_UP_REQUIRED"


async def test_a_used_link_signs_nobody_in_again_once_there_is_a_factor(
    api: Api,
    db: Database,
    ada: Person,
    clock: FakeClock,
    outbox: Outbox,
    deliver: Callable[[], Awaitable[None]],
) -> None:
    await api(REQUEST_VERIFICATION, input={"email": ada.email})
    await deliver()
    session = await api.login(ada)
    link = {"token": outbox.token_for(ada.email)}
    verified = await session(VERIFY_EMAIL, input=link)
    assert verified["verifyEmail"]["__typename"] == "SignedIn"
    await enroll(api, db, ada, clock)

    data = await api(VERIFY_EMAIL, input=link)

    assert data["verifyEmail"] == {"__typename": "TokenInvalid"}
