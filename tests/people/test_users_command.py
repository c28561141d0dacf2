"""`portico users show`, `suspend`, `reset-factors` and others: commands for one user."""

import asyncio
import json
import os
import pty
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import ME, Api, Person
from app.testing.clock import FakeClock
from app.testing.commands import run
from app.testing.databases import contents
from app.testing.outbox import Outbox
from tests.accounts.test_account_deletion import uuid_of
from tests.people.test_administration import SUSPEND, mutate
from tests.support.authenticator import ANSWER, enroll
from tests.support.servers import PORTICO

NOBODY = "portico: No user has this address or id.\n"
EVENTS = text(
    "SELECT name, actor_id, details FROM audit_events WHERE target_id = :id"
    " AND name IN ('user.suspended', 'user.reinstated', 'session.ended', 'factors.reset')"
    " ORDER BY name"
)


async def shown(named: str, environment: dict[str, str]) -> Any:
    answer = await run("users", "show", named, "--json", **environment)
    return json.loads(answer.stdout)


async def events_about(db: Database, person: Person) -> list[Any]:
    return [tuple(row) for row in await db.rows(EVENTS, {"id": uuid_of(person)})]


async def test_a_user_is_shown_by_address_id_or_subject(
    ada: Person, environment: dict[str, str]
) -> None:
    facts = [
        await shown(named, environment) for named in (ada.email.upper(), ada.id, str(uuid_of(ada)))
    ]

    times = {name: facts[0][name] for name in ("createdAt", "lastLoginAt")}
    assert (
        facts
        == [
            {
                "id": ada.id,
                "subject": str(uuid_of(ada)),
                "externalId": None,
                "email": ada.email,
                "emailVerified": False,
                "displayName": ada.name,
                "role": "MEMBER",
                "suspension": None,
                "hasPassword": True,
                "factors": 0,
                "recoveryCodesLeft": 0,
                "activeSessions": 1,
                **times,
            }
        ]
        * 3
    )


async def test_the_table_shows_the_main_facts(ada: Person, environment: dict[str, str]) -> None:
    await run("users", "suspend", ada.email, "--reason", "[red]Spam", **environment)

    answer = await run("users", "show", ada.email, **environment)

    rows = dict(line.split(maxsplit=1) for line in map(str.rstrip, answer.stdout.splitlines()))
    assert rows["email"] == f"{ada.email} (not verified)"
    assert rows["suspended"] == "until reinstated: [red]Spam"
    assert answer.stdout.splitlines()[-1].split() == ["active", "sessions", "0"]


async def test_a_suspension_by_command_equals_that_by_an_administrator(
    api: Api, ada: Person, db: Database, environment: dict[str, str]
) -> None:
    laptop = await api.login(ada)
    end = "2090-01-01T00:00:00Z"

    answer = await run(
        "users", "suspend", ada.email, "--reason", "Spam", "--until", end, **environment
    )

    assert answer.stdout == f"{ada.email} is suspended until {end}.\n"
    assert await laptop(ME) == {"me": None}
    assert (await shown(ada.email, environment))["suspension"] == {"reason": "Spam", "until": end}
    by = {"by": "command line"}
    assert await events_about(db, ada) == [
        ("session.ended", None, {"reason": "SUSPENDED", "sessions": "2", **by}),
        ("user.suspended", None, {"until": "2090-01-01T00:00:00+00:00", **by}),
    ]


async def test_a_user_can_be_reinstated_by_command(
    api: Api, ada: Person, grace: Person, db: Database, environment: dict[str, str]
) -> None:
    await mutate(await api.login(grace), SUSPEND, userId=ada.id, reason="Spam")

    answer = await run("users", "reinstate", ada.id, **environment)

    assert answer.stdout == f"{ada.email} is not suspended.\n"
    assert await api.login(ada)
    assert ("user.reinstated", None, {"by": "command line"}) in await events_about(db, ada)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--reason", ""), "reason: "),
        (("--reason", "Spam", "--until", "2001-01-01T00:00:00Z"), "until: "),
        (("--reason", "Spam", "--until", "tomorrow"), "--until takes a time with an offset"),
        (("--reason", "Spam", "--until", "2090-01-01T00:00:00"), "--until takes a time"),
    ],
)
async def test_an_invalid_suspension_is_refused(
    ada: Person, db: Database, environment: dict[str, str], options: tuple[str, ...], words: str
) -> None:
    before = await contents(db)

    answer = await run("users", "suspend", ada.email, *options, **environment)

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith(f"portico: {words}")
    assert await contents(db) == before


