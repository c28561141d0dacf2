"""What clients can ask about notes, and do with them."""

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
from app.graphql.inputs import given
from app.graphql.owned_lists import page_of_user
from app.graphql.pagination import After, Before, Cursors, First, Last, PageInfo, PlainForm
from app.graphql.problems import InvalidInput, NotFound, Problem, RateLimited
from app.graphql.schema_part import SchemaPart
from app.text.global_ids import read_id_of
from app.users.schema import User
from my_api.notes.limits import NOTE
from my_api.notes.models import NoteRow
from my_api.notes.services import notes as service
from my_api.notes.services.notes import MAX_BODY_CHARACTERS, MAX_TITLE_CHARACTERS, Notes

CURSORS = Cursors(PlainForm("Note.CREATED_AT.DESC"), attrgetter("created_at"))
TITLE = f"One line of at most {MAX_TITLE_CHARACTERS} characters."
BODY = f"At most {MAX_BODY_CHARACTERS} characters."


@strawberry.type(description="Something that a user wants to remember.")
class Note(Node):
    row: strawberry.Private[NoteRow]

    id: strawberry.ID = id_column("Note")
    title: str = column("title", description=TITLE)
    body: str = column("body", description=BODY)
    created_at: datetime = column("created_at", description="When it was created.")
    updated_at: datetime = column("updated_at", description="When it last changed.")


@strawberry.type(description="A page of notes.")
class NoteConnection:
    page: strawberry.Private[Page[NoteRow]]

    @strawberry.field(description="The notes of this page.")
    def nodes(self) -> list[Note]:
        return [Note(row=row) for row in self.page.rows]

    @strawberry.field(description="Where this page lies among the others.")
    def page_info(self) -> PageInfo:
        return PageInfo.of(self.page, CURSORS.write)


@strawberry.type
class UserNotes:
    """Fields that are added to `User`."""

    @computed(
        needs=(),
        description="The notes of this user, newest first; null for anybody but the user and "
        "administrators.",
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


@strawberry.input(description="What to change of a note. What is left out or null stays as it is.")
class UpdateNoteInput:
    note_id: strawberry.ID = strawberry.field(description="The note.")
    title: str | None = strawberry.field(default=UNSET, description=TITLE)
    body: str | None = strawberry.field(default=UNSET, description=BODY)


@strawberry.input(description="The end of a note.")
class DeleteNoteInput:
    note_id: strawberry.ID = strawberry.field(description="The note.")


@strawberry.type(description="The note is saved.")
class NoteSaved:
    note: Note = strawberry.field(description="The note as it is now.")


@strawberry.type(description="The note is gone.")
class NoteDeleted:
    note_id: strawberry.ID = strawberry.field(description="The id that it had.")


@strawberry.type(description="The user has as many notes as one may have: nothing was saved.")
class TooManyNotes(Problem):
    most: int = strawberry.field(description="How many notes one user may have.")


CreateNoteResult = Annotated[
    NoteSaved | InvalidInput | TooManyNotes | RateLimited,
    strawberry.union("CreateNoteResult", description="How creating a note ended."),
]
UpdateNoteResult = Annotated[
    NoteSaved | InvalidInput | NotFound,
    strawberry.union("UpdateNoteResult", description="How changing a note ended."),
]
DeleteNoteResult = Annotated[
    NoteDeleted | NotFound,
    strawberry.union("DeleteNoteResult", description="How deleting a note ended."),
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
            case service.TooManyNotes(most):
                return TooManyNotes(message=f"You can have {most} notes.", most=most)

    @member_field(description="Change a note of one's own.")
    async def update_note(
        self,
        info: Info,
        input: Annotated[UpdateNoteInput, strawberry.argument(description="The changes.")],
    ) -> UpdateNoteResult | None:
        notes = info.context.services[Notes]
        note_id = read_id_of("Note", input.note_id, "input.noteId")
        values = {"title": given(input.title), "body": given(input.body)}
        changes = {name: value for name, value in values.items() if value is not None}
        match await notes.update(member(info), note_id, changes):
            case service.NoteSaved(row):
                return NoteSaved(note=Note(row=row))
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)
            case outcomes.NotFound():
                return NotFound.make()

    @member_field(description="Delete a note of one's own.")
    async def delete_note(
        self,
        info: Info,
        input: Annotated[DeleteNoteInput, strawberry.argument(description="Which one.")],
    ) -> DeleteNoteResult | None:
        notes = info.context.services[Notes]
        note_id = read_id_of("Note", input.note_id, "input.noteId")
        match await notes.delete(member(info), note_id):
            case service.NoteDeleted():
                return NoteDeleted(note_id=input.note_id)
            case outcomes.NotFound():
                return NotFound.make()


async def note_by_id(info: Info, note_id: uuid.UUID) -> Note | None:
    row = await info.context.services[Notes].by_id(member(info), note_id)
    return Note(row=row) if row else None


SCHEMA = SchemaPart(
    mutations=(NoteMutations,), fields={User: UserNotes}, nodes={"Note": note_by_id}
)
