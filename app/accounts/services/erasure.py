"""Erasing a person: what happens to an account that is deleted, whoever deletes it."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from sqlalchemy import ColumnElement, delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.emails import ACCOUNT_DELETED, ACCOUNT_DELETED_FOR_YOU
from app.accounts.events import AccountEvent
from app.accounts.services.last_administrator import LastAdministrator, remains_another
from app.audit.services.events import Recorder, erase_person
from app.database.database import Database
from app.jobs.services.queue import Jobs
from app.mail.services.outgoing_emails import OutgoingEmails
from app.security.client import Client
from app.users.models import Role, User, UserRow
from app.users.services.rows import locked_user

# Erases something of the user with this id.
ErasureStep = Callable[[AsyncSession, uuid.UUID], Awaitable[None]]

# In one transaction: an event takes about 0.1 ms, and other administrators wait meanwhile.
MOST_EVENTS = 5000


@dataclass(frozen=True, slots=True)
class ForgetAddresses:
    """A user was deleted, and the audit still holds addresses that they came from."""

    job: ClassVar[str] = "user.erasure"

    user_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class ErasureSteps:
    """What modules erase that does not go with the row of the user."""

    steps: tuple[ErasureStep, ...]


@dataclass(frozen=True, slots=True)
class Erasure:
    db: Database
    jobs: Jobs
    emails: OutgoingEmails
    modules: ErasureSteps

    async def erase(
        self,
        session: AsyncSession,
        user_id: uuid.UUID,
        recorder: Recorder,
        *where: ColumnElement[bool],
    ) -> UserRow | LastAdministrator | None:
        """Building block: delete a user who satisfies the conditions; None if there is none.

        Sessions, links and counts of wrong passwords go with the row, and the jobs about the user
        with them: emails that have not left yet too. The audit keeps an id that leads nowhere, and
        no address that they came from; if there are very many, a job forgets the rest of these.
        The last email tells the person.
        """
        user = User
        # Checked for members too: another administrator may be promoting this one right now.
        another = await remains_another(session, user_id, recorder.at)
        row = await locked_user(session, user.id == user_id, *where)
        if row is None:
            return None
        if row.role == Role.ADMIN.value and not another:
            return LastAdministrator()
        is_own = recorder.actor == user_id
        for step in self.modules.steps:
            await step(session, user_id)
        await session.execute(delete(user).where(user.id == user_id))
        await self.jobs.delete_about(session, (user_id, row.email))
        kind = ACCOUNT_DELETED if is_own else ACCOUNT_DELETED_FOR_YOU
        locale = self.emails.locale_of(recorder.client)
        await self.emails.enqueue(session, kind, row.email, user_id, locale)
        if not await erase_person(session, user_id, limit=MOST_EVENTS):
            await self.jobs.enqueue(session, ForgetAddresses(user_id), about=None)
        # Not even this event says from where somebody deleted themself.
        if is_own:
            nowhere = Client(None, None, recorder.client.request_id)
            recorder = replace(recorder, client=nowhere)
        await recorder.record(session, AccountEvent.USER_DELETED, target=user_id)
        return row

    async def finish(self, job: ForgetAddresses) -> None:
        """Forget the rest of somebody's addresses, some thousands at a time: the job's handler."""
        while not await self._erase_some(job.user_id):
            pass

    async def _erase_some(self, user_id: uuid.UUID) -> bool:
        async with self.db.begin() as session:
            return await erase_person(session, user_id, limit=MOST_EVENTS)
