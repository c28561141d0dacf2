"""`portico audit verify`: the tampering by a database owner that it finds, alone or with a file."""

import asyncio
import random
import re
import stat
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.audit.services.checkpoint_files import InvalidFile, read_checkpoints
from app.audit.services.checkpoints import Checkpoints
from app.audit.services.integrity.checkpoint_copies import CheckpointCopies
from app.audit.services.integrity.definitions import DEFINITIONS, TABLES, definitions, differences
from app.audit.services.integrity.records import VerificationRecords
from app.audit.services.integrity.verifier import AuditVerifier
from app.composition import Portico
from app.database import migrations
from app.database.database import Database, connect
from app.main import create_app
from app.security.keys import Secrets
from app.testing.clients import LOGIN, Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents, on_server
from app.testing.settings import settings_for
from tests.audit.test_audit_events import FIRST, LAST, tamper
from tests.audit.test_retention import KEEP_DAYS, with_retention
from tests.database.test_migration_table import found
from tests.database.test_schemas_and_roles import SECRET, command, granted, live
from tests.support.postgres import postgres, streaming_replica
from tests.support.roles import role
from tests.support.servers import portico

# Commands are processes, which take seconds each to start.
pytestmark = pytest.mark.timeout(180)
# Functions of the audit in a migrated database.
FUNCTIONS = (
    "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
    " AND (proname LIKE 'audit\\_%' OR oid IN (SELECT tgfoid FROM pg_trigger"
    " WHERE tgrelid::regclass::text LIKE 'audit\\_%'))"
)
REPLACED_FUNCTION = """
CREATE OR REPLACE FUNCTION keep_audit_event() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RETURN coalesce(NEW, OLD); END'
"""
CHANGES_BY_OWNER = {
    "ALTER TABLE audit_events DISABLE TRIGGER keep": "trigger keep on audit_events is disabled",
    "ALTER TABLE audit_chains ENABLE REPLICA TRIGGER trim": (
        "trigger trim on audit_chains is disabled"
    ),
    "DROP TRIGGER keep_all ON audit_checkpoints": (
        "trigger keep_all on audit_checkpoints is missing"
    ),
    REPLACED_FUNCTION: "function keep_audit_event() was changed",
    "ALTER FUNCTION append_audit_event() SECURITY INVOKER": (
        "function append_audit_event() was changed"
    ),
    "ALTER FUNCTION append_audit_event() RESET search_path": (
        "function append_audit_event() was changed"
    ),
    "CREATE RULE silent AS ON INSERT TO audit_events DO INSTEAD NOTHING": (
        "rule silent on audit_events was added"
    ),
    "ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY": "table audit_events was changed",
    "CREATE TRIGGER silent BEFORE INSERT ON audit_events EXECUTE FUNCTION keep_audit_event()": (
        "trigger silent on audit_events was added"
    ),
}


@dataclass
class Audit:
    """An audit with its checkpoints, and the findings of its verification."""

    parts: Portico
    db: Database
    api: Api
    person: Person
    clock: FakeClock

    async def add_sign_ins(self, days_ago: int = 0, times: int = 2) -> None:
        """Sign in on a day, and sign a checkpoint."""
        self.clock.pass_(days=-days_ago)
        for _ in range(times):
            await self.api(LOGIN, input=self.person.credentials)
        await self.parts.services[Checkpoints].sign()
        self.clock.pass_(days=days_ago)

    async def file(self, after: int = 0) -> bytes:
        return b"".join(
            [
                each.to_line()
                async for each in self.parts.services[CheckpointCopies].checkpoints_after(after)
            ]
        )

    async def findings(self, against: bytes | None = None) -> list[str]:
        kept = None if against is None else read_checkpoints(BytesIO(against))
        return (await self.parts.services[AuditVerifier].verify(file=kept)).findings


@pytest.fixture
async def audit(app: FastAPI, db: Database, api: Api, ada: Person, clock: FakeClock) -> Audit:
    made = Audit(app.state.portico, db, api, ada, clock)
    for days_ago in (3, 2, 1):
        await made.add_sign_ins(days_ago)
    return made


