"""Rate limits: what is counted and refused, and that owners of accounts are never locked out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import bcrypt
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.accounts.services.passwords import PasswordChanges
from app.database.database import Database
from app.errors import Overloaded
from app.jobs.services.worker import Worker
from app.keys.services.signing_keys import SigningKeys
from app.main import create_app
from app.security.client import block_of
from app.security.passwords import Passwords
from app.settings import Settings
from app.testing.clients import LOGIN, REGISTER, Api, Person
from app.testing.clock import FakeClock
from app.testing.outbox import Outbox
from app.throttle.services.budgets import Budgets
from tests.accounts.test_email_changes import ask, confirm
from tests.accounts.test_password_changes import NEW, REQUEST, change, reset
from tests.sessions.test_refreshing import REFRESH
from tests.support.periodic import tidy

Deliver = Callable[[], Awaitable[None]]
TOKENS = """
mutation Login($input: LoginInput!) {
  login(input: $input) { __typename ... on SignedIn { tokens { deviceToken refreshToken } } }
}
"""
RESET = """
mutation Reset($input: ResetPasswordInput!) {
  resetPassword(input: $input) { __typename ... on UserChanged { deviceToken } }
}
"""
REFRESH_TOKENS = """
mutation Refresh($token: String!) {
  refreshSession(input: {refreshToken: $token}) { ... on SignedIn { tokens { deviceToken } } }
}
"""
RENAME = """
mutation Rename($name: String) { updateProfile(input: {displayName: $name}) { __typename } }
"""
LOGIN_WAIT = """
mutation Login($input: LoginInput!) {
  login(input: $input) { __typename ... on RateLimited { message retryAfter } }
}
"""
FAIL_REFUNDS = (
    """
    CREATE FUNCTION fail_refund() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF cardinality(NEW.spent) < cardinality(OLD.spent) THEN
            RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100';
        END IF;
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER fail_refund BEFORE UPDATE ON budgets
        FOR EACH ROW EXECUTE FUNCTION fail_refund()
    """,
)


async def strict(settings: Settings, clock: FakeClock, outbox: Outbox) -> FastAPI:
    changes = {"throttle_scale": 1.0, "trusted_proxies": ("10.0.0.0/8", "127.0.0.1")}
    return create_app(settings.model_copy(update=changes), clock, outbox)


@pytest.fixture(scope="module")
async def limited(
    settings: Settings, clock: FakeClock, mailer: Outbox
) -> AsyncIterator[list[FastAPI]]:
    """Two workers with the budgets of production, behind a proxy on this machine."""
    workers = [await strict(settings, clock, mailer) for _ in range(2)]
    async with (
        workers[0].router.lifespan_context(workers[0]),
        workers[1].router.lifespan_context(workers[1]),
    ):
        yield workers


@pytest.fixture(autouse=True)
async def keys(limited: list[FastAPI]) -> None:
    """The database was emptied after the test before, keys included."""
    for worker in limited:
        await worker.state.portico.services[SigningKeys].refresh()


@pytest.fixture
def client(limited: list[FastAPI], api: Api) -> Callable[..., Api]:
    """A client of one of the workers, at an address, with a device token if one is given."""
    assert api.access_token is None

    def make(address: str = "203.0.113.1", device: str = "", worker: int = 0) -> Api:
        transport = httpx.ASGITransport(limited[worker], raise_app_exceptions=False)
        headers = {"x-forwarded-for": address, "portico-device": device}
        return Api(
            httpx.AsyncClient(transport=transport, base_url="http://portico", headers=headers)
        )

    return make


async def login(client: Api, email: str, password: str) -> str:
    data = await client(LOGIN, input={"email": email, "password": password})
    return data["login"]["__typename"]


async def guesses(client: Api, email: str, number: int) -> list[str]:
    return [await login(client, email, "wrong") for _ in range(number)]


async def test_eight_guesses_from_one_address(client: Any, ada: Person) -> None:
    answers = await guesses(client(), ada.email, 9)

    assert answers == [*["InvalidCredentials"] * 8, "RateLimited"]
    assert await login(client(), ada.email, ada.password) == "RateLimited"
    assert await login(client("203.0.113.2"), ada.email, ada.password) == "SignedIn"


async def test_fifteen_guesses_from_many_addresses(client: Any, ada: Person) -> None:
    answers = [(await guesses(client(f"203.0.113.{n}"), ada.email, 1))[0] for n in range(16)]

    assert answers == [*["InvalidCredentials"] * 15, "RateLimited"]


async def test_sixty_guesses_of_many_accounts(client: Any, ada: Person) -> None:
    answers = [
        (await guesses(client(), f"nobody{number}@example.com", 1))[0] for number in range(61)
    ]

    assert answers == [*["InvalidCredentials"] * 60, "RateLimited"]
    assert await login(client("203.0.113.2"), ada.email, ada.password) == "SignedIn"


async def test_fifty_guesses_at_once_on_two_workers_count_exactly(client: Any, ada: Person) -> None:
    tries = [login(client(worker=number % 2), ada.email, "wrong") for number in range(50)]

    answers = await asyncio.gather(*tries)

    assert answers.count("InvalidCredentials") == 8


async def test_a_known_and_an_unknown_account_are_limited_alike(
    client: Any, ada: Person, clock: FakeClock
) -> None:
    bodies: list[Any] = []
    for email in (ada.email, "nobody@example.com"):
        guest = client()
        await guesses(guest, email, 8)
        answer = await guest(LOGIN_WAIT, input={"email": email, "password": "wrong"})
        bodies.append({**answer["login"], "retryAfter": round(answer["login"]["retryAfter"], -1)})
        clock.pass_(minutes=5)

    assert bodies[0] == bodies[1]
    assert bodies[0] == {
        "__typename": "RateLimited",
        "message": "Too many attempts. Try again in 15 minutes.",
        "retryAfter": 900,
    }


async def test_the_window_slides(client: Any, ada: Person, clock: FakeClock) -> None:
    await guesses(client(), ada.email, 4)
    clock.pass_(minutes=10)
    await guesses(client(), ada.email, 4)
    assert await guesses(client(), ada.email, 1) == ["RateLimited"]

    clock.pass_(minutes=5)

    assert await guesses(client(), ada.email, 5) == [*["InvalidCredentials"] * 4, "RateLimited"]


async def test_a_sign_in_after_the_stated_wait_succeeds(
    client: Any, ada: Person, clock: FakeClock
) -> None:
    guest = client()
    await guesses(guest, ada.email, 8)
    wait = (await guest(LOGIN_WAIT, input=ada.credentials))["login"]["retryAfter"]

    clock.pass_(seconds=wait)

    assert await login(guest, ada.email, ada.password) == "SignedIn"


async def test_a_correct_password_is_refunded_and_wrong_ones_are_not(
    client: Any, ada: Person
) -> None:
    guest = client()
    await guesses(guest, ada.email, 7)

    for _ in range(20):
        assert await login(guest, ada.email, ada.password) == "SignedIn"

    assert await guesses(guest, ada.email, 2) == ["InvalidCredentials", "RateLimited"]


async def test_a_sign_in_that_cannot_be_refunded_is_answered_and_stays_charged(
    client: Any, ada: Person, db: Database
) -> None:
    async with db.begin() as session:
        for statement in FAIL_REFUNDS:
            await session.execute(text(statement))
    try:
        answers = [await login(client(), ada.email, ada.password) for _ in range(2)]
    finally:
        async with db.begin() as session:
            await session.execute(text("DROP FUNCTION fail_refund CASCADE"))

    assert answers == ["SignedIn"] * 2
    assert (await guesses(client(), ada.email, 7))[5:] == ["InvalidCredentials", "RateLimited"]


async def test_a_refused_attempt_is_no_audit_event_and_costs_no_hash(
    client: Any, ada: Person, db: Database
) -> None:
    await guesses(client(), ada.email, 20)

    rows = await db.rows(text("SELECT 1 FROM audit_events WHERE name = 'session.refused'"))
    assert len(rows) == 8


async def test_the_table_has_neither_email_nor_ip_addresses(
    client: Any, ada: Person, db: Database
) -> None:
    await guesses(client(), ada.email, 2)

    rows = await db.rows(text("SELECT encode(key, 'escape'), b::text FROM budgets b"))

    # Budgets of the address, its sign-ups, the account, and the account from this address.
    assert len(rows) == 4
    assert "ada" not in str(rows)
    assert "203.0.113" not in str(rows)


async def test_a_known_device_is_not_locked_out_by_strangers(
    client: Any, ada: Person, clock: FakeClock
) -> None:
    first = await client()(TOKENS, input=ada.credentials)
    device = first["login"]["tokens"]["deviceToken"]

    for _day in range(3):
        for number in range(16):
            await guesses(client(f"198.51.100.{number}"), ada.email, 1)
        assert await login(client("198.51.100.1"), ada.email, ada.password) == "RateLimited"
        assert await login(client("198.51.100.1", device), ada.email, ada.password) == "SignedIn"
        clock.pass_(hours=24)


@pytest.mark.parametrize("tries", [1, 1000])
async def test_attackers_at_any_rate_never_delay_a_known_device(
    client: Any, ada: Person, clock: FakeClock, tries: int
) -> None:
    tokens = (await client()(TOKENS, input=ada.credentials))["login"]["tokens"]
    laptop, refresh_token = client(device=tokens["deviceToken"]), tokens["refreshToken"]

    for minute in range(0, 40, 5):
        await attack(client, ada, minute, tries)
        assert await login(laptop, ada.email, ada.password) == "SignedIn"
        # A refresh token of the same device still works too.
        answer = (await client()(REFRESH, token=refresh_token))["refreshSession"]
        refresh_token = answer["tokens"]["refreshToken"]
        clock.pass_(minutes=5)


@pytest.mark.parametrize("tries", [1, 1000])
async def test_an_owner_on_a_new_device_waits_at_most_half_an_hour_for_an_email(
    client: Any, limited: Any, ada: Person, outbox: Outbox, clock: FakeClock, tries: int
) -> None:
    drain, signed_in = limited[0].state.portico.services[Worker].drain, ""
    for minute in range(0, 65, 5):
        await attack(client, ada, minute, tries)
        # The worst case: the emails of this hour are used up, and their links have expired.
        if minute > 30:
            await client()(REQUEST, email=ada.email)
        await drain()
        if minute > 30 and not signed_in:
            signed_in = await sign_in_by_email(client, outbox.token_for(ada.email), ada)
        clock.pass_(minutes=5)

    assert signed_in == "SignedIn"


async def attack(client: Any, victim: Person, minute: int, tries: int) -> None:
    """Guess the password and request emails, each time from another address."""
    # Further attempts are refused, and change nothing.
    for number in range(min(tries, 16)):
        await guesses(client(f"198.18.{minute}.{number}"), victim.email, 1)
    for number in range(min(tries, 4)):
        await client(f"198.19.{minute}.{number}")(REQUEST, email=victim.email)


async def sign_in_by_email(client: Any, token: str, person: Person) -> str:
    arguments = {"token": token, "newPassword": "a new engine 2"}
    answer = (await client()(RESET, input=arguments))["resetPassword"]
    if answer["__typename"] == "TokenInvalid":
        return ""
    return await login(client(device=answer["deviceToken"]), person.email, arguments["newPassword"])


async def test_one_address_cannot_use_all_workers_that_hash_passwords(
    client: Any, limited: list[FastAPI], ada: Person
) -> None:
    stranger, slow = "198.51.100.1", bcrypt.hashpw(b"y", bcrypt.gensalt(10)).decode()
    verify = limited[0].state.portico.services[Passwords].verify
    checks = [asyncio.create_task(verify("y", slow, stranger)) for _ in range(60)]
    await asyncio.sleep(0)

    assert await login(client(stranger), ada.email, ada.password) == "RateLimited"
    assert await login(client(), ada.email, ada.password) == "SignedIn"

    results = await asyncio.gather(*checks, return_exceptions=True)
    assert sum(isinstance(result, Overloaded) for result in results) > 40


@pytest.mark.parametrize(("scale", "guessed", "made"), [(0.5, 4, 15), (2.0, 16, 60)])
async def test_one_setting_scales_all_budgets(
    settings: Settings, clock: FakeClock, api: Api, scale: float, guessed: int, made: int
) -> None:
    app = create_app(settings.model_copy(update={"throttle_scale": scale}), clock)
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        answers = await guesses(guest, "nobody@example.com", guessed + 1)
        people = [Person(f"p{n}@example.com", "difference engine 1") for n in range(made + 1)]
        signed_up = [await guest(REGISTER, input=person.registration) for person in people]

    assert answers == [*["InvalidCredentials"] * guessed, "RateLimited"]
    names = [each["register"]["__typename"] for each in signed_up]
    assert names == [*["SignedIn"] * made, "RateLimited"]
    assert api.errors == []


async def test_the_name_of_an_account_cannot_collide_with_another_budget(
    client: Any, ada: Person
) -> None:
    # Joined with spaces this would name the budget of Ada's account at an address.
    forged = f"and address {ada.email} 203.0.113.1"
    for number in range(10):
        await guesses(client(f"198.51.100.{number}"), forged, 1)

    assert await login(client(), ada.email, ada.password) == "SignedIn"


async def test_a_refresh_gives_no_device_token(client: Any, ada: Person) -> None:
    first = (await client()(TOKENS, input=ada.credentials))["login"]["tokens"]

    answer = await client()(REFRESH_TOKENS, token=first["refreshToken"])

    assert (first["deviceToken"] or "").startswith("pdt_")
    assert answer == {"refreshSession": {"tokens": {"deviceToken": None}}}


async def test_all_devices_of_an_account_share_a_budget(client: Any, ada: Person) -> None:
    devices = [await device_of(client(), ada) for _ in range(4)]

    answers = [await guesses(client(device=each), ada.email, 15) for each in devices]

    assert answers[:3] == [["InvalidCredentials"] * 15] * 3
    assert answers[3] == ["RateLimited"] * 15
    assert await login(client(), ada.email, ada.password) == "SignedIn"


@pytest.mark.parametrize("ended_by", ["reset", "change", "email"])
async def test_a_device_is_unknown_again_after_a_change_of_trust(
    client: Any,
    limited: list[FastAPI],
    ada: Person,
    outbox: Outbox,
    ended_by: str,
) -> None:
    person, drain = ada, limited[0].state.portico.services[Worker].drain
    device = await device_of(client(), ada)
    laptop = client().with_tokens((await client()(LOGIN, input=ada.credentials))["login"])
    if ended_by == "reset":
        await client()(REQUEST, email=ada.email)
        await drain()
        assert await reset(client(), outbox.token_for(ada.email)) == "UserChanged"
        person = replace(ada, password=NEW)
    elif ended_by == "change":
        assert await change(laptop, ada.password, NEW) == "PasswordChanged"
        person = replace(ada, password=NEW)
    else:
        await ask(laptop, "countess@example.com", ada.password)
        await drain()
        assert await confirm(client(), outbox.token_for("countess@example.com")) == "UserChanged"
        person = replace(ada, email="countess@example.com")

    await guesses(client("198.51.100.1"), person.email, 8)

    stolen = client("198.51.100.1", device)
    assert await login(stolen, person.email, person.password) == "RateLimited"
    renewed = await device_of(client(), person)
    assert await login(client("198.51.100.1", renewed), person.email, person.password) == "SignedIn"


async def test_emails_to_new_addresses_are_five_a_day(
    client: Any, limited: list[FastAPI], ada: Person, outbox: Outbox, clock: FakeClock
) -> None:
    laptop = client().with_tokens((await client()(LOGIN, input=ada.credentials))["login"])
    wrong = [await ask(laptop, "s0@example.com", "wrong") for _ in range(6)]

    asked = [await ask(laptop, f"s{number}@example.com", ada.password) for number in range(7)]
    await limited[0].state.portico.services[Worker].drain()

    assert wrong == ["InvalidCredentials"] * 6
    assert asked == [*["RequestAccepted"] * 5, "RateLimited", "RateLimited"]
    strangers = [to for to, _ in outbox.subjects if to != ada.email]
    assert sorted(strangers) == [f"s{number}@example.com" for number in range(5)]
    clock.pass_(hours=24)
    laptop = client().with_tokens((await client()(LOGIN, input=ada.credentials))["login"])
    assert await ask(laptop, "s9@example.com", ada.password) == "RequestAccepted"


async def test_a_profile_changes_sixty_times_an_hour(client: Any, ada: Person) -> None:
    laptop = client().with_tokens((await client()(LOGIN, input=ada.credentials))["login"])

    for number in range(60):
        await laptop(RENAME, name=f"Ada {number}")
        assert laptop.errors == []
    await laptop(RENAME, name="Ada Lovelace")

    assert laptop.errors[0]["message"] == "Too many attempts. Try again in 60 minutes."
    assert laptop.last_code == "RATE_LIMITED"
    assert 0 < laptop.errors[0]["extensions"]["retryAfter"] <= 3600
    assert await laptop("{ me { displayName } }") == {"me": {"displayName": "Ada 59"}}


async def test_unknown_refresh_tokens_are_limited_and_delay_no_session(
    settings: Settings, clock: FakeClock, api: Api, ada: Person
) -> None:
    changes = {"throttle_scale": 1.0, "throttle_refreshes": 5}
    app = create_app(settings.model_copy(update=changes), clock)
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        laptop = await guest.login(ada)
        unknown = [(await guest(REFRESH, token=f"prt_{n}"))["refreshSession"] for n in range(7)]
        answer = await guest(REFRESH, token=laptop.refresh_token)

    names = [each["__typename"] for each in unknown]
    assert names == [*["SessionEnded"] * 5, "RateLimited", "RateLimited"]
    assert answer["refreshSession"]["__typename"] == "SignedIn"
    assert api.errors == []


class TestRefusedAttemptsAreReported:
    async def test_without_an_address_if_there_were_several(
        self, client: Any, limited: list[FastAPI], ada: Person, db: Database, clock: FakeClock
    ) -> None:
        for number in range(17):
            await guesses(client(f"198.51.100.{number}"), ada.email, 1)
        clock.pass_(minutes=15)

        await limited[0].state.portico.services[Budgets].report()

        assert await reported(db) == [("account", "2", None, ada.email)]

    async def test_also_if_no_attempt_is_charged_any_more(
        self, client: Any, limited: list[FastAPI], ada: Person, db: Database, clock: FakeClock
    ) -> None:
        await guesses(client(), ada.email, 10)
        async with db.begin() as session:
            await session.execute(text("UPDATE budgets SET spent = '{}'"))
        for number in range(60):
            await guesses(client("198.51.100.1"), f"nobody{number}@example.com", 1)
        assert await guesses(client("198.51.100.1"), ada.email, 1) == ["RateLimited"]
        clock.pass_(minutes=15)

        await limited[0].state.portico.services[Budgets].report()

        names = [row[0] for row in await reported(db)]
        assert sorted(names) == ["account_and_address", "address"]

    async def test_once_for_each_budget_and_window_with_a_count(
        self, client: Any, limited: list[FastAPI], ada: Person, db: Database, clock: FakeClock
    ) -> None:
        budgets = limited[0].state.portico.services[Budgets]
        await guesses(client(), ada.email, 28)
        await budgets.report()
        assert await reported(db) == []

        clock.pass_(minutes=15)
        await asyncio.gather(*(each.state.portico.services[Budgets].report() for each in limited))
        await budgets.report()

        assert await reported(db) == [
            ("account_and_address", "20", "203.0.113.1", ada.email),
        ]

    async def test_without_an_address_if_the_account_was_erased_meanwhile(
        self, client: Any, limited: list[FastAPI], ada: Person, db: Database, clock: FakeClock
    ) -> None:
        await guesses(client(), ada.email, 10)
        async with db.begin() as session:
            await session.execute(text("DELETE FROM users"))
        clock.pass_(minutes=15)

        await limited[0].state.portico.services[Budgets].report()

        assert await reported(db) == [("account_and_address", "2", None, None)]

    async def test_again_for_each_window_in_which_an_address_guesses(
        self, client: Any, limited: list[FastAPI], db: Database, clock: FakeClock
    ) -> None:
        budgets = limited[0].state.portico.services[Budgets]
        for _ in range(3):
            for number in range(62):
                await guesses(client(), f"nobody{number}@example.com", 1)
            clock.pass_(minutes=5)
            await budgets.report()
            await tidy(limited[0].state.portico)

        assert await reported(db) == [("address", "2", "203.0.113.1", None)] * 3


async def reported(db: Database) -> list[Any]:
    rows = await db.rows(
        text(
            "SELECT e.details->>'limit', e.details->>'refused', e.ip_address, u.email"
            " FROM audit_events e LEFT JOIN users u ON u.id = e.target_id"
            " WHERE e.name = 'rate_limit.exceeded' ORDER BY e.id"
        )
    )
    return [tuple(row) for row in rows]


async def device_of(client: Api, person: Person) -> str:
    data = await client(TOKENS, input=person.credentials)
    return data["login"]["tokens"]["deviceToken"]


async def test_a_device_has_a_budget_too(client: Any, ada: Person) -> None:
    first = await client()(TOKENS, input=ada.credentials)
    stolen = client(device=first["login"]["tokens"]["deviceToken"])

    answers = await guesses(stolen, ada.email, 16)

    assert answers == [*["InvalidCredentials"] * 15, "RateLimited"]
    assert await login(client(), ada.email, ada.password) == "SignedIn"


@pytest.mark.parametrize("tampered", ["forged", "of another", "cut"])
async def test_an_invalid_device_token_has_no_effect(
    client: Any, ada: Person, grace: Person, tampered: str
) -> None:
    person = grace if tampered == "of another" else ada
    device: str = (await client()(TOKENS, input=person.credentials))["login"]["tokens"][
        "deviceToken"
    ]
    changed = {"forged": device[:-4] + "AAAA", "of another": device, "cut": device[:-4]}[tampered]
    await guesses(client(), ada.email, 8)

    assert await login(client(device=changed), ada.email, ada.password) == "RateLimited"


async def test_thirty_registrations_from_one_address(client: Any) -> None:
    guest = client()
    answers: list[str] = []
    for number in range(31):
        person = Person(f"p{number}@example.com", "difference engine 1")
        data = await guest(REGISTER, input=person.registration)
        answers.append(data["register"]["__typename"])

    assert answers == [*["SignedIn"] * 30, "RateLimited"]


async def test_three_emails_of_a_kind_in_an_hour(
    client: Any, limited: list[FastAPI], ada: Person, outbox: Outbox, clock: FakeClock
) -> None:
    work = limited[0].state.portico.services[Worker]
    for _ in range(5):
        await client()(REQUEST, email=ada.email)
    await work.drain()
    assert len(outbox.messages) == 3

    clock.pass_(hours=1)
    await client()(REQUEST, email=ada.email)
    await work.drain()

    assert len(outbox.messages) == 4


async def test_a_failed_job_is_not_charged_for_its_email(
    client: Any, limited: list[FastAPI], ada: Person, outbox: Outbox
) -> None:
    parts = limited[0].state.portico
    broken = replace(parts.services[PasswordChanges], tokens=None)
    for _ in range(3):
        with pytest.raises(AttributeError):
            await broken.send_reset({"email": ada.email})

    await client()(REQUEST, email=ada.email)
    await parts.services[Worker].drain()

    assert outbox.subjects == [(ada.email, "Choose a new password")]


async def test_sixty_tokens_from_one_address(client: Any, ada: Person) -> None:
    guest = client()

    answers = [await reset(guest, "pot_" + "x" * 43) for _ in range(61)]
    asked = await guest(REQUEST, email=ada.email)

    assert answers == [*["TokenInvalid"] * 60, "RateLimited"]
    assert asked["requestPasswordReset"]["__typename"] == "RateLimited"


async def test_a_stolen_session_cannot_guess_the_password(client: Any, ada: Person) -> None:
    data = (await client()(LOGIN, input=ada.credentials))["login"]
    thief = client("198.51.100.7").with_tokens(data)

    answers = [await ask(thief, "thief@example.com", "wrong") for _ in range(16)]

    assert answers == [*["InvalidCredentials"] * 15, "RateLimited"]
    assert await login(client(), ada.email, ada.password) == "SignedIn"


async def test_refused_attempts_do_not_fill_the_table(
    client: Any, ada: Person, db: Database
) -> None:
    await guesses(client(), ada.email, 8)
    for number in range(52):
        await guesses(client(), f"nobody{number}@example.com", 1)
    before = await db.rows(text("SELECT count(*) FROM budgets"))

    answers = [(await guesses(client(), f"more{n}@example.com", 1))[0] for n in range(20)]

    assert answers == ["RateLimited"] * 20
    assert await db.rows(text("SELECT count(*) FROM budgets")) == before


async def test_a_clock_that_is_set_back_locks_no_user_out(
    client: Any, ada: Person, clock: FakeClock
) -> None:
    clock.pass_(hours=1)
    await guesses(client(), ada.email, 8)
    assert await login(client(), ada.email, ada.password) == "RateLimited"

    clock.pass_(hours=-1)

    assert await login(client(), ada.email, ada.password) == "SignedIn"
    assert await guesses(client(), ada.email, 9) == [*["InvalidCredentials"] * 8, "RateLimited"]


async def test_budgets_with_an_empty_window_are_deleted(
    client: Any, limited: list[FastAPI], db: Database, clock: FakeClock, ada: Person
) -> None:
    await guesses(client(), ada.email, 1)
    clock.pass_(minutes=15)

    await tidy(limited[0].state.portico)

    assert await db.rows(text("SELECT 1 FROM budgets")) == []


async def test_budgets_are_kept_out_of_the_wal(db: Database) -> None:
    asked = text("SELECT relpersistence FROM pg_class WHERE relname IN ('budgets', 'pk_budgets')")

    assert {row[0] for row in await db.rows(asked)} == {b"u"}


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        (None, "nowhere"),
    ],
)
def test_which_addresses_are_counted_together(address: str | None, block: str) -> None:
    assert block_of(address) == block


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("203.0.113.9:4711, 10.1.2.3", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("garbage, 10.1.2.3", "10.1.2.3"),
        ("", "127.0.0.1"),
    ],
)
async def test_an_address_is_taken_from_trusted_proxies_only(
    client: Any, ada: Person, forwarded: str, counted: str
) -> None:
    data = (await client(forwarded)(LOGIN, input=ada.credentials))["login"]
    laptop = client().with_tokens(data)

    shown = await laptop("{ me { sessions(first: 1) { nodes { ipAddress } } } }")

    assert shown["me"]["sessions"]["nodes"] == [{"ipAddress": counted}]


@pytest.mark.usefixtures("api")
async def test_of_two_headers_the_last_one_is_used(limited: list[FastAPI], ada: Person) -> None:
    transport = httpx.ASGITransport(limited[0])
    two = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "203.0.113.9")]
    base = "http://portico"
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=two) as http:
        data = (await Api(http)(LOGIN, input=ada.credentials))["login"]
        laptop = Api(http).with_tokens(data)
        shown = await laptop("{ me { sessions(first: 1) { nodes { ipAddress } } } }")

    assert shown["me"]["sessions"]["nodes"] == [{"ipAddress": "203.0.113.9"}]


async def test_without_trusted_proxies_the_header_is_ignored(api: Api, ada: Person) -> None:
    names = ("x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "true-client-ip")
    api.http.headers.update(dict.fromkeys(names, "203.0.113.9"))

    laptop = await api.login(ada)
    shown = await laptop("{ me { sessions(first: 1) { nodes { ipAddress } } } }")

    assert shown["me"]["sessions"]["nodes"] == [{"ipAddress": "127.0.0.1"}]


def test_trusting_all_addresses_is_refused(settings: Settings) -> None:
    with pytest.raises(ValueError, match="trust every address"):
        Settings.model_validate({**settings.model_dump(), "trusted_proxies": "0.0.0.0/0"})
