"""Notes: what a user does with them, and who else may see them."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from sqlalchemy import text

from app.database.database import Database
from app.main import create_app
from app.settings import Settings
from app.testing.clients import Api, Person
from app.testing.clock import FakeClock
from app.testing.commands import run
from app.testing.outbox import Outbox
from my_api.notes.services.reminders import Reminders

CREATE = """
mutation Create($input: CreateNoteInput!) {
  createNote(input: $input) {
    __typename
    ... on NoteSaved { note { id title body } }
    ... on InvalidInput { issues { path code limit } }
    ... on Problem { message }
    ... on TooManyNotes { most }
  }
}
"""
UPDATE = """
mutation Update($input: UpdateNoteInput!) {
  updateNote(input: $input) {
    __typename
    ... on NoteSaved { note { title body } }
    ... on InvalidInput { issues { path code limit } }
  }
}
"""
DELETE = """
mutation Delete($input: DeleteNoteInput!) {
  deleteNote(input: $input) { __typename ... on NoteDeleted { noteId } }
}
"""
MINE = "{ me { notes { nodes { title } } } }"
OF_USER = "query Of($id: ID!) { user(by: {id: $id}) { notes { nodes { title } } } }"
PAGE = """
query Page($after: String) {
  me { notes(first: 2, after: $after) { nodes { title } pageInfo { hasNextPage endCursor } } }
}
"""
NODE = "query Node($id: ID!) { node(id: $id) { __typename ... on Note { title } } }"


async def create(api: Api, title: str = "Milk", body: str = "Two bottles.") -> Any:
    return (await api(CREATE, input={"title": title, "body": body}))["createNote"]


async def titles(api: Api) -> list[str]:
    return [note["title"] for note in (await api(MINE))["me"]["notes"]["nodes"]]


async def test_a_note_that_is_created_is_found_below_me(api: Api, ada: Person) -> None:
    member = await api.login(ada)

    created = await create(member)

    note = {"id": created["note"]["id"], "title": "Milk", "body": "Two bottles."}
    assert created == {"__typename": "NoteSaved", "note": note}
    assert await titles(member) == ["Milk"]


async def test_a_guest_creates_nothing(api: Api, db: Database) -> None:
    await api(CREATE, input={"title": "Milk", "body": ""})

    assert api.last_code == "UNAUTHENTICATED"
    assert (await db.rows(text("SELECT count(*) FROM notes")))[0][0] == 0


async def test_what_is_wrong_with_a_note_is_said_of_each_field(api: Api, ada: Person) -> None:
    member = await api.login(ada)

    refused = await create(member, title=" ", body="x" * 10_001)

    assert refused["__typename"] == "InvalidInput"
    assert refused["issues"] == [
        {"path": ["title"], "code": "REQUIRED", "limit": None},
        {"path": ["body"], "code": "TOO_LONG", "limit": 10_000},
    ]
    assert await titles(member) == []


async def test_a_user_has_no_more_notes_than_the_setting_allows(api: Api, ada: Person) -> None:
    member = await api.login(ada)
    for number in range(3):
        await create(member, f"Note {number}")

    refused = await create(member, "One more")

    message = "You can have 3 notes."
    assert refused == {"__typename": "TooManyNotes", "message": message, "most": 3}
    assert len(await titles(member)) == 3


async def test_a_user_creates_no_more_notes_in_an_hour_than_the_setting_allows(
    settings: Settings, clock: FakeClock, api: Api, ada: Person
) -> None:
    changes = {"throttle_scale": 1.0, "throttle_notes": 2}
    app = create_app(settings.model_copy(update=changes), clock)
    member = await api.login(ada)
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        limited = guest.with_bearer(str(member.access_token))
        answers = [await create(limited, f"Note {number}") for number in range(3)]
        noted = await titles(limited)
        clock.pass_(hours=1)
        later = await create(await guest.login(ada), "Note 3")

    assert [each["__typename"] for each in answers] == ["NoteSaved", "NoteSaved", "RateLimited"]
    assert answers[2]["message"] == "Too many attempts. Try again in 60 minutes."
    assert sorted(noted) == ["Note 0", "Note 1"]
    assert later["__typename"] == "NoteSaved"


async def test_a_change_leaves_what_it_does_not_name(api: Api, ada: Person) -> None:
    member = await api.login(ada)
    created = await create(member)

    data = await member(UPDATE, input={"noteId": created["note"]["id"], "title": "Oat milk"})

    note = {"title": "Oat milk", "body": "Two bottles."}
    assert data["updateNote"] == {"__typename": "NoteSaved", "note": note}


async def test_nobody_changes_or_deletes_the_note_of_somebody_else(
    api: Api, ada: Person, grace: Person
) -> None:
    member, admin = await api.login(ada), await api.login(grace)
    note_id = (await create(member))["note"]["id"]

    changed = await admin(UPDATE, input={"noteId": note_id, "title": "Mine"})
    deleted = await admin(DELETE, input={"noteId": note_id})

    assert changed["updateNote"] == {"__typename": "NotFound"}
    assert deleted["deleteNote"] == {"__typename": "NotFound"}
    assert await titles(member) == ["Milk"]


async def test_a_note_that_is_deleted_is_gone(api: Api, ada: Person) -> None:
    member = await api.login(ada)
    note_id = (await create(member))["note"]["id"]

    deleted = await member(DELETE, input={"noteId": note_id})
    again = await member(DELETE, input={"noteId": note_id})

    assert deleted["deleteNote"] == {"__typename": "NoteDeleted", "noteId": note_id}
    assert again["deleteNote"] == {"__typename": "NotFound"}
    assert await titles(member) == []


async def test_administrators_see_the_notes_of_everybody_and_members_their_own(
    api: Api, ada: Person, grace: Person
) -> None:
    member, admin = await api.login(ada), await api.login(grace)
    note_id = (await create(member))["note"]["id"]

    of_ada, node = await admin(OF_USER, id=ada.id), await admin(NODE, id=note_id)
    own_node = await member(NODE, id=note_id)
    await create(admin, "Secret")

    assert of_ada["user"]["notes"]["nodes"] == [{"title": "Milk"}]
    assert node == own_node == {"node": {"__typename": "Note", "title": "Milk"}}
    assert await titles(member) == ["Milk"]


async def test_somebody_elses_note_is_no_node(api: Api, ada: Person, grace: Person) -> None:
    member, admin = await api.login(ada), await api.login(grace)
    note_id = (await create(admin))["note"]["id"]

    assert await member(NODE, id=note_id) == {"node": None}


async def test_notes_are_read_in_pages(api: Api, ada: Person, clock: FakeClock) -> None:
    member = await api.login(ada)
    for number in range(3):
        await create(member, f"Note {number}")
        clock.pass_(seconds=1)

    first = (await member(PAGE))["me"]["notes"]
    second = (await member(PAGE, after=first["pageInfo"]["endCursor"]))["me"]["notes"]

    assert first["nodes"] == [{"title": "Note 2"}, {"title": "Note 1"}]
    assert (first["pageInfo"]["hasNextPage"], second["nodes"]) == (True, [{"title": "Note 0"}])


async def test_notes_go_with_their_user(api: Api, ada: Person, db: Database) -> None:
    member = await api.login(ada)
    await create(member)

    mutation = "mutation Leave($p: String!) { deleteAccount(input: {password: $p}) { __typename } }"
    await member(mutation, p=ada.password)

    assert (await db.rows(text("SELECT count(*) FROM notes")))[0][0] == 0


async def test_a_command_counts_the_notes_of_all_users(
    api: Api, ada: Person, environment: dict[str, str]
) -> None:
    await create(await api.login(ada))

    counted = await run("notes", "count", **environment)

    assert (counted.exit_code, counted.stdout) == (0, "1\n")


async def test_a_note_that_is_created_is_in_the_audit(api: Api, ada: Person, grace: Person) -> None:
    await create(await api.login(ada))
    admin = await api.login(grace)

    events = await admin(
        '{ auditEvents(filter: {names: ["note.created"]}) { nodes { name actor { email } } } }'
    )

    expected = [{"name": "note.created", "actor": {"email": ada.email}}]
    assert events["auditEvents"]["nodes"] == expected


async def test_an_email_tells_how_many_notes_there_are_once_a_week(
    api: Api,
    ada: Person,
    db: Database,
    app: FastAPI,
    clock: FakeClock,
    outbox: Outbox,
    deliver: Callable[[], Awaitable[None]],
) -> None:
    reminders = app.state.portico.services[Reminders]
    await create(await api.login(ada))
    async with db.begin() as session:
        await session.execute(text("UPDATE users SET email_verified = true"))
    outbox.messages.clear()

    sent: list[int] = []
    for days in (0, 8, 1, 7):
        clock.pass_(days=days)
        await reminders.enqueue_due()
        await reminders.enqueue_due()
        await deliver()
        sent.append(len(outbox.messages))

    assert sent == [0, 1, 1, 2]
    assert outbox.subjects == [(ada.email, "Your notes")] * 2
    assert "Notes that you keep at Portico: 1." in outbox.messages[0].text


async def test_nobody_is_sent_an_email_whose_address_is_not_verified(
    api: Api,
    ada: Person,
    app: FastAPI,
    clock: FakeClock,
    outbox: Outbox,
    deliver: Callable[[], Awaitable[None]],
) -> None:
    await create(await api.login(ada))
    outbox.messages.clear()
    clock.pass_(days=8)

    await app.state.portico.services[Reminders].enqueue_due()
    await deliver()

    assert outbox.messages == []
