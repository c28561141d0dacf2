"""The audit: what it contains, who may read it, and that tampering is found."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.audit.services.checkpoints import Checkpoints
from app.audit.services.integrity.verifier import AuditVerifier
from app.database.database import Database
from app.keys.services.signing_keys import SigningKeys
from app.settings import Settings
from app.testing.clients import LOGIN, Api, Person
from app.testing.clock import FakeClock
from tests.accounts.test_profile import DELETE
from tests.people.test_administration import ROLE, mutate
from tests.support.servers import portico

Verify = Callable[[], Awaitable[str]]
EVENTS = """
query Events($filter: AuditFilter, $first: Int, $after: String) {
  auditEvents(filter: $filter, first: $first, after: $after) {
    edges { cursor node { id name actor { email } target { email } details { name value } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
EVENTS_WITH_REQUEST = "{ auditEvents { nodes { name at ipAddress requestId } } }"


@pytest.fixture
def verify(app: FastAPI) -> Verify:
    """Returns the findings of a verification, or the numbers of what it verified."""

    async def run() -> str:
        report = await app.state.portico.services[AuditVerifier].verify()
        if report.findings:
            return "\n".join(report.findings)
        return (
            f"{report.events} events, {report.checkpoints} checkpoints, "
            f"{report.erased_addresses} erased"
        )

    return run


@pytest.fixture
async def history(api: Api, ada: Person, app: FastAPI, clock: FakeClock) -> int:
    """Makes two days of sign-ins, some refused, with checkpoints; returns the number of events."""
    for _ in range(2):
        for password in (ada.password, "wrong", ada.password):
            await api(LOGIN, input={"email": ada.email, "password": password})
        await app.state.portico.services[Checkpoints].sign()
        clock.pass_(days=1)
    return 2 + 6


async def tamper(db: Database, statement: str) -> None:
    """Run a statement without triggers, as only the owner of the database can."""
    async with db.begin() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(statement))


async def test_events_are_listed_newest_first(api: Api, grace: Person, ada: Person) -> None:
    admin = await api.login(grace)
    await mutate(admin, ROLE, userId=ada.id, role="ADMIN")

    edges = (await admin(EVENTS, first=2))["auditEvents"]["edges"]

    newest = edges[0]["node"]
    assert (newest["name"], newest["actor"], newest["target"]) == (
        "role.changed",
        {"email": grace.email},
        {"email": ada.email},
    )
    assert newest["details"] == [
        {"name": "from", "value": "MEMBER"},
        {"name": "to", "value": "ADMIN"},
    ]
    assert edges[1]["node"]["name"] == "session.started"


async def test_pages_have_every_event_once_and_filters_apply(
    api: Api, grace: Person, ada: Person
) -> None:
    admin = await api.login(grace)
    for _ in range(3):
        await api(LOGIN, input={"email": ada.email, "password": "wrong"})
    everything = (await admin(EVENTS))["auditEvents"]["edges"]

    pages: list[Any] = []
    after = None
    while True:
        page = (await admin(EVENTS, first=2, after=after))["auditEvents"]
        pages += page["edges"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    refused = await admin(EVENTS, filter={"names": ["session.refused"], "targetId": ada.id})

    assert pages == everything
    assert [edge["node"]["name"] for edge in refused["auditEvents"]["edges"]] == [
        "session.refused"
    ] * 3


async def test_events_are_filtered_by_time_and_by_user(
    api: Api, grace: Person, ada: Person, clock: FakeClock
) -> None:
    admin = await api.login(grace)
    clock.pass_(minutes=5)
    since = clock().isoformat()
    await api.login(ada)

    async def names(**found: Any) -> list[str]:
        edges = (await admin(EVENTS, filter=found))["auditEvents"]["edges"]
        return [edge["node"]["name"] for edge in edges]

    assert await names(at={"from": since}) == ["session.started"]
    assert await names(at={"before": since}, actorId=ada.id) == [
        "session.started",
        "user.registered",
    ]


@pytest.mark.parametrize(
    ("found", "named"),
    [
        ({"names": ["session.began"]}, "filter.names"),
        ({"actorId": "x"}, "filter.actorId"),
        ({"targetId": "Session_01a2083b2ca47f71a4f650add84d6212"}, "filter.targetId"),
    ],
)
async def test_invalid_filters_and_pages_are_refused(
    api: Api, grace: Person, found: dict[str, Any], named: str
) -> None:
    admin = await api.login(grace)

    await admin(EVENTS, filter=found)

    assert (admin.last_code, named in admin.errors[0]["message"]) == ("BAD_USER_INPUT", True)


async def test_an_event_is_a_node_for_administrators(api: Api, grace: Person, ada: Person) -> None:
    admin, member = await api.login(grace), await api.login(ada)
    event_id = (await admin(EVENTS, first=1))["auditEvents"]["edges"][0]["node"]["id"]
    node = "query Node($id: ID!) { node(id: $id) { ... on AuditEvent { name } } }"

    assert await admin(node, id=event_id) == {"node": {"name": "session.started"}}
    assert await member(node, id=event_id) == {"node": None}


async def test_chains_that_were_not_changed_are_valid(history: int, verify: Verify) -> None:
    assert await verify() == f"{history} events, 2 checkpoints, 0 erased"


async def test_forty_concurrent_writes_make_valid_chains(
    api: Api, ada: Person, verify: Verify
) -> None:
    await asyncio.gather(*(api.login(ada) for _ in range(40)))

    assert await verify() == "42 events, 0 checkpoints, 0 erased"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET name = 'session.ended'",
        "UPDATE audit_events SET ip_address = '203.0.113.9'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_checkpoints SET number = 7",
    ],
)
@pytest.mark.usefixtures("history")
async def test_the_application_cannot_change_an_event(
    db: Database, verify: Verify, statement: str
) -> None:
    before = await verify()

    with pytest.raises(DBAPIError, match="what happened stays"):
        await db.rows(text(statement))

    assert await verify() == before


FIRST = "(SELECT id FROM audit_events ORDER BY chain, position LIMIT 1)"
LAST = "(SELECT id FROM audit_events ORDER BY chain DESC, position DESC LIMIT 1)"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("name = 'session.ended'", "was altered"),
        ("at = at + interval '1 second'", "was altered"),
        ("actor_id = gen_random_uuid()", "was altered"),
        ("target_id = NULL", "was altered"),
        ("request_id = 'x'", "was altered"),
        ("""details = '{"a": "b"}'""", "was altered"),
        ("ip_address = '203.0.113.9'", "was altered: its IP address does not match its hash"),
        ("ip_salt = ''", "was altered: its IP address does not match its hash"),
        ("ip_digest = NULL", "was altered"),
        ("hash = sha256('x')", "was altered"),
        ("position = position + 100", "was removed"),
        ("chain = '2020-01-01/0', position = 1", "was"),
    ],
)
@pytest.mark.parametrize("which", [FIRST, LAST], ids=["first", "last"])
@pytest.mark.usefixtures("history")
async def test_an_altered_or_moved_event_is_reported(
    db: Database, verify: Verify, which: str, change: str, expected: str
) -> None:
    await tamper(db, f"UPDATE audit_events SET {change} WHERE id = {which}")  # noqa: S608

    verdict = await verify()

    assert (expected in verdict, verdict.startswith("event ")) == (True, True), verdict


