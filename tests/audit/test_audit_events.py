"""The audit: what is in it, who may read it, and that it can be proved."""

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
WHO = "{ auditEvents { nodes { name at ipAddress requestId } } }"


@pytest.fixture
def verify(app: FastAPI) -> Verify:
    """Returns the findings of a verification, or what it counted."""

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
    """Two days of sign-ins, some of them refused, with a checkpoint; how many events there are."""
    for _ in range(2):
        for password in (ada.password, "wrong", ada.password):
            await api(LOGIN, input={"email": ada.email, "password": password})
        await app.state.portico.services[Checkpoints].sign()
        clock.pass_(days=1)
    return 2 + 6


async def tamper(db: Database, statement: str) -> None:
    """Do what only the owner of the database can: go past its triggers."""
    async with db.begin() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(statement))


async def test_what_happened_is_told_newest_first(api: Api, grace: Person, ada: Person) -> None:
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


async def test_pages_meet_and_filters_narrow(api: Api, grace: Person, ada: Person) -> None:
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


async def test_a_time_and_a_person_narrow_too(
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
async def test_what_makes_no_sense_is_refused(
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


async def test_the_chains_hold(history: int, verify: Verify) -> None:
    assert await verify() == f"{history} events, 2 checkpoints, 0 erased"


async def test_forty_who_write_at_once_make_sound_chains(
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
async def test_the_application_can_change_nothing(
    db: Database, verify: Verify, statement: str
) -> None:
    before = await verify()

    with pytest.raises(DBAPIError, match="what happened stays"):
        await db.rows(text(statement))

    assert await verify() == before


FIRST = "(SELECT id FROM audit_events ORDER BY chain, position LIMIT 1)"
LAST = "(SELECT id FROM audit_events ORDER BY chain DESC, position DESC LIMIT 1)"


@pytest.mark.parametrize(
    ("change", "said"),
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
async def test_an_altered_or_moved_event_is_named(
    db: Database, verify: Verify, which: str, change: str, said: str
) -> None:
    await tamper(db, f"UPDATE audit_events SET {change} WHERE id = {which}")  # noqa: S608

    verdict = await verify()

    assert (said in verdict, verdict.startswith("event ")) == (True, True), verdict


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
async def test_a_removed_event_is_named(db: Database, verify: Verify, statement: str) -> None:
    await tamper(db, statement)

    assert "was removed" in await verify()


@pytest.mark.usefixtures("history")
async def test_a_chain_cut_short_with_its_end_is_found_by_the_checkpoint(
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
async def test_a_history_written_anew_is_found_by_the_checkpoint(
    db: Database, verify: Verify
) -> None:
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

    said = ("was removed", "is not the one that was signed", "was inserted later")
    assert any(each in verdict for each in said), verdict


# Sound in itself: hashed as the database would have done, and the end of its chain moved along.
PUT_IN = """
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
async def test_an_event_that_was_put_in_before_the_last_checkpoint_is_named(
    db: Database, verify: Verify, place: str
) -> None:
    await tamper(db, PUT_IN.format(place=place))

    verdict = await verify()

    assert (verdict.startswith("event "), verdict.endswith(" was inserted later")) == (True, True)


@pytest.mark.usefixtures("history")
async def test_an_event_beyond_the_end_of_its_chain_is_named(db: Database, verify: Verify) -> None:
    await tamper(db, "UPDATE audit_chains SET position = 0")

    verdict = await verify()

    assert (verdict.startswith("event 1 of"), verdict.endswith("was inserted")) == (True, True)


async def test_a_clock_that_was_ahead_for_a_while_is_no_tampering(
    api: Api, ada: Person, app: FastAPI, clock: FakeClock, verify: Verify
) -> None:
    for days in (7, -7, 0):
        clock.pass_(days=days)
        await api.login(ada)
        await app.state.portico.services[Checkpoints].sign()

    assert await verify() == "5 events, 3 checkpoints, 0 erased"


@pytest.mark.parametrize(
    ("statement", "said"),
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
async def test_an_altered_or_removed_checkpoint_or_end_is_named(
    db: Database, verify: Verify, statement: str, said: str
) -> None:
    await tamper(db, statement)

    assert said in await verify()


async def test_checkpoints_outlive_the_keys_that_signed_them(
    history: int, app: FastAPI, verify: Verify, clock: FakeClock, db: Database
) -> None:
    keys = app.state.portico.services[SigningKeys]
    for _ in range(3):
        clock.pass_(days=40)
        await keys.refresh()
    await tamper(db, "DELETE FROM signing_keys")

    assert await verify() == f"{history} events, 2 checkpoints, 0 erased"


async def test_erasing_a_person_leaves_the_chains_sound(
    api: Api, ada: Person, verify: Verify, db: Database, app: FastAPI
) -> None:
    laptop = await api.login(ada)
    await app.state.portico.services[Checkpoints].sign()

    await laptop(DELETE, password=ada.password)

    kept = await db.rows(text("SELECT 1 FROM audit_events WHERE ip_address IS NOT NULL"))
    assert (kept, await verify()) == ([], "4 events, 1 checkpoints, 3 erased")


def test_the_command_says_that_all_is_well_or_what_is_not(
    history: int, settings: Settings, tmp_path: Path
) -> None:
    assert settings.database_url is not None
    assert settings.secret_key is not None
    environment = {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "SECRET_KEY": settings.secret_key.get_secret_value(),
    }

    sound = portico("audit", "verify", cwd=tmp_path, **environment)
    other = portico(
        "audit",
        "verify",
        cwd=tmp_path,
        **environment | {"SECRET_KEY": "Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA5Pq8"},
    )

    assert sound.stdout.startswith(f"{history} events in ")
    assert sound.stdout.endswith("2 checkpoints: valid.\n")
    assert other.returncode == 1
