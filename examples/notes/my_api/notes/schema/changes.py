"""Changing and deleting notes."""

from typing import Annotated

import strawberry
from strawberry import UNSET

from app import outcomes
from app.graphql.access import member_field
from app.graphql.context import Info, member
from app.graphql.inputs import none_if_unset
from app.graphql.problems import InvalidInput, NotFound
from app.text.global_ids import read_id_of
from my_api.notes.schema.notes import BODY, TITLE, Note, NoteSaved
from my_api.notes.services import changes as service
from my_api.notes.services import notes
from my_api.notes.services.changes import NoteChanges


@strawberry.input(description="A change of a note. Fields that are left out or null are kept.")
class UpdateNoteInput:
    note_id: strawberry.ID = strawberry.field(description="The note.")
    title: str | None = strawberry.field(default=UNSET, description=TITLE)
    body: str | None = strawberry.field(default=UNSET, description=BODY)


@strawberry.input(description="The deletion of a note.")
class DeleteNoteInput:
    note_id: strawberry.ID = strawberry.field(description="The note.")


@strawberry.type(description="The note is deleted.")
class NoteDeleted:
    note_id: strawberry.ID = strawberry.field(description="The id that it had.")


UpdateNoteResult = Annotated[
    NoteSaved | InvalidInput | NotFound,
    strawberry.union("UpdateNoteResult", description="The result of changing a note."),
]
DeleteNoteResult = Annotated[
    NoteDeleted | NotFound,
    strawberry.union("DeleteNoteResult", description="The result of deleting a note."),
]


@strawberry.type
class NoteChangeMutations:
    @member_field(description="Change a note of the viewer.")
    async def update_note(
        self,
        info: Info,
        input: Annotated[UpdateNoteInput, strawberry.argument(description="The changes.")],
    ) -> UpdateNoteResult | None:
        note_id = read_id_of("Note", input.note_id, "input.noteId")
        values = {"title": none_if_unset(input.title), "body": none_if_unset(input.body)}
        changes = {name: value for name, value in values.items() if value is not None}
        match await info.context.services[NoteChanges].update(member(info), note_id, changes):
            case notes.NoteSaved(row):
                return NoteSaved(note=Note(row=row))
            case outcomes.InvalidInput() as invalid:
                return InvalidInput.of(invalid)
            case outcomes.NotFound():
                return NotFound.make()

    @member_field(description="Delete a note of the viewer.")
    async def delete_note(
        self,
        info: Info,
        input: Annotated[DeleteNoteInput, strawberry.argument(description="The note.")],
    ) -> DeleteNoteResult | None:
        note_id = read_id_of("Note", input.note_id, "input.noteId")
        match await info.context.services[NoteChanges].delete(member(info), note_id):
            case service.NoteDeleted():
                return NoteDeleted(note_id=input.note_id)
            case outcomes.NotFound():
                return NotFound.make()
