"""What this module adds to the schema."""

from app.graphql.schema_part import SchemaPart
from app.users.schema import User
from my_api.notes.schema.changes import NoteChangeMutations
from my_api.notes.schema.notes import NoteMutations, UserNotes, note_by_id

SCHEMA = SchemaPart(
    mutations=(NoteMutations, NoteChangeMutations),
    fields={User: UserNotes},
    nodes={"Note": note_by_id},
)
