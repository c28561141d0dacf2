"""A user creates notes."""

from operations import CREATE, create, titles
from sqlalchemy import text

from app.database.database import Database
from app.testing.clients import Api, Person


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


async def test_invalid_input_names_each_field(api: Api, ada: Person) -> None:
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
    assert refused == {"__typename": "TooManyNotes", "message": message, "limit": 3}
    assert len(await titles(member)) == 3
