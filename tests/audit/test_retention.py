"""Audit retention: what it removes, and that what is left can be verified."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from alembic import command
from app.audit.services.checkpoints import Checkpoints
from app.audit.services.integrity.verifier import AuditVerifier
from app.audit.services.retention import AuditRetention
from app.composition import Portico
from app.database import migrations
from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.testing.clients import LOGIN, Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import on_server
from app.testing.settings import settings_for
from tests.accounts.test_profile import DELETE
from tests.audit.test_audit_events import EVENTS, tamper
from tests.support.servers import portico

Verify = Callable[[], Awaitable[str]]
SignIns = Callable[[int], Awaitable[None]]
KEEP_DAYS = 30
REFUSED = "is not allowed"
DAYS = text("SELECT DISTINCT left(chain, 10) FROM audit_events ORDER BY 1")
OLDEST = text(
    "INSERT INTO audit_events (id, at, name, actor_id, ip_address, details)"
    " SELECT gen_random_uuid(), now() - interval '50 days', 'session.started', id, '192.0.2.1',"
    " '{}' FROM users WHERE email = 'ada@example.com'"
)
HOLD_SECOND_EVENT = text(
    "SELECT 1 FROM audit_events WHERE position = 2 ORDER BY chain LIMIT 1 FOR UPDATE"
)
PARTLY_TRIMMED = text(
    "SELECT position, trimmed_position FROM audit_chains"
    " WHERE trimmed_position BETWEEN 1 AND position - 1"
)
ANNOUNCEMENTS = text(
    "SELECT details - 'mac' FROM audit_events WHERE name = 'audit.trimmed' ORDER BY id"
)
ANNOUNCE_ON = text(
    "INSERT INTO audit_events (id, at, name, details)"
    " VALUES (gen_random_uuid(), now() - :announced * interval '1 day', 'audit.trimmed',"
    "   jsonb_build_object('before', (now() AT TIME ZONE 'UTC')::date - CAST(:before AS int)))"
)
# As the application could insert it: the event is chained, and signed with the others.
ANNOUNCE = text(
    "INSERT INTO audit_events (id, at, name, details)"
    " VALUES (gen_random_uuid(), now(), 'audit.trimmed',"
    "   jsonb_build_object('before', (now() AT TIME ZONE 'UTC')::date - 1, 'mac', repeat('0', 64)))"
)


def day(days_ago: int) -> str:
    return str((datetime.now(UTC) - timedelta(days=days_ago)).date())


async def verdict(parts: Portico) -> str:
    """Returns the findings of a verification, or the numbers of what it verified."""
    report = await parts.services[AuditVerifier].verify()
    if report.findings:
        return "\n".join(report.findings)
    return f"{report.events} events since {report.kept_since}"


def with_retention(
    parts: Portico, days: int | None = KEEP_DAYS, batch: int = 1000
) -> AuditRetention:
    return replace(parts.services[AuditRetention], keep_days=days, batch=batch)


@pytest.fixture
def parts(app: FastAPI) -> Portico:
    return app.state.portico


@pytest.fixture
def verify(parts: Portico) -> Verify:
    async def run() -> str:
        return await verdict(parts)

    return run


@pytest.fixture
def sign_ins(api: Api, ada: Person, clock: FakeClock, parts: Portico) -> SignIns:
    """Makes three sign-ins on a day that many days ago, and a checkpoint."""

    async def run(days_ago: int) -> None:
        clock.pass_(days=-days_ago)
        for _ in range(3):
            await api(LOGIN, input={"email": ada.email, "password": ada.password})
        await parts.services[Checkpoints].sign()
        clock.pass_(days=days_ago)

    return run


@pytest.fixture
async def history(sign_ins: SignIns, db: Database) -> int:
    """Makes sign-ins on four days and a registration today; returns the number of events."""
    async with db.begin() as one_chain:
        for _ in range(3):
            await one_chain.execute(OLDEST)
    for days_ago in (40, 20, 10):
        await sign_ins(days_ago)
    return 2 + 4 * 3


@pytest.fixture
async def trimmed(history: int, parts: Portico) -> int:
    """Applies retention to it: two days are removed, and an announcement is added."""
    await with_retention(parts).apply()
    return history - 6 + 1


async def test_nothing_is_removed_unless_retention_is_set(
    history: int, parts: Portico, verify: Verify
) -> None:
    await parts.services[AuditRetention].apply()

    assert await verify() == f"{history} events since None"


async def test_whole_days_older_than_the_retention_period_are_removed(
    trimmed: int, db: Database, verify: Verify
) -> None:
    days = [row[0] for row in await db.rows(DAYS)]

    assert (days, trimmed) == ([day(20), day(10), day(0)], 9)
    assert await verify() == f"{trimmed} events since {day(KEEP_DAYS)}"


async def test_a_day_is_removed_when_the_retention_period_after_it_is_over(
    sign_ins: SignIns, parts: Portico, db: Database, verify: Verify
) -> None:
    for days_ago in (KEEP_DAYS + 1, KEEP_DAYS):
        await sign_ins(days_ago)

    await with_retention(parts).apply()

    assert [row[0] for row in await db.rows(DAYS)] == [day(KEEP_DAYS), day(0)]
    assert await verify() == f"6 events since {day(KEEP_DAYS)}"


@pytest.mark.usefixtures("trimmed")
async def test_the_removal_is_an_event_for_administrators(
    api: Api, grace: Person, db: Database
) -> None:
    admin = await api.login(grace)
    chains = await db.rows(text("SELECT 1 FROM audit_chains WHERE trimmed_position > 0"))

    answer = await admin(EVENTS, filter={"names": ["audit.trimmed"]})

    (edge,) = answer["auditEvents"]["edges"]
    details = {each["name"]: each["value"] for each in edge["node"]["details"]}
    assert len(details.pop("mac")) == 64
    assert details == {"before": day(KEEP_DAYS), "chains": str(len(chains)), "events": "6"}


async def test_retention_that_is_applied_again_changes_nothing(
    trimmed: int, parts: Portico, verify: Verify
) -> None:
    for _ in range(2):
        await with_retention(parts).apply()

    assert await verify() == f"{trimmed} events since {day(KEEP_DAYS)}"


async def test_concurrent_removals_are_announced_once(
    history: int, parts: Portico, other_worker: FastAPI, db: Database, verify: Verify
) -> None:
    workers = (parts, other_worker.state.portico) * 3

    await asyncio.gather(*(with_retention(worker, batch=1).apply() for worker in workers))

    assert len(await db.rows(ANNOUNCEMENTS)) == 1
    await with_retention(parts).apply()
    assert await verify() == f"{history - 5} events since {day(KEEP_DAYS)}"


@pytest.mark.usefixtures("history")
async def test_the_audit_is_valid_at_every_moment_of_the_removal(
    parts: Portico, verify: Verify
) -> None:
    removal = asyncio.ensure_future(with_retention(parts, batch=1).apply())
    verdicts = {await verify()}
    while not removal.done():
        verdicts.add(await verify())
    await removal

    assert {each.partition(" ")[2] for each in verdicts} <= {
        "events since None",
        f"events since {day(KEEP_DAYS)}",
    }


@pytest.fixture
async def half_trimmed(history: int, parts: Portico, db: Database) -> int:
    """Stops a removal in the middle of a day; returns the number of events that are left."""
    async with db.begin() as other:
        await other.execute(HOLD_SECOND_EVENT)
        await with_retention(parts).apply()
    assert await db.rows(PARTLY_TRIMMED) == [(3, 1)]
    return history + 1 - 1 - 3


async def test_an_interrupted_removal_is_valid_and_is_continued(
    half_trimmed: int, parts: Portico, verify: Verify
) -> None:
    assert await verify() == f"{half_trimmed} events since {day(KEEP_DAYS)}"

    await with_retention(parts).apply()

    assert await verify() == f"9 events since {day(KEEP_DAYS)}"


async def test_a_longer_retention_period_stops_a_removal_that_was_announced(
    half_trimmed: int, parts: Portico, verify: Verify
) -> None:
    for days in (365, None):
        await with_retention(parts, days).apply()

    assert await verify() == f"{half_trimmed} events since {day(KEEP_DAYS)}"


async def test_a_shorter_retention_period_is_announced_and_removes_more(
    trimmed: int, parts: Portico, db: Database, verify: Verify
) -> None:
    await with_retention(parts, 15).apply()

    days = [row[0]["before"] for row in await db.rows(ANNOUNCEMENTS)]
    assert days == [day(KEEP_DAYS), day(15)]
    assert await verify() == f"{trimmed - 3 + 1} events since {day(15)}"


async def test_an_announcement_is_removed_too_when_a_newer_one_covers_its_day(
    sign_ins: SignIns, clock: FakeClock, parts: Portico, db: Database, verify: Verify
) -> None:
    await sign_ins(100)
    clock.pass_(days=-50)
    await with_retention(parts).apply()
    assert await verify() == f"3 events since {day(80)}"
    clock.pass_(days=50)

    await with_retention(parts).apply()

    announced = [row[0] for row in await db.rows(ANNOUNCEMENTS)]
    assert announced == [{"before": day(KEEP_DAYS), "chains": "1", "events": "1"}]
    assert await verify() == f"3 events since {day(KEEP_DAYS)}"


async def test_a_clock_that_is_ahead_removes_nothing_too_soon(
    history: int, clock: FakeClock, parts: Portico, verify: Verify
) -> None:
    clock.pass_(days=3650)

    await with_retention(parts).apply()

    assert await verify() == f"{history - 6 + 1} events since {day(KEEP_DAYS)}"


async def test_a_clock_that_was_set_back_removes_less(
    history: int, clock: FakeClock, parts: Portico, verify: Verify
) -> None:
    clock.pass_(days=-15)

    await with_retention(parts).apply()

    assert await verify() == f"{history - 3 + 1} events since {day(45)}"


async def test_late_events_of_a_removed_day_are_valid_and_removed_next(
    trimmed: int, sign_ins: SignIns, parts: Portico, verify: Verify
) -> None:
    for _ in range(8):
        await sign_ins(50)
    assert await verify() == f"{trimmed + 24} events since {day(KEEP_DAYS)}"

    await with_retention(parts).apply()

    assert await verify() == f"{trimmed} events since {day(KEEP_DAYS)}"


async def test_a_user_is_erased_from_the_remaining_events(
    half_trimmed: int, api: Api, ada: Person, parts: Portico, db: Database, verify: Verify
) -> None:
    member = await api.login(ada)

    await member(DELETE, password=ada.password)

    kept = await db.rows(text("SELECT 1 FROM audit_events WHERE ip_address IS NOT NULL"))
    assert (kept, await verify()) == ([], f"{half_trimmed + 2} events since {day(KEEP_DAYS)}")
    await with_retention(parts).apply()
    assert await verify() == f"11 events since {day(KEEP_DAYS)}"


@pytest.mark.usefixtures("history")
async def test_a_user_is_erased_while_events_are_removed(
    api: Api, ada: Person, parts: Portico, db: Database, verify: Verify
) -> None:
    member = await api.login(ada)

    await asyncio.gather(
        member(DELETE, password=ada.password),
        *(with_retention(parts, batch=1).apply() for _ in range(3)),
    )

    await with_retention(parts).apply()
    kept = await db.rows(text("SELECT 1 FROM audit_events WHERE ip_address IS NOT NULL"))
    assert (kept, await verify()) == ([], f"11 events since {day(KEEP_DAYS)}")


async def test_events_from_before_chains_are_removed_by_the_day_they_were_signed(
    empty_url: str,
) -> None:
    clock = FakeClock()
    await asyncio.to_thread(command.upgrade, migrations.config(empty_url), "0005")
    await on_server(
        empty_url,
        "INSERT INTO audit_events (id, at, name, details) SELECT gen_random_uuid(),"
        " now() - interval '200 days', 'session.started', '{}' FROM generate_series(1, 5)",
    )
    await asyncio.to_thread(migrations.upgrade, empty_url)
    clock.pass_(days=-100)
    app = create_app(settings_for(empty_url), clock)
    async with app.router.lifespan_context(app):
        parts: Portico = app.state.portico
        await parts.services[Checkpoints].sign()
        clock.reset()

        await with_retention(parts, 101).apply()
        assert await verdict(parts) == "5 events since None"
        await with_retention(parts, 99).apply()

        assert await verdict(parts) == f"1 events since {day(99)}"


CHAINS = {
    "REMOVED": "(SELECT min(chain) FROM audit_chains)",
    "KEPT": "(SELECT min(chain) FROM audit_events)",
}


def in_sql(statement: str) -> str:
    """Replace the names of chains by the SQL that finds them."""
    for name, query in CHAINS.items():
        statement = statement.replace(name, query)
    return statement


@pytest.mark.parametrize(
    "statement",
    [
        # Before there is an announcement that covers it.
        "UPDATE audit_chains SET trimmed_position = 1 WHERE chain = REMOVED",
        "UPDATE audit_chains SET chain = 'x/' || chain",
        "INSERT INTO audit_chains VALUES ('2020-01-01/0', 1, '', 1, 1)",
        "DELETE FROM audit_chains",
        "TRUNCATE audit_chains",
        "DELETE FROM audit_events",
    ],
)
async def test_the_database_refuses_to_remove_events_without_an_announcement(
    history: int, db: Database, verify: Verify, statement: str
) -> None:
    with pytest.raises(DBAPIError, match=REFUSED):
        await db.rows(text(in_sql(statement)))

    assert await verify() == f"{history} events since None"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_chains SET trimmed_position = 1 WHERE chain = KEPT",
        "UPDATE audit_chains SET trimmed_position = 0 WHERE chain = REMOVED",
        "UPDATE audit_chains SET trimmed_position = position + 1 WHERE chain = REMOVED",
        "DELETE FROM audit_events WHERE chain = KEPT",
        "DELETE FROM audit_chains",
    ],
)
async def test_the_database_refuses_to_remove_more_than_was_announced(
    trimmed: int, db: Database, verify: Verify, statement: str
) -> None:
    with pytest.raises(DBAPIError, match=REFUSED):
        await db.rows(text(in_sql(statement)))

    assert await verify() == f"{trimmed} events since {day(KEEP_DAYS)}"


async def test_an_announcement_that_retention_did_not_make_is_reported(
    history: int, parts: Portico, db: Database, verify: Verify
) -> None:
    trim = text(
        "UPDATE audit_chains SET trimmed_position = position"
        " WHERE left(chain, 10)::date < current_date - 9"
    )
    async with db.begin() as session:
        await session.execute(ANNOUNCE)
    with pytest.raises(DBAPIError, match=REFUSED):
        await db.rows(trim)
    await parts.services[Checkpoints].sign()

    # The database accepts it now, verification does not.
    async with db.begin() as session:
        await session.execute(trim)
        await session.execute(
            text("DELETE FROM audit_events WHERE left(chain, 10)::date < current_date - 9")
        )

    message = await verify()
    assert (history, await db.rows(DAYS)) == (14, [(day(0),)])
    announcement, *_others = message.splitlines()
    assert announcement.endswith(
        ") was not made by this service, or was made with another SECRET_KEY"
    )


async def test_a_forged_announcement_does_not_make_retention_remove_more(
    history: int, parts: Portico, db: Database
) -> None:
    async with db.begin() as session:
        await session.execute(ANNOUNCE)

    await with_retention(parts).apply()

    ((left,),) = await db.rows(text("SELECT count(*) FROM audit_events"))
    assert left == history - 6 + 2


@pytest.mark.parametrize(
    "statements",
    [
        # A day that is kept, made to look as if retention had removed it.
        (
            "UPDATE audit_chains SET trimmed_position = position WHERE chain = KEPT",
            "DELETE FROM audit_events WHERE chain = KEPT",
        ),
        # The same, and with an announcement that says so.
        (
            "UPDATE audit_chains SET trimmed_position = position WHERE chain = KEPT",
            "DELETE FROM audit_events WHERE chain = KEPT",
            (
                "UPDATE audit_events SET details = details || jsonb_build_object('before',"
                " (now() AT TIME ZONE 'UTC')::date) WHERE name = 'audit.trimmed'"
            ),
        ),
        # No trace of the day is left but its signatures.
        (
            "DELETE FROM audit_chains WHERE chain = KEPT",
            "DELETE FROM audit_events WHERE chain = KEPT",
        ),
        # The announcement is removed, and its chain looks as if it had never been there.
        (
            (
                "UPDATE audit_chains c SET position = e.position - 1, hash = e.previous_hash"
                " FROM audit_events e WHERE e.name = 'audit.trimmed' AND e.chain = c.chain"
            ),
            "DELETE FROM audit_events WHERE name = 'audit.trimmed'",
        ),
        # Another history for a removed day, correctly hashed and chained.
        (
            (
                "UPDATE audit_chains SET trimmed_position = 0, position = 0,"
                " hash = sha256(convert_to(chain, 'UTF8')) WHERE chain = REMOVED"
            ),
        ),
    ],
)
@pytest.mark.usefixtures("trimmed")
async def test_removing_more_than_retention_would_is_found(
    db: Database, verify: Verify, statements: tuple[str, ...]
) -> None:
    for statement in statements:
        await tamper(db, in_sql(statement))

    message = (await verify()).splitlines()[0]

    assert message.endswith((" was removed", "with another SECRET_KEY", " was inserted")), message


async def trim(db: Database, where: str) -> None:
    await db.rows(text(f"UPDATE audit_chains SET trimmed_position = position WHERE {where}"))  # noqa: S608


@pytest.mark.parametrize(
    ("announced", "before", "removed"), [(0, 0, 1), (20, 5, 10)], ids=["too soon", "too much"]
)
async def test_an_announcement_covers_neither_yesterday_nor_days_after_its_own(
    sign_ins: SignIns,
    parts: Portico,
    db: Database,
    announced: int,
    before: int,
    removed: int,
) -> None:
    await sign_ins(removed)
    days = {"announced": announced, "before": before}
    async with db.begin() as session:
        await session.execute(ANNOUNCE_ON, days)
    await parts.services[Checkpoints].sign()

    with pytest.raises(DBAPIError, match=REFUSED):
        await trim(db, f"chain LIKE '{day(removed)}/%'")


@pytest.mark.usefixtures("trimmed")
async def test_unsigned_events_of_a_removed_day_are_kept(
    db: Database,
) -> None:
    async with db.begin() as session:
        await session.execute(OLDEST)

    with pytest.raises(DBAPIError, match=REFUSED):
        await trim(db, "position > signed_position AND audit_day(chain) < current_date - 40")


# Consistent in itself, behind removed events: after a gap that the chain declares as trimmed.
INSERT_EVENT = """
DO $$
DECLARE
    e audit_events;
    c audit_chains;