async def test_factors_and_recovery_codes_are_counted(
    api: Api, ada: Person, db: Database, clock: FakeClock, environment: dict[str, str]
) -> None:
    enrolled = await enroll(api, db, ada, clock)
    answer = {"recoveryCode": enrolled.codes[0]}
    await api(ANSWER, input={"token": await enrolled.challenge(api), "answer": answer})

    facts = await shown(ada.email, environment)
    read = await run("users", "show", ada.email, **environment)

    assert (facts["factors"], facts["recoveryCodesLeft"]) == (1, 9)
    lines = [line.split() for line in read.stdout.splitlines()]
    assert lines[-3:-1] == [["second", "factors", "1"], ["recovery", "codes", "9"]]


async def test_factors_can_be_reset_by_command(
    api: Api,
    ada: Person,
    db: Database,
    clock: FakeClock,
    outbox: Outbox,
    deliver: Callable[[], Awaitable[None]],
    environment: dict[str, str],
) -> None:
    enrolled = await enroll(api, db, ada, clock)

    reason = ("--reason", "Lost the phone and the codes")
    answer = await run("users", "reset-factors", ada.email, *reason, **environment)

    assert answer.stdout == f"{ada.email} has no second factor any more, and is signed out.\n"
    assert await enrolled.session(ME) == {"me": None}
    facts = await shown(ada.email, environment)
    assert [facts[name] for name in ("factors", "recoveryCodesLeft", "activeSessions")] == [0, 0, 0]
    assert await (await api.login(ada))(ME) == {"me": {"email": ada.email}}
    by = {"by": "command line"}
    assert await events_about(db, ada) == [
        ("factors.reset", None, {"reason": "Lost the phone and the codes", **by}),
        ("session.ended", None, {"reason": "REVOKED", "sessions": "2", **by}),
    ]
    await deliver()
    assert (ada.email, "Your second factor was removed") in outbox.subjects


async def test_a_reset_of_the_factors_of_a_user_who_has_none_changes_nothing(
    ada: Person, db: Database, environment: dict[str, str]
) -> None:
    before = await contents(db)

    answer = await run("users", "reset-factors", ada.email, "--reason", "Lost", **environment)

    assert answer.stdout == f"{ada.email} has no second factor. Nothing was changed.\n"
    assert await contents(db) == before


async def test_a_reset_of_factors_without_a_reason_is_refused(
    api: Api, ada: Person, db: Database, clock: FakeClock, environment: dict[str, str]
) -> None:
    enrolled = await enroll(api, db, ada, clock)
    before = await contents(db)

    answer = await run("users", "reset-factors", ada.email, "--reason", " ", **environment)

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("portico: reason: ")
    assert await contents(db) == before
    assert await enrolled.challenge(api)


async def test_sessions_are_listed_and_ended(
    api: Api, ada: Person, db: Database, environment: dict[str, str]
) -> None:
    phone = await api.of_program("phone").login(ada)

    listed = await run("users", "sessions", ada.email, "--json", **environment)
    read = await run("users", "sessions", ada.email, **environment)
    assert await phone(ME) == {"me": {"email": ada.email}}
    ended = await run("users", "sessions", ada.email, "--end", **environment)

    newest, registered = json.loads(listed.stdout)
    assert (newest["id"], newest["userAgent"]) == (phone.session_id, "phone")
    assert registered["ipAddress"] == "127.0.0.1"
    assert "phone" in read.stdout
    assert [each.stdout.splitlines()[-1] for each in (read, ended)] == [
        "2 active sessions.",
        "2 sessions ended.",
    ]
    assert await phone(ME) == {"me": None}
    details = {"reason": "REVOKED", "sessions": "2", "by": "command line"}
    assert await events_about(db, ada) == [("session.ended", None, details)]


