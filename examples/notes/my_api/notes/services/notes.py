"""Creating notes and reading them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator
from sqlalchemy import func, insert, select, true

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, Query
from app.database.identifiers import new_id
from app.database.keyset_pages import Keyset, Page, PageRequest, PageShape, pages_of
from app.database.outages import retry_on_conflict
from app.errors import Unauthenticated
from app.outcomes import InvalidInput
from app.security.client import Client
from app.users.models import User
from app.users.services.inputs import Input, check, line, paragraphs
from app.users.services.rows import locked_user
from app.users.services.viewer import Viewer
from my_api.notes.events import NoteEvent
from my_api.notes.models import Note, NoteRow
from my_api.notes.settings import NoteSettings

MAX_TITLE_CHARACTERS = 200
MAX_BODY_CHARACTERS = 10_000
COLUMNS = tuple(getattr(Note, name) for name in NoteRow._fields)
NEWEST_FIRST = Keyset(Note.created_at.expression, Note.id.expression, descending=True)

Title = Annotated[str, AfterValidator(line("A title", MAX_TITLE_CHARACTERS))]
Body = Annotated[str, AfterValidator(paragraphs("A body", MAX_BODY_CHARACTERS))]


class NewNote(Input):
    title: Title
    body: Body


@dataclass(frozen=True, slots=True)
class NoteSaved:
    note: NoteRow


@dataclass(frozen=True, slots=True)
class TooManyNotes:
    limit: int


@dataclass(frozen=True, slots=True)
class Notes:
    db: Database
    settings: NoteSettings
    clock: Clock

    @retry_on_conflict
    async def create(
        self, viewer: Viewer, title: str, body: str, client: Client
    ) -> NoteSaved | InvalidInput | TooManyNotes:
        checked = check(NewNote, {"title": title, "body": body})
        if not isinstance(checked, NewNote):
            return InvalidInput(checked)
        now = self.clock()
        async with self.db.begin() as session:
            # The lock makes a second request of the same user wait, so that it counts this note.
            user = await locked_user(session, User.id == viewer.user.id)
            if user is None:
                raise Unauthenticated("The account is gone.")
            count = await session.scalar(select(func.count()).where(Note.user_id == user.id))
            if count is not None and count >= self.settings.notes_max:
                return TooManyNotes(self.settings.notes_max)
            note = NoteRow(new_id(now), user.id, checked.title, checked.body, now, now)
            await session.execute(insert(Note), note._asdict())
            recorder = Recorder.by(viewer, client, now)
            await recorder.record(session, NoteEvent.NOTE_CREATED, target=user.id)
        return NoteSaved(note)

    async def pages(
        self, user_ids: Sequence[uuid.UUID], viewer: Viewer, request: PageRequest
    ) -> Mapping[uuid.UUID, Page[NoteRow]]:
        """Returns notes of each of these users, newest first, in one statement.

        Other users' notes are returned to administrators only.
        """
        owners = [each for each in user_ids if viewer.is_admin or viewer.user.id == each]
        rows = await self.db.fetch(_pages_query(request.shape), owners=owners, **request.values)
        return pages_of(owners, rows, NoteRow._make, request)

    async def by_id(self, viewer: Viewer, note_id: uuid.UUID) -> NoteRow | None:
        """Returns a note of the viewer, or of any user if the viewer is an administrator."""
        visible = true() if viewer.is_admin else Note.user_id == viewer.user.id
        rows = await self.db.rows(select(*COLUMNS).where(Note.id == note_id, visible))
        return NoteRow._make(rows[0]) if rows else None

    async def count(self) -> int:
        """Returns the number of notes of all users."""
        return (await self.db.rows(select(func.count()).select_from(Note)))[0][0]


@lru_cache(maxsize=16)
def _pages_query(shape: PageShape) -> Query:
    return Query(NEWEST_FIRST.select_each(select(*COLUMNS), shape, Note.user_id.expression))
