"""The sessions of a user: listing and ending them."""

from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.sessions.services.sessions import Sessions
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from tests.sessions.test_refreshing import LOGOUT, reason

EVERYWHERE = """
mutation Everywhere($input: LogoutEverywhereInput) {
  logoutEverywhere(input: $input) { sessionsEnded }
}
"""
REVOKE = """
mutation Revoke($id: ID!) {
  revokeSession(input: {sessionId: $id}) {
    __typename ... on SignedOut { sessionsEnded } ... on Problem { message }
  }
}
"""
SESSIONS = """
query Sessions($first: Int, $after: String) {
  me {
    sessions(first: $first, after: $after) {
      nodes { id isCurrent userAgent ipAddress }
      edges { cursor node { id } }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""


async def test_signing_out_ends_the_session_at_once(api: Api, ada: Person) -> None:
    laptop, phone = await api.login(ada), await api.login(ada)

    assert await laptop(LOGOUT) == {"logout": {"sessionsEnded": 1}}

    assert (await laptop(ME), laptop.last_code) == ({"me": None}, "UNAUTHENTICATED")
    assert await reason(api, laptop.refresh_token) == "LOGGED_OUT"
    assert await phone(ME) == {"me": {"email": ada.email}}


async def test_signing_out_everywhere_ends_every_session(api: Api, ada: Person) -> None:
    laptop, phone = await api.login(ada), await api.login(ada)

    result = await laptop(EVERYWHERE)

    assert result == {"logoutEverywhere": {"sessionsEnded": 3}}
    assert (await phone(ME), phone.last_code) == ({"me": None}, "UNAUTHENTICATED")


IDS = "sessionsEnded endedSessionIds"


async def test_every_way_of_signing_out_returns_the_ended_sessions(api: Api, ada: Person) -> None:
    laptop, phone, tablet = [await api.login(ada) for _ in range(3)]
    revoke = f'revokeSession(input: {{sessionId: "{phone.session_id}"}}) '
    listed = (await laptop(SESSIONS))["me"]["sessions"]["nodes"]
    registered = listed[-1]["id"]

    revoked = await laptop(f"mutation {{ {revoke} {{ ... on SignedOut {{ {IDS} }} }} }}")
    others = await laptop(
        f"mutation {{ logoutEverywhere(input: {{keepCurrent: true}}) {{ {IDS} }} }}"
    )
    last = await laptop(f"mutation {{ logout {{ {IDS} }} }}")

    ended = {"sessionsEnded": 1, "endedSessionIds": [phone.session_id]}
    assert revoked == {"revokeSession": ended}
    assert others["logoutEverywhere"]["sessionsEnded"] == 2
    ids = others["logoutEverywhere"]["endedSessionIds"]
    assert set(ids) == {tablet.session_id, registered}
    assert last == {"logout": {"sessionsEnded": 1, "endedSessionIds": [laptop.session_id]}}


async def test_signing_out_everywhere_can_keep_the_current_session(api: Api, ada: Person) -> None:
    laptop, phone = await api.login(ada), await api.login(ada)

    result = await laptop(EVERYWHERE, input={"keepCurrent": True})

    assert result == {"logoutEverywhere": {"sessionsEnded": 2}}
    assert await laptop(ME) == {"me": {"email": ada.email}}
    assert await phone(ME) == {"me": None}


async def test_a_second_mutation_of_a_request_finds_the_session_ended(
    api: Api, ada: Person
) -> None:
    laptop = await api.login(ada)

    data = await laptop("mutation { logout { sessionsEnded } logoutEverywhere { sessionsEnded } }")

    assert data == {"logout": {"sessionsEnded": 1}, "logoutEverywhere": None}
    assert (laptop.last_code, laptop.errors[0]["path"]) == ("UNAUTHENTICATED", ["logoutEverywhere"])


async def test_one_session_can_end_another(api: Api, ada: Person) -> None:
    laptop, phone = await api.login(ada), await api.login(ada)

    ended = await laptop(REVOKE, id=phone.session_id)
    again = await laptop(REVOKE, id=phone.session_id)

    assert ended == {"revokeSession": {"__typename": "SignedOut", "sessionsEnded": 1}}
    assert again["revokeSession"]["__typename"] == "NotFound"
    assert await phone(ME) == {"me": None}
    assert await reason(api, phone.refresh_token) == "REVOKED"


async def test_members_can_end_only_their_own_sessions(
    api: Api, ada: Person, grace: Person
) -> None:
    member, admin = await api.login(ada), await api.login(grace)

    refused = await member(REVOKE, id=admin.session_id)
    assert refused["revokeSession"]["__typename"] == "NotFound"
    assert await admin(ME) == {"me": {"email": grace.email}}

    ended = await admin(REVOKE, id=member.session_id)
    assert ended["revokeSession"]["__typename"] == "SignedOut"


async def test_the_list_shows_active_sessions_newest_first(api: Api, ada: Person) -> None:
    laptop, phone, tablet = [await api.login(ada) for _ in range(3)]
    await phone(LOGOUT)

    listed = (await tablet(SESSIONS))["me"]["sessions"]

    assert [node["id"] for node in listed["nodes"]][:2] == [tablet.session_id, laptop.session_id]
    assert [node["isCurrent"] for node in listed["nodes"]] == [True, False, False]
    assert {node["userAgent"].split("/")[0] for node in listed["nodes"]} == {"python-httpx"}
    assert {node["ipAddress"] for node in listed["nodes"]} == {"127.0.0.1"}


async def test_the_list_is_paged(api: Api, ada: Person) -> None:
    laptop = await api.login(ada)

    first = (await laptop(SESSIONS, first=1))["me"]["sessions"]
    rest = (await laptop(SESSIONS, first=5, after=first["pageInfo"]["endCursor"]))["me"]["sessions"]

    assert [edge["node"]["id"] for edge in first["edges"]] == [laptop.session_id]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    assert len(rest["edges"]) == 1


async def test_of_a_hundred_and_one_sessions_the_oldest_ends(
    api: Api, ada: Person, db: Database
) -> None:
    first, second = await api.login(ada), await api.login(ada)
    # The registration, and these two.
    others = [await api.login(ada) for _ in range(99)]

    assert await reason(api, first.refresh_token) == "REVOKED"
    assert await second(ME) == await others[-1](ME) == {"me": {"email": ada.email}}
    alive = await db.rows(text("SELECT count(*) FROM sessions WHERE ended_at IS NULL"))
    assert alive[0][0] == 100


async def test_a_session_is_a_node_for_those_who_may_see_it(
    api: Api, ada: Person, grace: Person
) -> None:
    member, admin = await api.login(ada), await api.login(grace)
    node = "query Node($id: ID!) { node(id: $id) { __typename id } }"
    own = {"node": {"__typename": "Session", "id": member.session_id}}

    assert await member(node, id=member.session_id) == own
    assert await admin(node, id=member.session_id) == own
    assert await member(node, id=admin.session_id) == {"node": None}


async def test_the_last_use_is_written_at_most_once_a_minute(
    api: Api, ada: Person, db: Database, clock: FakeClock
) -> None:
    laptop = await api.login(ada)
    statement = text("SELECT last_used_at FROM sessions ORDER BY id DESC LIMIT 1")
    await laptop(ME)
    first = (await db.rows(statement))[0][0]

    clock.pass_(seconds=50)
    await laptop(ME)
    assert (await db.rows(statement))[0][0] == first
    clock.pass_(seconds=15)
    await laptop(ME)
    assert (await db.rows(statement))[0][0] > first


async def test_sessions_that_ended_long_ago_are_deleted(
    api: Api, ada: Person, db: Database, clock: FakeClock, app: FastAPI
) -> None:
    laptop, phone = await api.login(ada), await api.login(ada)
    await laptop(LOGOUT)
    clock.pass_(days=29)
    assert await app.state.portico.services[Sessions].purge() == 0

    clock.pass_(days=2)

    assert await app.state.portico.services[Sessions].purge() == 1
    assert await reason(api, laptop.refresh_token) == "UNKNOWN_TOKEN"
    assert await reason(api, phone.refresh_token) == "EXPIRED"
    assert (await db.rows(text("SELECT count(*) FROM sessions")))[0][0] == 2


@pytest.mark.parametrize("wrong", ["", "garbage"])
async def test_an_invalid_session_id_is_refused(api: Api, ada: Person, wrong: Any) -> None:
    laptop = await api.login(ada)

    assert await laptop(REVOKE, id=wrong) == {"revokeSession": None}
    assert laptop.last_code == "BAD_USER_INPUT"
