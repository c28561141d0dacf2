"""Erasing a person: what happens to an account that is deleted, whoever deletes it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete
from sqlalchemy.ext.asyncio import AsyncSession

from app import models
from app.models import AuditName, Role, UserRow
from app.services.administrators import LastAdministrator, remains_another
from app.services.audit import Actor, erase_person, record
from app.services.jobs import Jobs
from app.services.letters import Letter, Letters
from app.services.outcomes import Client
from app.services.rows import locked_user


@dataclass(frozen=True, slots=True)
class Erasure:
    jobs: Jobs
    letters: Letters
    clock: Callable[[], datetime]

    async def erase(
        self,
        session: AsyncSession,
        user_id: uuid.UUID,
        actor: Actor,
        client: Client,
        *where: ColumnElement[bool],
    ) -> UserRow | LastAdministrator | None:
        """Building block: delete a user who satisfies the conditions; None if there is none.

        Sessions, links and counts of wrong passwords go with the row, and the jobs about the user
        with them: emails that have not left yet too. The audit keeps an id that leads nowhere. The
        last email tells the person.
        """
        user, now = models.User, self.clock()
        # Asked of everybody: whoever is no administrator now may be made one meanwhile.
        another = await remains_another(session, user_id, now)
        row = await locked_user(session, user.id == user_id, *where)
        if row is None:
            return None
        if row.role == Role.ADMIN.value and not another:
            return LastAdministrator()
        is_own = actor == user_id
        await session.execute(delete(user).where(user.id == user_id))
        await self.jobs.delete_about(session, (user_id, row.email))
        letter = Letter.ACCOUNT_DELETED if is_own else Letter.ACCOUNT_DELETED_FOR_YOU
        await self.letters.post(session, letter, row.email, user_id)
        await erase_person(session, user_id)
        # Not even this event says from where somebody deleted themself.
        place = Client(None, None, client.request_id) if is_own else client
        event = AuditName.USER_DELETED
        await record(session, now, event, place, actor=actor, target=user_id)
        return row
