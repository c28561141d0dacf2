"""Links in emails: each works once, until it expires, for its own purpose only."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import permutations

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.mail.models import TokenPurpose
from app.mail.services.one_time_tokens import LIFETIMES
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from app.testing.outbox import Outbox
from tests.accounts.test_email_changes import ask, confirm
from tests.accounts.test_email_verification import verify
from tests.accounts.test_password_changes import AGAIN, REQUEST, reset
from tests.people.test_administration import CREATE, mutate
from tests.support.periodic import tidy

Use = Callable[..., Awaitable[str]]
Issue = Callable[[TokenPurpose], Awaitable[str]]
USES: dict[TokenPurpose, Use] = {
    TokenPurpose.VERIFY_EMAIL: verify,
    TokenPurpose.RESET_PASSWORD: reset,
    TokenPurpose.CHANGE_EMAIL: confirm,
    TokenPurpose.INVITATION: reset,
    TokenPurpose.UNDO_EMAIL_CHANGE: confirm,
}
SENT_TO_ADA = {
    TokenPurpose.VERIFY_EMAIL,
    TokenPurpose.RESET_PASSWORD,
    TokenPurpose.UNDO_EMAIL_CHANGE,
}
USED: dict[Use, str] = {verify: "SignedIn", reset: "UserChanged", confirm: "UserChanged"}
SWAPPED = [each for each in permutations(TokenPurpose, 2) if USES[each[0]] is not USES[each[1]]]


@pytest.fixture
def issue(
    api: Api,
    ada: Person,
    grace: Person,
    db: Database,
    outbox: Outbox,
    deliver: Callable[[], Awaitable[None]],
) -> Issue:
    """Returns a function that has an email of a purpose sent, and returns its token."""

    async def issued(purpose: TokenPurpose) -> str:
        to = ada.email if purpose in SENT_TO_ADA else "new@example.com"
        match purpose:
            case TokenPurpose.VERIFY_EMAIL:
                await api(AGAIN, email=ada.email)
            case TokenPurpose.RESET_PASSWORD:
                await api(REQUEST, email=ada.email)
            case TokenPurpose.CHANGE_EMAIL:
                await ask(await api.login(ada), to, ada.password)
            case TokenPurpose.INVITATION:
                await mutate(await api.login(grace), CREATE, email=to)
            case TokenPurpose.UNDO_EMAIL_CHANGE:
                async with db.begin() as session:
                    await session.execute(text("UPDATE users SET email_verified = true"))
                await ask(await api.login(ada), "new@example.com", ada.password)
                await deliver()
                assert await confirm(api, outbox.token_for("new@example.com")) == "UserChanged"
        await deliver()
        return outbox.token_for(to)

    return issued


@pytest.mark.parametrize("purpose", TokenPurpose)
async def test_one_of_fifty_concurrent_uses_succeeds(
    api: Api, issue: Issue, purpose: TokenPurpose
) -> None:
    token, use = await issue(purpose), USES[purpose]

    clients = [api.of_program(f"browser {number}") for number in range(50)]
    answers = await asyncio.gather(*(use(client, token) for client in clients))

    assert sorted(answers) == sorted([USED[use], *["TokenInvalid"] * 49])


@pytest.mark.parametrize("purpose", TokenPurpose)
async def test_a_used_link_is_invalid_for_another_client(
    api: Api, db: Database, issue: Issue, purpose: TokenPurpose
) -> None:
    token, use = await issue(purpose), USES[purpose]
    assert await use(api, token) == USED[use]
    before = await contents(db)

    assert await use(api.of_program("another browser"), token) == "TokenInvalid"

    assert await contents(db) == before


@pytest.mark.parametrize("purpose", [TokenPurpose.RESET_PASSWORD, TokenPurpose.INVITATION])
async def test_a_link_sets_a_password_once(
    api: Api, db: Database, issue: Issue, purpose: TokenPurpose
) -> None:
    token = await issue(purpose)
    assert await reset(api, token) == "UserChanged"
    before = await contents(db)

    assert await reset(api, token) == "TokenInvalid"

    assert await contents(db) == before


@pytest.mark.parametrize("purpose", TokenPurpose)
async def test_an_expired_link_does_nothing(
    api: Api, db: Database, issue: Issue, clock: FakeClock, purpose: TokenPurpose
) -> None:
    token, use = await issue(purpose), USES[purpose]
    before = await contents(db)
    clock.pass_(seconds=LIFETIMES[purpose].total_seconds())

    assert await use(api, token) == "TokenInvalid"
    assert await contents(db) == before

    clock.pass_(seconds=-60)
    assert await use(api, token) == USED[use]


@pytest.mark.parametrize(("made_for", "used_for"), SWAPPED)
async def test_a_link_used_for_another_purpose_does_nothing_and_stays_valid(
    api: Api, db: Database, issue: Issue, made_for: TokenPurpose, used_for: TokenPurpose
) -> None:
    token = await issue(made_for)
    before = await contents(db)

    assert await USES[used_for](api, token) == "TokenInvalid"

    assert await contents(db) == before
    assert await USES[made_for](api, token) == USED[USES[made_for]]


@pytest.mark.parametrize("purpose", TokenPurpose)
async def test_expired_tokens_are_deleted(
    app: FastAPI, db: Database, issue: Issue, clock: FakeClock, purpose: TokenPurpose
) -> None:
    await issue(purpose)
    clock.pass_(seconds=(LIFETIMES[purpose] + timedelta(minutes=1)).total_seconds())

    await tidy(app.state.portico)

    assert await db.rows(text("SELECT 1 FROM one_time_tokens")) == []