async def test_the_known_definitions_are_those_of_the_migrations(empty_url: str) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    engine = connect(empty_url, pool_size=1).engine
    async with engine.connect() as connection:
        made = await definitions(connection)
    await engine.dispose()

    assert made == DEFINITIONS
    named = {match[1] for name in made if (match := re.match(r"function (\w+)\(", name))}
    assert named == {row[0] for row in await found(empty_url, FUNCTIONS)}


async def test_triggers_functions_and_rules_are_compared_with_those_of_the_migrations(
    empty_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    seen: dict[str, list[str]] = {}
    engine = connect(empty_url, pool_size=1).engine
    for statement in CHANGES_BY_OWNER:
        async with engine.connect() as connection:
            await connection.execute(text(statement))
            seen[statement] = await differences(connection)
            await connection.rollback()
    await engine.dispose()
    await on_server(empty_url, next(iter(CHANGES_BY_OWNER)))

    refused = await asyncio.to_thread(
        portico, "audit", "verify", cwd=tmp_path, DATABASE_URL=empty_url, SECRET_KEY=SECRET
    )

    assert seen == {statement: [message] for statement, message in CHANGES_BY_OWNER.items()}
    assert (refused.returncode, refused.stderr) == (
        1,
        "portico: trigger keep on audit_events is disabled.\n",
    )


async def test_all_kinds_of_tampering_are_reported_at_once(audit: Audit) -> None:
    for statement in (
        f"UPDATE audit_events SET name = 'session.ended' WHERE id = {FIRST}",  # noqa: S608
        f"UPDATE audit_events SET name = 'session.ended' WHERE id = {LAST}",  # noqa: S608
        "DELETE FROM audit_checkpoints WHERE number = 3",
        "UPDATE audit_checkpoints SET heads = '[]' WHERE number = 2",
    ):
        await tamper(audit.db, statement)

    *firsts, others = await audit.findings()

    assert [finding.split()[0] for finding in firsts] == ["checkpoint", "event"]
    assert others == "1 more chain is broken"


async def test_further_broken_chains_are_counted(audit: Audit) -> None:
    await tamper(audit.db, "UPDATE audit_events SET name = 'session.ended'")

    chains = await audit.db.rows(text("SELECT count(*) FROM audit_chains"))
    of_event, of_others, *_ = await audit.findings()

    assert of_event.endswith(" was altered")
    assert of_others == f"{chains[0][0] - 1} more chains are broken"


async def test_the_rows_that_refusals_must_not_change_are_not_those_of_checkpoints(
    audit: Audit,
) -> None:
    await audit.api(LOGIN, input=audit.person.credentials)
    before = await contents(audit.db)

    assert await audit.parts.services[Checkpoints].sign()

    assert await contents(audit.db) == before


async def test_a_checkpoint_made_with_a_wrong_clock_causes_a_warning(audit: Audit) -> None:
    await audit.add_sign_ins()
    audit.clock.pass_(hours=-2)
    await audit.add_sign_ins()
    ((at,),) = await audit.db.rows(text("SELECT at FROM audit_checkpoints WHERE number = 5"))

    found = await audit.parts.services[AuditVerifier].verify()

    assert found.findings == []
    assert found.warnings == [
        (
            f"checkpoint 5 of {at:%Y-%m-%d %H:%M:%S} UTC is more than an hour earlier than the one "
            "before it: the clock of a server that made one of them was wrong"
        )
    ]


@pytest.mark.parametrize("at", ["294000-01-01", "0044-03-15 BC", "infinity"])
async def test_impossible_times_written_by_the_owner_are_reported(audit: Audit, at: str) -> None:
    number = "SELECT max(number) FROM audit_checkpoints"
    for statement in (
        f"UPDATE audit_events SET at = '{at}' WHERE id = {FIRST}",  # noqa: S608
        f"UPDATE audit_checkpoints SET at = '{at}' WHERE number = ({number})",  # noqa: S608
    ):
        await tamper(audit.db, statement)

    of_checkpoint, of_event, *_ = await audit.findings()

    assert of_checkpoint == "checkpoint 3 was altered: its time is out of range"
    assert of_event.startswith("event 1 of chain ")
    assert of_event.endswith(" was altered: its time is out of range")


async def test_an_emptied_audit_is_found(audit: Audit) -> None:
    for table in TABLES:
        await tamper(audit.db, f"DELETE FROM {table}")  # noqa: S608 - names of ours

    assert await audit.findings() == [
        "the audit is empty although there are users: all of it was removed"
    ]


async def test_removed_checkpoints_are_found_by_unsigned_events(audit: Audit) -> None:
    await tamper(audit.db, "DELETE FROM audit_checkpoints WHERE number > 1")
    await tamper(
        audit.db,
        "UPDATE audit_chains SET signed_position = coalesce((SELECT max((heads->chain->>0)::bigint)"
        " FROM audit_checkpoints WHERE heads ? chain), 0)",
    )

    (message,) = await audit.findings()

    assert message.endswith(
        "are not signed: checkpoints were removed, or no server was running to make them"
    )


async def truncate(audit: Audit) -> None:
    """Remove the last checkpoints, the events that they signed, and later ones."""
    for statement in (
        "DELETE FROM audit_checkpoints WHERE number > 1",
        (
            "DELETE FROM audit_events WHERE position > coalesce("
            "(SELECT max((heads->chain->>0)::int) FROM audit_checkpoints WHERE heads ? chain), 0)"
        ),
        "DELETE FROM audit_chains WHERE chain NOT IN (SELECT chain FROM audit_events)",
        (
            "UPDATE audit_chains c SET position = e.position, hash = e.hash,"
            " signed_position = e.position FROM (SELECT DISTINCT ON (chain) chain, position, hash"
            " FROM audit_events ORDER BY chain, position DESC) e WHERE e.chain = c.chain"
        ),
    ):
        await tamper(audit.db, statement)


async def test_a_truncated_audit_is_found_by_the_last_verification_and_by_a_file(
    audit: Audit,
) -> None:
    file = await audit.file()
    before = await audit.parts.services[AuditVerifier].verify()
    assert before.findings == []
    await truncate(audit)
    assert await audit.findings() == []
    (restored,) = await audit.findings(file)
    assert await audit.parts.services[VerificationRecords].record(before)

    (after_record,) = await audit.findings()

    assert restored == (
        "the database ends at checkpoint 1, the file at 3: the database was restored from an older "
        "backup, or its last checkpoints were removed"
    )
    assert after_record.endswith("found 3 checkpoints, now there are 1: the last ones were removed")


async def test_an_audit_rewritten_with_the_secret_is_found_by_a_file(audit: Audit) -> None:
    file = await audit.file()
    for table in TABLES:
        await tamper(audit.db, f"DELETE FROM {table}")  # noqa: S608 - names of ours
    for days_ago in (3, 2, 1):
        await audit.add_sign_ins(days_ago)
    assert await audit.findings() == []

    (message,) = await audit.findings(file)

    assert message.startswith("checkpoint 1 of ")
    assert message.endswith(
        "is not the one in the file: the audit was rewritten, or is a different one"
    )


async def test_a_file_is_verified_without_a_secret(audit: Audit) -> None:
    lines = (await audit.file()).splitlines(keepends=True)

    assert [each.number for each in read_checkpoints(lines)] == [1, 2, 3]
    assert [each.number for each in read_checkpoints(lines[1:])] == [2, 3]
    first = orjson.loads(lines[0])
    heads = {chain: [position + 1, end] for chain, (position, end) in first["heads"].items()}
    for altered, message in (
        ([orjson.dumps(first | {"heads": heads})], "line 1 was altered: its signature does not"),
        ([orjson.dumps(first | {"at": first["at"] + 1})], "line 1 was altered"),
        ([lines[0], lines[2]], "line 2 does not follow the line before"),
        ([lines[0], lines[1][:-9]], "line 2 is not a checkpoint"),
        ([b"{}"], "line 1 is not a checkpoint"),
    ):
        with pytest.raises(InvalidFile, match=message):
            list(read_checkpoints(altered))


async def test_a_file_is_exported_continued_and_compared_by_commands(
    empty_url: str, tmp_path: Path
) -> None:
    file, run = tmp_path / "kept.jsonl", asyncio.to_thread
    await run(command, empty_url, tmp_path, "db", "upgrade")
    async with role(empty_url) as server:
        await granted(server, tmp_path)
        await live(server.url)
        export = ("audit", "checkpoints", "export")
        made = await run(command, server.url, tmp_path, *export, str(file))
        again = await run(command, server.url, tmp_path, *export, str(file))
        printed = await run(command, server.url, tmp_path, *export, "-")
        verified = await run(
            command, server.url, tmp_path, "audit", "verify", "--against", str(file)
        )

    assert made == f"1 checkpoints added to {file}, up to checkpoint 1. Only you can read it.\n"
    assert again == f"0 checkpoints added to {file}, up to checkpoint 1. Only you can read it.\n"
    assert printed == file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert re.fullmatch(
        rf"All checkpoints in {file}, 1 to 1, \S+ \S+ to \S+ \S+ UTC, are in the database, with "
        r"all that they signed\.\n\d+ events in \d+ chains, 1 checkpoints: valid\.\n",
        verified,
    )


VERIFIED = "SELECT valid, checkpoints, verified_by = current_user FROM audit_verifications"


async def test_a_verification_is_recorded_and_measured(empty_url: str, tmp_path: Path) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    await live(empty_url)
    await asyncio.to_thread(command, empty_url, tmp_path, "audit", "verify")
    await on_server(empty_url, "ALTER TABLE audit_events DISABLE TRIGGER keep")
    await asyncio.to_thread(
        portico, "audit", "verify", cwd=tmp_path, DATABASE_URL=empty_url, SECRET_KEY=SECRET
    )
    app = create_app(settings_for(empty_url))
    async with app.router.lifespan_context(app):
        last = await app.state.portico.services[VerificationRecords].last()

    assert await found(empty_url, VERIFIED) == [(True, 1, True), (False, 1, True)]
    assert last is not None
    assert (last.valid, datetime.now(UTC) - last.at < timedelta(minutes=5)) == (False, True)


FORGED = (
    "INSERT INTO audit_verifications (id, at, valid, events, checkpoints, latest_event_at, mac)"
    " SELECT 'ffffffff-ffff-7fff-bfff-ffffffffffff', {at}, {valid}, 1000, {checkpoints}, NULL, mac"
    " FROM audit_verifications ORDER BY at DESC LIMIT 1"
)


async def test_forged_verifications_do_not_count(audit: Audit) -> None:
    verifier = audit.parts.services[AuditVerifier]
    records = audit.parts.services[VerificationRecords]
    report = await verifier.verify()
    report.findings.append("something")
    await records.record(report)
    recorded = await records.last()
    assert recorded is not None
    audit.clock.pass_(minutes=1)
    for at, valid, checkpoints in (
        ("at + interval '1 microsecond'", "true", 3),
        ("at", "true", 1000),
        ("'8000-01-01'", "true", 3),
    ):
        await tamper(audit.db, FORGED.format(at=at, valid=valid, checkpoints=checkpoints))

        assert await records.last() == recorded
        assert await audit.findings() == []
        await tamper(audit.db, "DELETE FROM audit_verifications WHERE events = 1000")


async def test_a_verification_in_the_future_does_not_count(audit: Audit) -> None:
    verifier = audit.parts.services[AuditVerifier]
    records = audit.parts.services[VerificationRecords]
    await records.record(await verifier.verify())
    recorded = await records.last()
    audit.clock.pass_(days=1)
    await records.record(await verifier.verify())
    audit.clock.pass_(days=-1)

    assert recorded is not None
    assert await records.last() == recorded


NEW_SECRET = "Qm4Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA1"


async def test_a_verification_counts_under_every_secret_in_secret_key(audit: Audit) -> None:
    former, rotated, new = (
        replace(audit.parts.services[VerificationRecords], secrets=Secrets(secrets))
        for secrets in (SECRET, f"{NEW_SECRET},{SECRET}", NEW_SECRET)
    )
    await former.record(await audit.parts.services[AuditVerifier].verify())
    recorded = await former.last()

    assert recorded is not None
    assert await rotated.last() == recorded
    assert await new.last() is None


async def test_a_read_only_role_verifies_and_says_that_nothing_was_recorded(
    empty_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    await live(empty_url)
    async with role(empty_url) as reader:
        await reader.administer(
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
            "ALTER ROLE {role} SET default_transaction_read_only = on",
        )
        name = (await found(empty_url, "SELECT quote_ident(current_database())"))[0][0]
        await on_server(empty_url, f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")

        printed = await asyncio.to_thread(command, reader.url, tmp_path, "audit", "verify")

    message, verdict = printed.splitlines()
    assert message == (
        "This run is not recorded: the database is read-only, or this role may only read it."
    )
    assert verdict.endswith("valid.")
    assert await found(empty_url, VERIFIED) == []


async def test_roles_with_more_rights_than_serving_needs_are_reported(
    empty_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    async with role(empty_url) as server:
        await granted(server, tmp_path)
        await server.administer("GRANT TRUNCATE ON audit_events TO {role}")

        printed = await asyncio.to_thread(command, empty_url, tmp_path, "audit", "verify")

        assert printed.splitlines()[0] == (
            f"Warning   The role {server.name} may TRUNCATE on audit_events. "
            f"`portico db grant {server.name}` revokes the rights that it was given."
        )


# By an owner of the tables without SECRET_KEY, who hides each change as far as possible.
TAMPERING: dict[str, tuple[str, ...]] = {
    "alter": ("UPDATE audit_events SET name = 'session.ended' WHERE id = {event}",),
    "remove": ("DELETE FROM audit_events WHERE id = {event}",),
    "move": ("UPDATE audit_events SET position = position + 1000 WHERE id = {event}",),
    "remove a chain": (
        (
            "DELETE FROM audit_chains WHERE chain ="
            " (SELECT chain FROM audit_events WHERE id = {event})"
        ),
        "DELETE FROM audit_events WHERE chain NOT IN (SELECT chain FROM audit_chains)",
    ),
    "trim": (
        (
            "UPDATE audit_chains SET trimmed_position = position"
            " WHERE chain = (SELECT chain FROM audit_events WHERE id = {event})"
        ),
        (
            "DELETE FROM audit_events e USING audit_chains c"
            " WHERE c.chain = e.chain AND e.position <= c.trimmed_position"
        ),
    ),
    "alter a checkpoint": (
        (
            "UPDATE audit_checkpoints SET at = at + interval '1 second'"
            " WHERE number = (SELECT max(number) FROM audit_checkpoints)"
        ),
    ),
    "remove a checkpoint": (
        "DELETE FROM audit_checkpoints WHERE number = (SELECT min(number) FROM audit_checkpoints)",
    ),
    "empty": tuple(f"DELETE FROM {table}" for table in TABLES),  # noqa: S608 - names of ours
}
ANY_SIGNED = text(
    "SELECT e.id FROM audit_events e JOIN audit_chains c USING (chain)"
    " WHERE e.position <= c.signed_position ORDER BY e.chain, e.position"
)


@pytest.mark.parametrize("seed", range(4))
async def test_each_tampering_is_found_whatever_happened_before(audit: Audit, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed repeats a run
    file = await audit.file()
    for _ in range(6):
        what = chance.choice(("events", "late events", "trim", "export"))
        if what == "events":
            await audit.add_sign_ins(times=chance.randint(1, 3))
        elif what == "late events":
            await audit.add_sign_ins(chance.randint(2, 60), times=chance.randint(1, 3))
        elif what == "trim":
            await with_retention(audit.parts, chance.choice((KEEP_DAYS, 5, 2)), batch=1).apply()
        else:
            file += await audit.file(after=len(file.splitlines()))
        assert await audit.findings(file) == []
    signed = [row.id for row in await audit.db.rows(ANY_SIGNED)]
    kind = chance.choice(sorted(TAMPERING))

    event = chance.choice(signed)
    for statement in TAMPERING[kind]:
        await tamper(audit.db, statement.format(event=f"'{event}'"))

    assert await audit.findings(file) != [], kind
    assert await audit.findings() != [], kind


async def test_an_audit_is_verified_on_a_replica_too(tmp_path: Path) -> None:
    with postgres() as primary:
        await asyncio.to_thread(migrations.upgrade, primary.url)
        await live(primary.url)
        with streaming_replica(primary) as standby:
            printed = await asyncio.to_thread(command, standby.url, tmp_path, "audit", "verify")

    assert printed.splitlines()[0].startswith("This run is not recorded")
    assert printed.endswith("valid.\n")
