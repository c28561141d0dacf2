"""`portico passkeys remove`: a domain was given up, and the passkeys for it with it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.commands import run
from app.testing.databases import contents
from tests.people.test_users_command import on_a_terminal, shown
from tests.support import authenticator as factors
from tests.support import passkeys
from tests.support.passkeys import SoftwareAuthenticator

FORMER = "former.example.com"
REMOVE = ("passkeys", "remove", "--rp-id", FORMER)
MOVE = text("UPDATE passkeys SET rp_id = :domain")
NO_PASSWORD = text("UPDATE users SET password_hash = NULL WHERE email = :email")
NEEDS_PASSWORD = text("UPDATE passkeys SET needs_password = true WHERE rp_id = 'localhost'")
ONLY_BY_RESET = (
    "1 of them have no password, and no passkey that signs in alone for localhost: they can only "
    "come back by resetting the password by email.\n"
)
EVENTS = text(
    "SELECT actor_id, target_id, details FROM audit_events WHERE name = 'passkeys.removed'"
)
LOCK = text("SELECT 1 FROM users WHERE email = :email FOR UPDATE")
ENROLL = text(
    "INSERT INTO factors (id, user_id, kind, created_at)"
    " SELECT gen_random_uuid(), id, 'TOTP', now() FROM users WHERE email = :email"
)
BLOCKED = text(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
REMAIN = text("SELECT kind FROM factors ORDER BY kind")
REFUSED = (
    f"Passkeys were registered for {FORMER}, and WEBAUTHN_RP_ID is localhost: they do not work "
    f"there. Set WEBAUTHN_RP_ID={FORMER}, or remove them: portico passkeys remove --rp-id {FORMER}"
)


async def session_of(api: Api, db: Database, person: Person) -> Api:
    await factors.verify(db, person)
    return await api.login(person)


async def move_to_former_domain(db: Database) -> None:
    """Make all passkeys those of another domain, as before WEBAUTHN_RP_ID was changed."""
    async with db.begin() as session:
        await session.execute(MOVE, {"domain": FORMER})


async def until_blocked(db: Database) -> None:
    """Wait until a statement waits for a lock."""
    async with asyncio.timeout(10):
        while not await db.rows(BLOCKED):  # noqa: ASYNC110 - of the server
            await asyncio.sleep(0.02)


async def rows(db: Database, statement: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await db.rows(statement)]


async def test_commands_refuse_to_start_with_passkeys_of_another_domain(
    api: Api, ada: Person, db: Database, environment: dict[str, str]
) -> None:
    await passkeys.register(await session_of(api, db, ada), SoftwareAuthenticator())
    await move_to_former_domain(db)
    before = await contents(db)

    refused = await run("users", "reinstate", ada.email, **environment)

    assert str(refused.exception) == REFUSED
    assert await contents(db) == before


async def test_the_passkeys_of_another_domain_are_removed_with_their_recovery_codes(
    api: Api, ada: Person, db: Database, environment: dict[str, str]
) -> None:
    owner = await session_of(api, db, ada)
    for _ in range(2):
        await passkeys.register(owner, SoftwareAuthenticator())
    challenged = (await api(factors.LOGIN, input=ada.credentials))["login"]["challenge"]
    await move_to_former_domain(db)

    removed = await run(*REMOVE, "--yes", **environment)

    assert (removed.exit_code, removed.stderr) == (0, "")
    assert removed.stdout == (
        f"2 passkeys for {FORMER} of 1 users were removed. Tell them: no email was sent, and the "
        "password alone signs in whoever has no other second factor.\n"
    )
    details = {"domain": FORMER, "passkeys": "2", "users": "1", "by": "command line"}
    assert await rows(db, EVENTS) == [(None, None, details)]
    facts = await shown(ada.email, environment)
    assert [facts[name] for name in ("factors", "recoveryCodesLeft")] == [0, 0]
    begun = await api(passkeys.BEGIN_CHALLENGE, token=challenged["token"])
    assert begun["beginPasskeyChallenge"]["__typename"] == "ChallengeExpired"
    assert (await owner(ME))["me"]["email"] == ada.email
    assert (await (await api.login(ada))(ME))["me"]["email"] == ada.email


async def test_who_has_another_factor_keeps_it_and_the_recovery_codes(
    api: Api, ada: Person, db: Database, clock: FakeClock, environment: dict[str, str]
) -> None:
    enrolled = await factors.enroll(api, db, ada, clock)
    await passkeys.register(enrolled.session, SoftwareAuthenticator())
    await move_to_former_domain(db)

    await run(*REMOVE, "--yes", **environment)

    assert await rows(db, REMAIN) == [("TOTP",)]
    facts = await shown(ada.email, environment)
    assert [facts[name] for name in ("factors", "recoveryCodesLeft")] == [1, 10]


async def test_a_factor_that_is_enrolled_meanwhile_keeps_the_recovery_codes(
    api: Api, ada: Person, db: Database, environment: dict[str, str]
) -> None:
    await passkeys.register(await session_of(api, db, ada), SoftwareAuthenticator())
    await move_to_former_domain(db)
    async with db.begin() as session:
        # As an enrollment does, which locks the user first.
        await session.execute(LOCK, {"email": ada.email})
        removal = asyncio.create_task(run(*REMOVE, "--yes", **environment))
        await until_blocked(db)
        await session.execute(ENROLL, {"email": ada.email})
    removed = await removal

    assert removed.exit_code == 0
    assert await rows(db, REMAIN) == [("TOTP",)]
    facts = await shown(ada.email, environment)
    assert [facts[name] for name in ("factors", "recoveryCodesLeft")] == [1, 10]


async def test_passkeys_and_codes_of_this_domain_stay(
    api: Api, ada: Person, grace: Person, db: Database, environment: dict[str, str]
) -> None:
    await passkeys.register(await session_of(api, db, ada), SoftwareAuthenticator())
    await move_to_former_domain(db)
    device = SoftwareAuthenticator()
    await passkeys.register(await session_of(api, db, grace), device)

    await run(*REMOVE, "--yes", **environment)

    assert (await passkeys.sign_in(api, device))["user"] == {"email": grace.email}
    facts = [await shown(person.email, environment) for person in (ada, grace)]
    assert [(each["factors"], each["recoveryCodesLeft"]) for each in facts] == [(0, 0), (1, 10)]


@pytest.mark.parametrize(
    ("another", "is_said"),
    [(None, True), ("alone", False), ("with the password", True)],
    ids=["none", "another that signs in alone", "another that needs the password"],
)
async def test_it_says_how_many_can_only_come_back_by_a_reset(
    api: Api,
    ada: Person,
    grace: Person,
    db: Database,
    environment: dict[str, str],
    another: str | None,
    is_said: bool,
) -> None:
    owner = await session_of(api, db, ada)
    for session in (owner, await session_of(api, db, grace)):
        await passkeys.register(session, SoftwareAuthenticator())
    await move_to_former_domain(db)
    if another is not None:
        await passkeys.register(owner, SoftwareAuthenticator())
    async with db.begin() as session:
        await session.execute(NO_PASSWORD, {"email": ada.email})
        if another == "with the password":
            await session.execute(NEEDS_PASSWORD)
    before = await contents(db)

    asked = await run(*REMOVE, **environment)

    assert (asked.exit_code, await contents(db)) == (1, before)
    assert asked.stdout == (ONLY_BY_RESET if is_said else "")
    assert asked.stderr == (
        "portico: Nothing was removed: pass --yes to remove 2 passkeys of 2 users.\n"
    )


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (
            "localhost",
            "localhost is the domain of this server (WEBAUTHN_RP_ID), whose passkeys are in use.",
        ),
        ("other.example", "No passkeys are registered for other.example."),
    ],
)
async def test_nothing_is_removed_for_this_domain_or_an_unknown_one(
    api: Api, ada: Person, db: Database, environment: dict[str, str], domain: str, message: str
) -> None:
    await passkeys.register(await session_of(api, db, ada), SoftwareAuthenticator())
    before = await contents(db)

    refused = await run("passkeys", "remove", "--rp-id", domain, "--yes", **environment)

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == f"portico: {message} Nothing was removed.\n"
    assert await contents(db) == before


@pytest.mark.parametrize(("typed", "left"), [("n", 1), ("y", 0)])
async def test_on_a_terminal_it_asks_first(
    api: Api,
    ada: Person,
    db: Database,
    environment: dict[str, str],
    tmp_path: Path,
    typed: str,
    left: int,
) -> None:
    await passkeys.register(await session_of(api, db, ada), SoftwareAuthenticator())
    await move_to_former_domain(db)

    said, code = await asyncio.to_thread(
        on_a_terminal, *REMOVE, typed=typed, cwd=tmp_path, **environment
    )

    assert code == (1 if left else 0)
    assert "This removes 1 passkeys of 1 users for good, and the recovery codes of those" in said
    assert len(await rows(db, REMAIN)) == left
