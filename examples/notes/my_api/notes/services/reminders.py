"""The weekly email to users who have notes."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from sqlalchemy import func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert

from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.jobs.services.queue import Jobs
from app.mail.services.outgoing_emails import OutgoingEmails
from app.users.models import User
from my_api.notes.emails import WEEKLY_NOTES
from my_api.notes.models import Note, NoteReminder

WEEK = timedelta(days=7)
# Of one transaction; the next ones are for the next time.
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class WeeklyEmail:
    """Carries no address: the user may have another one when it is sent."""

    job: ClassVar[str] = "notes.weekly_email"

    user_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Reminders:
    db: Database
    jobs: Jobs
    emails: OutgoingEmails
    clock: Clock

    @retry_on_conflict
    async def enqueue_due(self) -> None:
        """Enqueue an email for each user whose last one, or first note, is a week old.

        Every process calls this. Of two at the same time one finds the row of a user locked, and
        then that it is not due any more.
        """
        now = self.clock()
        last, week_ago = NoteReminder.enqueued_at, now - WEEK
        due = (
            select(Note.user_id, literal(now))
            .outerjoin(NoteReminder, NoteReminder.user_id == Note.user_id)
            .where(or_(last.is_(None), last <= week_ago))
            .group_by(Note.user_id)
            .having(func.min(Note.created_at) <= week_ago)
            .limit(AT_ONCE)
        )
        noted = (
            insert(NoteReminder)
            .from_select(("user_id", "enqueued_at"), due)
            .on_conflict_do_update(
                index_elements=("user_id",), set_={"enqueued_at": now}, where=last <= week_ago
            )
            .returning(NoteReminder.user_id)
        )
        async with self.db.begin() as session:
            for user_id in (await session.scalars(noted)).all():
                await self.jobs.enqueue(session, WeeklyEmail(user_id), about=user_id)

    async def send(self, job: WeeklyEmail) -> None:
        """Send one email, to users whose address is verified: the job's handler."""
        count = select(func.count()).where(Note.user_id == User.id).scalar_subquery()
        found = select(User.email, count).where(User.id == job.user_id, User.email_verified)
        async with self.db.begin() as session:
            row = (await session.execute(found)).one_or_none()
            if row is None or not row[1]:
                return
            address, notes = row
            await self.emails.enqueue(
                session, WEEKLY_NOTES, address, job.user_id, None, count=str(notes)
            )