@pytest.mark.parametrize(
    "statement",
    [
        f"DELETE FROM audit_events WHERE id = {FIRST}",  # noqa: S608
        f"DELETE FROM audit_events WHERE id = {LAST}",  # noqa: S608
        "DELETE FROM audit_events WHERE chain = (SELECT min(chain) FROM audit_events)",
        "DELETE FROM audit_events",
    ],
)
@pytest.mark.usefixtures("history")
async def test_a_removed_event_is_reported(db: Database, verify: Verify, statement: str) -> None:
    await tamper(db, statement)

    assert "was removed" in await verify()


@pytest.mark.usefixtures("history")
async def test_a_truncated_chain_with_a_matching_end_is_found_by_the_checkpoint(
    db: Database, verify: Verify
) -> None:
    await tamper(db, f"DELETE FROM audit_events WHERE id = {LAST}")  # noqa: S608
    await tamper(db, "DELETE FROM audit_chains")
    await tamper(
        db,
        "INSERT INTO audit_chains SELECT DISTINCT ON (chain) chain, position, hash"
        " FROM audit_events ORDER BY chain, position DESC",
    )

    assert "was removed" in await verify()


@pytest.mark.usefixtures("history")
async def test_a_rewritten_history_is_found_by_the_checkpoint(db: Database, verify: Verify) -> None:
    await tamper(db, "DELETE FROM audit_events")
    await tamper(db, "DELETE FROM audit_chains")
    async with db.begin() as session:
        for _ in range(8):
            await session.execute(
                text(
                    "INSERT INTO audit_events (id, at, name, details)"
                    " VALUES (gen_random_uuid(), now(), 'session.started', '{}')"
                )
            )

    verdict = await verify()

    expected = ("was removed", "is not the one that was signed", "was inserted later")
    assert any(each in verdict for each in expected), verdict


