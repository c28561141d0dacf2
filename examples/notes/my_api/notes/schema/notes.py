"""Creating notes and reading them."""

import uuid
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any

import strawberry
from strawberry import UNSET

from app import outcomes
from app.database.keyset_pages import Page
from app.graphql.access import member_field
from app.graphql.columns import column, computed
from app.graphql.context import Info, member
from app.graphql.ids import Node, id_column
from app.graphql.owned_lists import page_of_user
from app.graphql.pagination import After, Before, Cursors, First, Last, PageInfo, PlainEncoding
from app.graphql.problems import InvalidInput, Problem, RateLimited
from my_api.notes.limits import NOTE
from my_api.notes.models import NoteRow
from my_api.notes.services import notes as service
from my_api.notes.services.notes import MAX_BODY_CHARACTERS, MAX_TITLE_CHARACTERS, Notes

CURSORS = Cursors(PlainEncoding("Note.CREATED_AT.DESC"), attrgetter("created_at"))
TITLE = f"One line of at most {MAX_TITLE_CHARACTERS} characters."
BODY = f"At most {MAX_BODY_CHARACTERS} characters."


@strawberry.type(description="A note of a user.")
class Note(Node):
    row: strawberry.Private[NoteRow]

    id: strawberry.ID = id_column("Note")
    title: str = column("title", description=TITLE)
    body: str = column("body", description=BODY)
    created_at: datetime = column("created_at", description="When it was created.")
    updated_at: datetime = column("updated_at", description="When it was last changed.")


@strawberry.type(description="A page of notes.")
class NoteConnection:
    page: strawberry.Private[Page[NoteRow]]

    @strawberry.field(description="The notes of this page.")
    def nodes(self) -> list[Note]:
        return [Note(row=row) for row in self.page.rows]

    @strawberry.field(description="Where this page is among the others.")
    def page_info(self) -> PageInfo:
        return PageInfo.of(self.page, CURSORS.write)


@strawberry.type
class UserNotes:
    """Fields that are added to `User`."""

    @computed(
        needs=(),
        description="The notes of this user, newest first; null unless this is the viewer, or "
        "the viewer is an administrator.",
    )
    async def notes(
        self: Any,  # the `User`
        info: Info,
        first: First = UNSET,
        after: After = UNSET,
        last: Last = UNSET,
        before: Before = UNSET,
    ) -> NoteConnection | None:
        pages = info.context.services[Notes].pages
        page = await page_of_user(info, self.row.id, pages, CURSORS, (first, after, last, before))
        return NoteConnection(page=page) if page else None


@strawberry.input(description="A new note.")
class CreateNoteInput:
    title: str = strawberry.field(description=TITLE)
    body: str = strawberry.field(description=BODY)


@strawberry.type(description="The note is saved.")
class NoteSaved:
    note: Note = strawberry.field(description="The note as it is now.")


@strawberry.type(description="The user has the maximum number of notes: nothing was saved.")
class TooManyNotes(Problem):
    limit: int = strawberry.field(description="How many notes one user may have.")


CreateNoteResult = Annotated[
    NoteSaved | InvalidInput | TooManyNotes | RateLimited,
    strawberry.union("CreateNoteResult", description="The result of creating a note."),
]


@strawberry.type
class NoteMutations:
    @member_field(description="Create a note.", limited_as=NOTE)
    async def create_note(
        self,
        info: Info,
        input: Annotated[CreateNoteInput, strawberry.argument(description="The note.")],
    ) -> CreateNoteResult | None:
        notes, client = info.context.services[Notes], info.context.client
        match await notes.create(member(info), input.title, input.body, client):
            case service.NoteSaved(row):
                return NoteSaved(note=Note(row=row))
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)
            case service.TooManyNotes(limit):
                return TooManyNotes(message=f"You can have {limit} notes.", limit=limit)


async def note_by_id(info: Info, note_id: uuid.UUID) -> Note | None:
    row = await info.context.services[Notes].by_id(member(info), note_id)
    return Note(row=row) if row else None
