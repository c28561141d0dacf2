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
# Users for whom one transaction enqueues an email; the next call continues.
BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class WeeklyEmail:
    """Has no address, since the user may change it before the job runs."""

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

        Every process calls this. If two do so at once, the second waits for the row of each user
        and then finds that it is not due.
        """
        now = self.clock()
        last, week_ago = NoteReminder.enqueued_at, now - WEEK
        due = (
            select(Note.user_id, literal(now))
            .outerjoin(NoteReminder, NoteReminder.user_id == Note.user_id)
            .where(or_(last.is_(None), last <= week_ago))
            .group_by(Note.user_id)
            .having(func.min(Note.created_at) <= week_ago)
            .limit(BATCH_SIZE)
        )
        reminded = (
            insert(NoteReminder)
            .from_select(("user_id", "enqueued_at"), due)
            .on_conflict_do_update(
                index_elements=("user_id",), set_={"enqueued_at": now}, where=last <= week_ago
            )
            .returning(NoteReminder.user_id)
        )
        async with self.db.begin() as session:
            for user_id in (await session.scalars(reminded)).all():
                await self.jobs.enqueue(session, WeeklyEmail(user_id), about=user_id)

    async def send(self, job: WeeklyEmail) -> None:
        """Handle the job: enqueue one email if the address of the user is verified."""
        count = select(func.count()).where(Note.user_id == User.id).scalar_subquery()
        user = select(User.email, count).where(User.id == job.user_id, User.email_verified)
        async with self.db.begin() as session:
            row = (await session.execute(user)).one_or_none()
            if row is None or not row[1]:
                return
            address, notes = row
            await self.emails.enqueue(
                session, WEEKLY_NOTES, address, job.user_id, None, count=str(notes)
            )