# Consistent in itself: hashed as the database does it, with the end of its chain updated.
INSERT_EVENT = """
DO $$
DECLARE
    e audit_events;
BEGIN
    SELECT * INTO e FROM audit_events ORDER BY chain, position DESC LIMIT 1;
    e.id := gen_random_uuid();
    {place}
    e.hash := audit_hash(e);
    INSERT INTO audit_events VALUES (e.*);
    INSERT INTO audit_chains VALUES (e.chain, e.position, e.hash, e.position)
        ON CONFLICT (chain) DO UPDATE SET position = e.position, hash = e.hash;
END
$$
"""
BEHIND = "e.previous_hash := e.hash; e.position := e.position + 1;"
BESIDE = (
    "e.chain := left(e.chain, 10) || '/99'; e.position := 1;"
    " e.previous_hash := sha256(convert_to(e.chain, 'UTF8'));"
)


@pytest.mark.parametrize("place", [BEHIND, BESIDE], ids=["behind", "beside"])
@pytest.mark.usefixtures("history")
async def test_an_event_that_was_inserted_before_the_last_checkpoint_is_reported(
    db: Database, verify: Verify, place: str
) -> None:
    await tamper(db, INSERT_EVENT.format(place=place))

    verdict = await verify()

    assert (verdict.startswith("event "), verdict.endswith(" was inserted later")) == (True, True)


@pytest.mark.usefixtures("history")
async def test_an_event_beyond_the_end_of_its_chain_is_reported(
    db: Database, verify: Verify
) -> None:
    await tamper(db, "UPDATE audit_chains SET position = 0")

    verdict = await verify()

    assert (verdict.startswith("event 1 of"), verdict.endswith("was inserted")) == (True, True)


async def test_a_clock_that_was_ahead_for_a_while_is_not_reported_as_tampering(
    api: Api, ada: Person, app: FastAPI, clock: FakeClock, verify: Verify
) -> None:
    for days in (7, -7, 0):
        clock.pass_(days=days)
        await api.login(ada)
        await app.state.portico.services[Checkpoints].sign()

    assert await verify() == "5 events, 3 checkpoints, 0 erased"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE audit_checkpoints SET heads = '{}' WHERE number = 1", "checkpoint 1 of"),
        ("UPDATE audit_checkpoints SET at = now() WHERE number = 2", "checkpoint 2 of"),
        ("UPDATE audit_checkpoints SET sealed_public_key = 'x'", "checkpoint 1 of"),
        ("UPDATE audit_checkpoints SET signature = 'x' WHERE number = 1", "checkpoint 1 of"),
        ("DELETE FROM audit_checkpoints WHERE number = 1", "checkpoint 1 was removed"),
        ("DELETE FROM audit_checkpoints WHERE number = 2", "checkpoint 2 was removed"),
        ("DELETE FROM audit_checkpoints", "checkpoint 1 was removed"),
        ("UPDATE audit_chains SET hash = sha256('x')", "the end of chain "),
    ],
)
@pytest.mark.usefixtures("history")
async def test_an_altered_or_removed_checkpoint_or_end_is_reported(
    db: Database, verify: Verify, statement: str, expected: str
) -> None:
    await tamper(db, statement)

    assert expected in await verify()


async def test_checkpoints_stay_valid_after_their_signing_keys_are_deleted(
    history: int, app: FastAPI, verify: Verify, clock: FakeClock, db: Database
) -> None:
    keys = app.state.portico.services[SigningKeys]
    for _ in range(3):
        clock.pass_(days=40)
        await keys.refresh()
    await tamper(db, "DELETE FROM signing_keys")

    assert await verify() == f"{history} events, 2 checkpoints, 0 erased"


async def test_erasing_a_user_leaves_the_chains_valid(
    api: Api, ada: Person, verify: Verify, db: Database, app: FastAPI
) -> None:
    laptop = await api.login(ada)
    await app.state.portico.services[Checkpoints].sign()

    await laptop(DELETE, password=ada.password)

    kept = await db.rows(text("SELECT 1 FROM audit_events WHERE ip_address IS NOT NULL"))
    assert (kept, await verify()) == ([], "4 events, 1 checkpoints, 3 erased")


def test_the_command_prints_a_summary_or_the_findings(
    history: int, settings: Settings, tmp_path: Path
) -> None:
    assert settings.database_url is not None
    assert settings.secret_key is not None
    environment = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "SECRET_KEY": settings.secret_key.get_secret_value(),
    }

    valid = portico("audit", "verify", cwd=tmp_path, **environment)
    other = portico(
        "audit",
        "verify",
        cwd=tmp_path,
        **environment | {"SECRET_KEY": "Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA5Pq8"},
    )

    assert valid.stdout.startswith(f"{history} events in ")
    assert valid.stdout.endswith("2 checkpoints: valid.\n")
    assert other.returncode == 1
