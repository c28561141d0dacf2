"""Deletion of an account, by its owner, an administrator or an operator."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from sqlalchemy import ColumnElement, delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.emails import ACCOUNT_DELETED, ACCOUNT_DELETED_FOR_YOU
from app.accounts.events import AccountEvent
from app.accounts.services.last_administrator import LastAdministrator, has_other_administrator
from app.audit.services.events import Recorder, erase_person
from app.database.database import Database
from app.jobs.services.queue import Jobs
from app.mail.services.outgoing_emails import OutgoingEmails
from app.security.client import Client
from app.users.models import Role, User, UserRow
from app.users.services.rows import locked_user

# Erases what a module stores about the user with this id.
ErasureStep = Callable[[AsyncSession, uuid.UUID], Awaitable[None]]

# An event takes about 0.1 ms, and deletions by other administrators wait for the transaction.
MAX_EVENTS_PER_TRANSACTION = 5000


@dataclass(frozen=True, slots=True)
class EraseIpAddresses:
    """A user was deleted, and the audit still has IP addresses of theirs."""

    job: ClassVar[str] = "user.erasure"

    user_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class ErasureSteps:
    """What modules erase beside the rows that cascade from that of the user."""

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

        Their sessions, links and counts of wrong passwords are deleted with the row, and so are
        the jobs about them, including unsent emails. The audit keeps their id, which refers to
        nothing, and none of their IP addresses; if there are very many, a job erases the rest.
        A last email notifies them.
        """
        user = User
        # Checked for members too: another administrator may be promoting this user concurrently.
        another = await has_other_administrator(session, user_id, recorder.at)
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
        if not await erase_person(session, user_id, limit=MAX_EVENTS_PER_TRANSACTION):
            await self.jobs.enqueue(session, EraseIpAddresses(user_id), about=None)
        # The event of the deletion has no IP address of the user either.
        if is_own:
            anonymous = Client(None, None, recorder.client.request_id)
            recorder = replace(recorder, client=anonymous)
        await recorder.record(session, AccountEvent.USER_DELETED, target=user_id)
        return row

    async def finish(self, job: EraseIpAddresses) -> None:
        """Erase the remaining IP addresses in batches. Handles `EraseIpAddresses`."""
        while not await self._erase_some(job.user_id):
            pass

    async def _erase_some(self, user_id: uuid.UUID) -> bool:
        async with self.db.begin() as session:
            return await erase_person(session, user_id, limit=MAX_EVENTS_PER_TRANSACTION)