BEGIN
    SELECT * INTO c FROM audit_chains WHERE chain = REMOVED;
    SELECT * INTO e FROM audit_events ORDER BY id LIMIT 1;
    e.id := gen_random_uuid();
    e.at := now();
    e.chain := c.chain;
    e.previous_hash := sha256('x');
    e.position := c.trimmed_position + GAP + 1;
    e.hash := audit_hash(e);
    INSERT INTO audit_events VALUES (e.*);
    UPDATE audit_chains
    SET position = e.position, hash = e.hash, trimmed_position = c.trimmed_position + GAP
    WHERE chain = c.chain;
END
$$
"""


@pytest.mark.parametrize(("gap", "message"), [("0", "was altered or moved"), ("1", "was removed")])
@pytest.mark.usefixtures("trimmed")
async def test_an_event_that_was_inserted_after_removed_ones_is_found(
    db: Database, verify: Verify, gap: str, message: str
) -> None:
    await tamper(db, in_sql(INSERT_EVENT.replace("GAP", gap)))

    assert (await verify()).endswith(message)


KEYS = {"audit_events": "id", "audit_chains": "chain", "audit_checkpoints": "number"}
COLUMNS = text(
    "SELECT column_name, data_type FROM information_schema.columns"
    " WHERE table_schema = 'public' AND table_name = :table ORDER BY 1"
)
# Another value for each type that a column has.
OTHER = {
    "bigint": "{c} + 1000",
    "bytea": "sha256(coalesce({c}, '') || 'x')",
    "jsonb": """coalesce({c}, '{{}}') || '{{"x": [1, "00"]}}'""",
    "text": "coalesce({c}, '') || 'x'",
    "timestamp with time zone": "{c} + interval '1 second'",
    "uuid": "gen_random_uuid()",
}
COPY = "CREATE TABLE copy_of_{0} AS TABLE {0}"
RESTORE_COPY = ("DELETE FROM {0}", "INSERT INTO {0} SELECT * FROM copy_of_{0}")
DROP_COPY = "DROP TABLE copy_of_{0}"


async def on_each_table(db: Database, *statements: str) -> None:
    async with db.begin() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            for table in KEYS:
                await session.execute(text(statement.format(table)))


async def changes(db: Database) -> list[str]:
    """Every way to remove one row of the audit, or to change one column of one row."""
    statements: list[str] = []
    for table, key in KEYS.items():
        rows = await db.rows(text(f"SELECT {key}::text FROM {table} ORDER BY 1"))  # noqa: S608
        columns = await db.rows(COLUMNS, {"table": table})
        sets = [f"{name} = {OTHER[kind].format(c=name)}" for name, kind in columns]
        for (value,) in rows:
            where = f"WHERE {key}::text = '{value}'"
            statements.append(f"DELETE FROM {table} {where}")  # noqa: S608
            statements += [f"UPDATE {table} SET {each} {where}" for each in sets]  # noqa: S608
    return statements


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("half_trimmed")
async def test_every_removed_row_and_every_changed_column_is_found(
    db: Database, verify: Verify
) -> None:
    valid, unnoticed = await verify(), list[str]()
    await on_each_table(db, COPY)
    for statement in await changes(db):
        await tamper(db, statement)
        if await verify() == valid:
            unnoticed.append(statement)
        await on_each_table(db, *RESTORE_COPY)
    await on_each_table(db, DROP_COPY)

    assert (unnoticed, await verify()) == ([], valid)


def test_the_command_prints_the_date_of_the_first_event(
    trimmed: int, settings: Settings, tmp_path: Path
) -> None:
    assert settings.database_url is not None
    assert settings.secret_key is not None
    environment = {"DATABASE_URL": settings.database_url.get_secret_value()}
    former = settings.secret_key.get_secret_value()
    new = "Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA5Pq8"

    valid = portico("audit", "verify", cwd=tmp_path, SECRET_KEY=f"{new},{former}", **environment)

    assert valid.stdout.startswith(f"{trimmed} events in ")
    assert valid.stdout.endswith(f" chains since {day(KEEP_DAYS)}, 4 checkpoints: valid.\n")
