"""Administration of the accounts of others."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text

from app.accounts.services.last_administrator import LOCK
from app.database.database import Database
from app.testing.clients import LOGIN, ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.databases import contents
from app.testing.outbox import Outbox
from tests.accounts.test_password_changes import NEW, reset
from tests.sessions.test_refreshing import REFRESH

Deliver = Callable[[], Awaitable[None]]
CHANGED = """
  __typename
  ... on UserChanged { user { email role isActive suspension { reason until } } }
  ... on Problem { message }
"""
NOBODY = "User_01a2083b222b76c2921b1272dc98660f"


def mutation(name: str, kind: str) -> str:
    return f"mutation M($input: {kind}!) {{ {name}(input: $input) {{ {CHANGED} }} }}"


ROLE = mutation("setUserRole", "SetUserRoleInput")
SUSPEND = mutation("suspendUser", "SuspendUserInput")
SUSPEND_ISSUES = """
mutation Suspend($input: SuspendUserInput!) {
  suspendUser(input: $input) { ... on InvalidInput { issues { path code limit } } }
}
"""
REINSTATE = mutation("reinstateUser", "UserInput")
END = mutation("endUserSessions", "UserInput")
DELETE = "mutation D($input: DeleteAccountInput!) { deleteAccount(input: $input) { __typename } }"
CREATE = mutation("createUser", "CreateUserInput")


async def mutate(client: Api, text: str, **values: Any) -> Any:
    data = await client(text, input=values)
    return next(iter(data.values()))


async def events(db: Database, name: str) -> int:
    return len(await db.rows(text("SELECT 1 FROM audit_events WHERE name = :n"), {"n": name}))


@pytest.fixture
async def admin(api: Api, grace: Person) -> Api:
    """Returns a client of Grace, who is an administrator."""
    return await api.login(grace)


async def test_a_role_is_effective_from_the_next_request(api: Api, admin: Api, ada: Person) -> None:
    laptop = await api.login(ada)
    await laptop("{ users { totalCount } }")
    assert laptop.last_code == "FORBIDDEN"

    assert (await mutate(admin, ROLE, userId=ada.id, role="ADMIN"))["user"]["role"] == "ADMIN"
    assert await laptop("{ users { totalCount } }") == {"users": {"totalCount": 2}}

    await mutate(admin, ROLE, userId=ada.id, role="MEMBER")
    await laptop("{ users { totalCount } }")
    assert laptop.last_code == "FORBIDDEN"


async def test_setting_the_current_role_records_no_event(
    admin: Api, ada: Person, db: Database
) -> None:
    answer = await mutate(admin, ROLE, userId=ada.id, role="MEMBER")

    assert answer["__typename"] == "UserChanged"
    assert await events(db, "role.changed") == 0


@pytest.mark.parametrize("values", [{"role": "MEMBER"}, {"reason": "leave"}])
async def test_the_last_administrator_cannot_be_removed(
    admin: Api, grace: Person, values: dict[str, str]
) -> None:
    text = ROLE if "role" in values else SUSPEND

    assert (await mutate(admin, text, userId=grace.id, **values))[
        "__typename"
    ] == "LastAdministrator"

    assert await admin("{ users { totalCount } }") == {"users": {"totalCount": 1}}


@pytest.mark.parametrize("grace_is_first", [True, False])
@pytest.mark.parametrize("texts", [(ROLE, SUSPEND), (SUSPEND, ROLE)], ids=["role", "suspension"])
async def test_of_two_who_remove_each_other_the_first_to_commit_remains(
    api: Api, admin: Api, grace: Person, ada: Person, db: Database, texts: Any, grace_is_first: bool
) -> None:
    await mutate(admin, ROLE, userId=ada.id, role="ADMIN")
    pairs = [(admin, ada), (await api.login(ada), grace)]
    removals = [
        removal(client, text, person)
        for text, (client, person) in zip(
            texts, pairs if grace_is_first else pairs[::-1], strict=True
        )
    ]

    answers = await asyncio.gather(*await in_this_order(db, *removals))

    assert [each["__typename"] for each in answers] == ["UserChanged", "LastAdministrator"]
    assert [await _administers(client) for client, _ in pairs] == [
        grace_is_first,
        not grace_is_first,
    ]


async def test_an_administrator_who_is_demoted_first_can_delete_their_account(
    api: Api, admin: Api, ada: Person, db: Database
) -> None:
    await mutate(admin, ROLE, userId=ada.id, role="ADMIN")
    other = await api.login(ada)
    leave = mutate(other, DELETE, password=ada.password)

    answers = await asyncio.gather(*await in_this_order(db, removal(admin, ROLE, ada), leave))

    # Ada may delete her account: she is a member when it is her turn.
    assert [each["__typename"] for each in answers] == ["UserChanged", "AccountDeleted"]
    assert await _administers(admin)


def removal(client: Api, text: str, person: Person) -> Awaitable[Any]:
    values = {"role": "MEMBER"} if text == ROLE else {"reason": "mutual"}
    return mutate(client, text, userId=person.id, **values)


async def in_this_order(db: Database, *mutations: Awaitable[Any]) -> list[asyncio.Future[Any]]:
    """Let all wait for the lock, one after the other: they get it in this order."""
    async with db.begin() as session:
        await session.execute(select(func.pg_advisory_xact_lock(LOCK)))
        started: list[asyncio.Future[Any]] = []
        for each in mutations:
            started.append(asyncio.ensure_future(each))
            while await _waiting(db) < len(started):
                await asyncio.wait(started, timeout=0.01)
                assert not any(each.done() for each in started)
    return started


async def _waiting(db: Database) -> int:
    mine = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    waiting = f"SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND {mine}"  # noqa: S608 - ours
    return len(await db.rows(text(waiting)))


async def _administers(client: Api) -> bool:
    data = await client("{ users { totalCount } }")
    return data["users"] is not None


@pytest.mark.parametrize(
    ("text", "values"),
    [(ROLE, {"role": "ADMIN"}), (SUSPEND, {"reason": "x"}), (REINSTATE, {}), (END, {})],
)
async def test_a_member_cannot_administer_users(
    api: Api, ada: Person, grace: Person, db: Database, text: str, values: dict[str, str]
) -> None:
    member, before = await api.login(ada), await contents(db)

    for person in (ada, grace):
        assert await mutate(member, text, userId=person.id, **values) is None
        assert member.last_code == "FORBIDDEN"

    assert await contents(db) == before


async def test_a_member_cannot_create_or_list_users(
    api: Api, ada: Person, db: Database, outbox: Outbox, deliver: Deliver
) -> None:
    member = await api.login(ada)

    assert await mutate(member, CREATE, email="new@example.com", role="ADMIN") is None
    assert (await member('{ users(filter: {search: "a"}) { totalCount } }'))["users"] is None
    await deliver()

    rows = await db.rows(text("SELECT email FROM users"))
    assert ([row[0] for row in rows], outbox.messages) == ([ada.email], [])


async def test_a_suspension_ends_sessions_and_prevents_signing_in(
    api: Api, admin: Api, ada: Person
) -> None:
    laptop = await api.login(ada)

    answer = await mutate(admin, SUSPEND, userId=ada.id, reason=" Spam ")

    assert answer["user"] == {
        "email": ada.email,
        "role": "MEMBER",
        "isActive": False,
        "suspension": {"reason": "Spam", "until": None},
    }
    assert await laptop(ME) == {"me": None}
    refused = await api(LOGIN, input=ada.credentials)
    assert refused["login"]["__typename"] == "InvalidCredentials"
    ended = await api(REFRESH, token=laptop.refresh_token)
    assert ended["refreshSession"]["reason"] == "SUSPENDED"


async def test_a_suspension_ends_by_itself(
    api: Api, admin: Api, ada: Person, clock: FakeClock
) -> None:
    until = (clock() + timedelta(hours=1)).isoformat()
    await mutate(admin, SUSPEND, userId=ada.id, reason="Cool down", until=until)

    clock.pass_(hours=1)

    laptop = await api.login(ada)
    assert await laptop("{ me { isActive suspension { reason } } }") == {
        "me": {"isActive": True, "suspension": None}
    }


async def test_another_suspension_replaces_the_current_one_and_the_same_records_no_event(
    admin: Api, ada: Person, db: Database, clock: FakeClock
) -> None:
    until = (clock() + timedelta(hours=1)).isoformat()
    for reason in ("Spam", "Spam", "Threats", "Threats"):
        answer = await mutate(admin, SUSPEND, userId=ada.id, reason=reason, until=until)

    assert answer["user"]["suspension"]["reason"] == "Threats"
    assert await events(db, "user.suspended") == 2


async def test_a_suspension_can_be_ended(api: Api, admin: Api, ada: Person, db: Database) -> None:
    await mutate(admin, SUSPEND, userId=ada.id, reason="Spam")

    first = await mutate(admin, REINSTATE, userId=ada.id)
    again = await mutate(admin, REINSTATE, userId=ada.id)

    assert first["user"]["isActive"] is again["user"]["isActive"] is True
    assert await events(db, "user.reinstated") == 1
    assert await api.login(ada)


@pytest.mark.parametrize(
    ("values", "path", "code", "limit"),
    [
        ({"reason": ""}, "reason", "REQUIRED", None),
        ({"reason": " "}, "reason", "REQUIRED", None),
        ({"reason": "x" * 501}, "reason", "TOO_LONG", 500),
        ({"reason": "x" * 5000}, "reason", "TOO_LONG", 500),
        ({"reason": "a\u202eb"}, "reason", "INVALID_FORMAT", None),
        ({"reason": "x", "until": "2020-01-01T00:00:00Z"}, "until", "INVALID_FORMAT", None),
        ({"reason": "x", "until": "9999-12-31T23:59:59Z"}, "until", "INVALID_FORMAT", None),
    ],
)
async def test_an_invalid_suspension_is_refused_with_an_issue(
    api: Api, admin: Api, ada: Person, values: dict[str, str], path: str, code: str, limit: int
) -> None:
    data = await admin(SUSPEND_ISSUES, input={"userId": ada.id, **values})

    assert data == {"suspendUser": {"issues": [{"path": [path], "code": code, "limit": limit}]}}
    assert await api.login(ada)


async def test_all_issues_of_a_suspension_are_returned_at_once(admin: Api, ada: Person) -> None:
    values = {"userId": ada.id, "reason": "", "until": "2020-01-01T00:00:00Z"}

    data = await admin(SUSPEND_ISSUES, input=values)

    assert [issue["path"] for issue in data["suspendUser"]["issues"]] == [["reason"], ["until"]]


async def test_an_empty_name_in_an_invitation_becomes_null(admin: Api) -> None:
    await mutate(admin, CREATE, email="new@example.com", displayName="")

    data = await admin('{ user(by: {email: "new@example.com"}) { displayName } }')
    assert data == {"user": {"displayName": None}}


async def test_an_administrator_can_end_all_sessions_of_a_user(
    api: Api, admin: Api, ada: Person
) -> None:
    devices = [await api.login(ada) for _ in range(2)]

    assert (await mutate(admin, END, userId=ada.id))["__typename"] == "UserChanged"

    assert [await each(ME) for each in devices] == [{"me": None}] * 2
    assert await api.login(ada)


@pytest.mark.parametrize(
    ("text", "values"),
    [(ROLE, {"role": "ADMIN"}), (SUSPEND, {"reason": "x"}), (REINSTATE, {}), (END, {})],
)
async def test_an_unknown_user_is_not_found(admin: Api, text: str, values: dict[str, str]) -> None:
    assert (await mutate(admin, text, userId=NOBODY, **values))["__typename"] == "NotFound"


async def test_an_invitation_sets_the_first_password(
    api: Api, admin: Api, outbox: Outbox, deliver: Deliver
) -> None:
    answer = await mutate(admin, CREATE, email="New@example.com", displayName="New", role="ADMIN")
    await deliver()

    assert answer["user"]["role"] == "ADMIN"
    assert outbox.subjects == [("new@example.com", "You have been invited")]
    assert await reset(api, outbox.token_for("new@example.com")) == "UserChanged"
    client = await api.login(Person("new@example.com", NEW))
    assert await client("{ me { displayName emailVerified } users { totalCount } }") == {
        "me": {"displayName": "New", "emailVerified": True},
        "users": {"totalCount": 2},
    }


async def test_an_invited_administrator_without_a_password_does_not_count_as_another_one(
    admin: Api, grace: Person
) -> None:
    await mutate(admin, CREATE, email="new@example.com", role="ADMIN")

    answer = await mutate(admin, ROLE, userId=grace.id, role="MEMBER")

    assert answer["__typename"] == "LastAdministrator"


async def test_nobody_signs_in_to_an_invited_account_without_the_email(
    api: Api, admin: Api
) -> None:
    await mutate(admin, CREATE, email="new@example.com")

    for password in ("", "None", "portico"):
        person = Person("new@example.com", password)
        data = await api(LOGIN, input=person.credentials)
        assert data["login"]["__typename"] == "InvalidCredentials"


async def test_an_invitation_to_a_known_address_is_refused(
    api: Api, admin: Api, ada: Person, outbox: Outbox, deliver: Deliver
) -> None:
    answer = await mutate(admin, CREATE, email=ada.email.upper())
    await deliver()

    assert (answer["__typename"], outbox.messages) == ("EmailTaken", [])
    assert await api.login(replace(ada))
