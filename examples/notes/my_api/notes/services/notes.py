"""The notes that a user has: reading and changing them."""

import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator
from sqlalchemy import ColumnElement, bindparam, delete, func, insert, select, update

from app.clock import Clock
from app.database.database import Database, Query
from app.database.identifiers import new_id
from app.database.keyset_pages import Form, Keyset, Page, PageRequest, page_of
from app.database.outages import repeatable
from app.database.rows import changed_row
from app.errors import Unauthenticated
from app.outcomes import InvalidInput, NotFound
from app.users.models import User
from app.users.services.inputs import Input, check, line, paragraphs
from app.users.services.rows import locked_user
from app.users.services.viewer import Viewer
from my_api.notes.models import Note, NoteRow
from my_api.notes.settings import NoteSettings

MAX_TITLE_CHARACTERS = 200
MAX_BODY_CHARACTERS = 10_000
COLUMNS = tuple(getattr(Note, name) for name in NoteRow._fields)
NEWEST_FIRST = Keyset(Note.created_at.expression, Note.id.expression, descending=True)


class NewNote(Input):
    title: Annotated[str, AfterValidator(line("A title", MAX_TITLE_CHARACTERS))]
    body: Annotated[str, AfterValidator(paragraphs("A body", MAX_BODY_CHARACTERS))]


class ChangedNote(Input):
    title: Annotated[str, AfterValidator(line("A title", MAX_TITLE_CHARACTERS))] = ""
    body: Annotated[str, AfterValidator(paragraphs("A body", MAX_BODY_CHARACTERS))] = ""


@dataclass(frozen=True, slots=True)
class NoteSaved:
    note: NoteRow


@dataclass(frozen=True, slots=True)
class NoteDeleted:
    note_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class TooManyNotes:
    most: int


@dataclass(frozen=True, slots=True)
class Notes:
    db: Database
    settings: NoteSettings
    clock: Clock

    @repeatable
    async def create(
        self, viewer: Viewer, title: str, body: str
    ) -> NoteSaved | InvalidInput | TooManyNotes:
        checked = check(NewNote, {"title": title, "body": body})
        if not isinstance(checked, NewNote):
            return InvalidInput(checked)
        now, most = self.clock(), self.settings.notes_max
        async with self.db.begin() as session:
            # Two requests of one user wait for each other: they cannot both make the last note.
            user = await locked_user(session, User.id == viewer.user.id)
            if user is None:
                raise Unauthenticated("The account is gone.")
            count = await session.scalar(select(func.count()).where(Note.user_id == user.id))
            if count is not None and count >= most:
                return TooManyNotes(most)
            note = NoteRow(new_id(now), user.id, checked.title, checked.body, now, now)
            await session.execute(insert(Note), note._asdict())
        return NoteSaved(note)

    @repeatable
    async def update(
        self, viewer: Viewer, note_id: uuid.UUID, changes: dict[str, str]
    ) -> NoteSaved | InvalidInput | NotFound:
        """Change what is in `changes`; what is not in it stays."""
        checked = check(ChangedNote, changes)
        if not isinstance(checked, ChangedNote):
            return InvalidInput(checked)
        values = checked.model_dump(exclude_unset=True)
        change = update(Note).where(Note.id == note_id, Note.user_id == viewer.user.id)
        async with self.db.begin() as session:
            changed = change.values(**values, updated_at=self.clock())
            row = await changed_row(session, changed, COLUMNS)
        return NoteSaved(NoteRow._make(row)) if row else NotFound()

    @repeatable
    async def delete(self, viewer: Viewer, note_id: uuid.UUID) -> NoteDeleted | NotFound:
        deletion = delete(Note).where(Note.id == note_id, Note.user_id == viewer.user.id)
        async with self.db.begin() as session:
            row = await changed_row(session, deletion, (Note.id,))
        return NoteDeleted(note_id) if row else NotFound()

    async def page(
        self, viewer: Viewer, user_id: uuid.UUID, request: PageRequest
    ) -> Page[NoteRow] | None:
        """Notes, newest first; None for somebody else's, unless an administrator asks."""
        if not (viewer.is_admin or viewer.user.id == user_id):
            return None
        rows = await self.db.fetch(_page_query(request.form), user_id=user_id, **request.values)
        return page_of([NoteRow._make(row) for row in rows], request)

    async def by_id(self, viewer: Viewer, note_id: uuid.UUID) -> NoteRow | None:
        """A note of the viewer's own, or of anybody for an administrator."""
        rows = await self.db.rows(select(*COLUMNS).where(Note.id == note_id, *_visible(viewer)))
        return NoteRow._make(rows[0]) if rows else None

    async def count(self) -> int:
        """How many notes there are, of all users."""
        return (await self.db.rows(select(func.count()).select_from(Note)))[0][0]


def _visible(viewer: Viewer) -> tuple[ColumnElement[bool], ...]:
    return () if viewer.is_admin else (Note.user_id == viewer.user.id,)


@lru_cache(maxsize=16)
def _page_query(form: Form) -> Query:
    theirs = select(*COLUMNS).where(Note.user_id == bindparam("user_id", type_=Note.user_id.type))
    return Query(NEWEST_FIRST.select(theirs, form))
