"""Changing and deleting notes."""

import uuid
from dataclasses import dataclass

from sqlalchemy import delete, update

from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.database.rows import changed_row
from app.outcomes import InvalidInput, NotFound
from app.users.services.inputs import Input, check
from app.users.services.viewer import Viewer
from my_api.notes.models import Note, NoteRow
from my_api.notes.services.notes import COLUMNS, Body, NoteSaved, Title


class ChangedNote(Input):
    title: Title = ""
    body: Body = ""


@dataclass(frozen=True, slots=True)
class NoteDeleted:
    note_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class NoteChanges:
    db: Database
    clock: Clock

    @retry_on_conflict
    async def update(
        self, viewer: Viewer, note_id: uuid.UUID, changes: dict[str, str]
    ) -> NoteSaved | InvalidInput | NotFound:
        """Change the fields named in `changes`; the others keep their values."""
        checked = check(ChangedNote, changes)
        if not isinstance(checked, ChangedNote):
            return InvalidInput(checked)
        values = checked.model_dump(exclude_unset=True)
        change = update(Note).where(Note.id == note_id, Note.user_id == viewer.user.id)
        async with self.db.begin() as session:
            changed = change.values(**values, updated_at=self.clock())
            row = await changed_row(session, changed, COLUMNS)
        return NoteSaved(NoteRow._make(row)) if row else NotFound()

    @retry_on_conflict
    async def delete(self, viewer: Viewer, note_id: uuid.UUID) -> NoteDeleted | NotFound:
        deletion = delete(Note).where(Note.id == note_id, Note.user_id == viewer.user.id)
        async with self.db.begin() as session:
            row = await changed_row(session, deletion, (Note.id,))
        return NoteDeleted(note_id) if row else NotFound()