@pytest.mark.parametrize(
    "arguments",
    [
        ("show",),
        ("suspend", "--reason", "Spam"),
        ("reinstate",),
        ("reset-factors", "--reason", "Lost the phone"),
        ("sessions", "--end"),
        ("delete", "--yes"),
    ],
    ids=lambda each: each[0],
)
@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("nobody@example.com", NOBODY),
        ("User_01a2083b222b76c2921b1272dc98660f", NOBODY),
        ("Session_01a2083b222b76c2921b1272dc98660f", "portico: `USER` is not the id of a User.\n"),
        ("nobody", "portico: `USER` is not an id of this server.\n"),
    ],
)
async def test_an_unknown_user_is_not_found(
    environment: dict[str, str],
    db: Database,
    arguments: tuple[str, ...],
    named: str,
    words: str,
) -> None:
    command, *options = arguments
    answer = await run("users", command, named, *options, **environment)

    assert (answer.exit_code, answer.stdout, answer.stderr) == (1, "", words)
    assert await db.rows(text("SELECT 1 FROM audit_events")) == []


@pytest.mark.parametrize("arguments", [("suspend", "--reason", "leave"), ("delete", "--yes")])
async def test_the_last_administrator_cannot_be_removed(
    grace: Person, db: Database, environment: dict[str, str], arguments: tuple[str, ...]
) -> None:
    before = await contents(db)
    command, *options = arguments

    answer = await run("users", command, grace.email, *options, **environment)

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.startswith("portico: This is the last administrator who can sign in.")
    assert await contents(db) == before


async def test_without_a_terminal_deletion_needs_yes(
    ada: Person, db: Database, environment: dict[str, str]
) -> None:
    before = await contents(db)

    answer = await run("users", "delete", ada.email, stdin=ada.email, **environment)

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr == (
        "portico: Nothing was deleted: pass --yes to delete the account without confirmation.\n"
    )
    assert await contents(db) == before


@pytest.mark.parametrize(
    ("typed", "code", "people"), [("ADA@example.com", 0, 0), ("grace@example.com", 1, 1)]
)
async def test_on_a_terminal_deletion_asks_for_the_address(
    ada: Person,
    db: Database,
    environment: dict[str, str],
    tmp_path: Path,
    typed: str,
    code: int,
    people: int,
) -> None:
    said, returned = await asyncio.to_thread(
        on_a_terminal, "users", "delete", ada.id, typed=typed, cwd=tmp_path, **environment
    )

    assert ada.email in said
    left = await db.rows(text("SELECT 1 FROM users"))
    assert (returned, len(left)) == (code, people)


def on_a_terminal(
    *arguments: str, typed: str, cwd: Path, **environment: str
) -> tuple[str, int | None]:
    """Run a command on a terminal and type an answer. Returns its output and exit code."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PORTICO, *arguments],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environment},
    ) as process:
        os.write(ours, f"{typed}\n".encode())
        said, _ = process.communicate()
    os.close(ours)
    os.close(theirs)
    return said.decode(), process.returncode


async def test_an_administrator_created_by_command_is_recorded_as_by_the_command_line(
    ada: Person, db: Database, environment: dict[str, str]
) -> None:
    new = "root@example.com"
    await run("users", "create-admin", new, stdin="nanoseconds of wire\n", **environment)
    await run("users", "create-admin", "--promote", ada.email, **environment)

    events = await db.rows(
        text(
            "SELECT name, actor_id, details FROM audit_events"
            " WHERE name IN ('user.created', 'role.changed') ORDER BY name"
        )
    )
    assert [tuple(row) for row in events] == [
        ("role.changed", None, {"from": "MEMBER", "to": "ADMIN", "by": "command line"}),
        ("user.created", None, {"role": "ADMIN", "by": "command line"}),
    ]
