"""Refreshing: owners stay signed in, copied tokens end the session."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import ME, SIGNED_IN, Api, Person
from app.testing.clock import FakeClock

REFRESH = f"""
mutation Refresh($token: String!) {{
  refreshSession(input: {{refreshToken: $token}}) {{
    {SIGNED_IN} ... on SessionEnded {{ reason }}
  }}
}}
"""
REFRESH_ROLE = """
mutation Refresh($token: String!) {
  refreshSession(input: {refreshToken: $token}) { ... on SignedIn { user { role } } }
}
"""
WAITING_FOR_LOCKS = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
CUT_FIRST_CHANGE = (
    "CREATE SEQUENCE changes",
    """
    CREATE FUNCTION cut_first_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('changes') = 1 THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE CONSTRAINT TRIGGER cut_first_change AFTER UPDATE OF generation ON sessions
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut_first_change()
    """,
)
CUT_NO_CHANGE = ("DROP FUNCTION cut_first_change CASCADE", "DROP SEQUENCE changes")
LOGOUT = "mutation { logout { sessionsEnded } }"


async def refresh(api: Api, token: str | None) -> Any:
    return (await api(REFRESH, token=token))["refreshSession"]


async def reason(api: Api, token: str | None) -> str:
    answer = await refresh(api, token)
    assert answer["__typename"] == "SessionEnded", answer
    return answer["reason"]


async def until_one_waits_for_a_lock(db: Database) -> None:
    while True:
        if (await db.rows(WAITING_FOR_LOCKS))[0][0]:
            return
        await asyncio.sleep(0.01)


def token(signed_in: Any) -> str:
    assert signed_in["__typename"] == "SignedIn", signed_in
    return signed_in["tokens"]["refreshToken"]


async def test_a_refresh_continues_the_session(api: Api, ada: Person, clock: FakeClock) -> None:
    laptop = await api.login(ada)
    clock.pass_(minutes=20)
    assert await laptop(ME) == {"me": None}

    signed_in = await refresh(api, laptop.refresh_token)

    assert signed_in["session"] == {"id": laptop.session_id, "isCurrent": True}
    assert token(signed_in) != laptop.refresh_token
    assert await api.with_tokens(signed_in)(ME) == {"me": {"email": ada.email}}


async def test_two_tabs_get_the_same_successor(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)

    first = await refresh(api, laptop.refresh_token)
    await api.with_tokens(first)(ME)
    second = await refresh(api, laptop.refresh_token)

    assert token(first) == token(second)


async def test_a_refresh_whose_answer_was_lost_can_be_repeated_much_later(
    api: Api, ada: Person, clock: FakeClock
) -> None:
    laptop = await api.login(ada)
    lost = await refresh(api, laptop.refresh_token)

    clock.pass_(days=3)

    assert token(await refresh(api, laptop.refresh_token)) == token(lost)


async def test_a_predecessor_whose_successor_was_used_ends_the_session(
    api: Api, ada: Person, clock: FakeClock, db: Database
) -> None:
    laptop = await api.login(ada)
    thief = api.with_tokens(await refresh(api, laptop.refresh_token))
    assert await thief(ME) == {"me": {"email": ada.email}}

    clock.pass_(seconds=31)

    assert await reason(api, laptop.refresh_token) == "TOKEN_REUSED"
    assert (await thief(ME), thief.last_code) == ({"me": None}, "UNAUTHENTICATED")
    assert await reason(api, thief.refresh_token) == "TOKEN_REUSED"
    events = await db.rows(text("SELECT name FROM audit_events WHERE name LIKE 'token.%'"))
    assert [row[0] for row in events] == ["token.reused"]


async def test_a_token_older_than_the_predecessor_ends_the_session(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)
    second = await refresh(api, laptop.refresh_token)
    await refresh(api, token(second))

    assert await reason(api, laptop.refresh_token) == "TOKEN_REUSED"


@pytest.mark.parametrize("other", [{"user-agent": "another program"}, {}])
async def test_a_refresh_repeated_by_another_client_is_recorded(
    api: Api, ada: Person, db: Database, other: dict[str, str]
) -> None:
    laptop = await api.login(ada)
    first = await refresh(api, laptop.refresh_token)

    api.http.headers.update(other)
    second = await refresh(api, laptop.refresh_token)

    assert token(first) == token(second)
    events = await db.rows(text("SELECT name FROM audit_events WHERE name LIKE 'token.%'"))
    assert [row[0] for row in events] == ["token.repeated"] * bool(other)


async def test_a_hundred_concurrent_refreshes_get_the_same_successor(
    api: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)
    tabs = [Api(api.http) for _ in range(100)]

    answers = await asyncio.gather(*(refresh(tab, laptop.refresh_token) for tab in tabs))

    assert len({token(answer) for answer in answers}) == 1
    rows = await db.rows(text("SELECT generation FROM sessions WHERE ended_at IS NULL ORDER BY 1"))
    assert [row[0] for row in rows] == [0, 1]
    last = await api.with_tokens(answers[-1])(ME)
    assert last == {"me": {"email": ada.email}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE sessions SET ended_at = now(), end_reason = 'LOGGED_OUT'", "LOGGED_OUT"),
        ("UPDATE sessions SET expires_at = created_at", "EXPIRED"),
        ("UPDATE sessions SET generation = 1, first_generation = 1", "PASSWORD_CHANGED"),
        ("UPDATE sessions SET generation = 2", "TOKEN_REUSED"),
    ],
)
async def test_a_refresh_obeys_a_change_that_is_committed_after_it_has_read_the_session(
    api: Api, ada: Person, db: Database, change: str, expected: str
) -> None:
    laptop = await api.login(ada)
    async with db.begin() as session:
        await session.execute(text(change))
        refreshing = asyncio.create_task(reason(api, laptop.refresh_token))
        await until_one_waits_for_a_lock(db)

    assert await refreshing == expected


async def test_a_refresh_returns_the_user_as_of_the_rotation(
    api: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)
    async with db.begin() as session:
        # It can be read, and not changed.
        await session.execute(text("LOCK TABLE sessions IN SHARE MODE"))
        refreshing = asyncio.create_task(api(REFRESH_ROLE, token=laptop.refresh_token))
        await until_one_waits_for_a_lock(db)
        await session.execute(text("UPDATE users SET role = 'ADMIN'"))

    assert await refreshing == {"refreshSession": {"user": {"role": "ADMIN"}}}


async def test_a_refresh_whose_connection_breaks_at_its_commit_is_decided_anew(
    api: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)
    async with db.begin() as session:
        for statement in CUT_FIRST_CHANGE:
            await session.execute(text(statement))

    signed_in = await refresh(api, laptop.refresh_token)

    async with db.begin() as session:
        cuts = await session.scalar(text("SELECT last_value FROM changes"))
        for statement in CUT_NO_CHANGE:
            await session.execute(text(statement))
    assert cuts == 2
    assert await api.with_tokens(signed_in)(ME) == {"me": {"email": ada.email}}


async def test_the_first_use_of_a_generation_is_written_once(
    api: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)
    await laptop(ME)
    before = await db.rows(text("SELECT xmin::text, used_generation FROM sessions ORDER BY id"))

    for _ in range(5):
        await laptop(ME)

    assert (
        await db.rows(text("SELECT xmin::text, used_generation FROM sessions ORDER BY id"))
        == before
    )
    assert before[-1][1] == 0


async def test_a_session_expires_after_its_last_refresh(
    api: Api, ada: Person, clock: FakeClock
) -> None:
    laptop = await api.login(ada)
    clock.pass_(days=29)
    signed_in = await refresh(api, laptop.refresh_token)
    clock.pass_(days=29)
    signed_in = await refresh(api, token(signed_in))

    clock.pass_(days=31)

    assert await reason(api, token(signed_in)) == "EXPIRED"


async def test_a_session_expires_at_its_maximum_age_even_if_refreshed(
    api: Api, ada: Person, clock: FakeClock
) -> None:
    current = (await api.login(ada)).refresh_token
    for _ in range(13):
        clock.pass_(days=28)
        current = token(await refresh(api, current))

    clock.pass_(days=2)

    assert await reason(api, current) == "EXPIRED"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE users SET suspended_at = now()", "SUSPENDED"),
        (
            "UPDATE sessions SET ended_at = now(), end_reason = 'PASSWORD_CHANGED'",
            "PASSWORD_CHANGED",
        ),
        ("DELETE FROM sessions", "UNKNOWN_TOKEN"),
        ("UPDATE sessions SET token_salt = 'other'", "UNKNOWN_TOKEN"),
    ],
)
async def test_a_refresh_returns_why_the_session_is_over(
    api: Api, ada: Person, db: Database, statement: str, expected: str
) -> None:
    laptop = await api.login(ada)
    async with db.begin() as session:
        await session.execute(text(statement))

    assert await reason(api, laptop.refresh_token) == expected


@pytest.mark.parametrize(
    "wrong", ["", "garbage", "prt_" + "A" * 70, "prt_" + "é" * 70, "x" * 10_000]
)
async def test_an_invalid_refresh_token_is_unknown(api: Api, ada: Person, wrong: str) -> None:
    assert ada.email
    assert await reason(api, wrong) == "UNKNOWN_TOKEN"


async def test_an_altered_refresh_token_is_unknown_and_ends_nothing(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)
    good = laptop.refresh_token or ""
    altered = good[:30] + ("A" if good[30] != "A" else "B") + good[31:]

    assert await reason(api, altered) == "UNKNOWN_TOKEN"
    assert await laptop(ME) == {"me": {"email": ada.email}}


async def test_a_session_survives_a_database_restored_from_a_backup(
    api: Api, ada: Person, db: Database
) -> None:
    laptop = await api.login(ada)
    ahead = token(await refresh(api, token(await refresh(api, laptop.refresh_token))))
    async with db.begin() as session:
        await session.execute(text("UPDATE sessions SET generation = 0, used_generation = -1"))

    assert (await refresh(api, ahead))["__typename"] == "SignedIn"
