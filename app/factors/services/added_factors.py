"""What follows when a factor was added, of whatever kind."""

import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.services.trust import Change, Trust
from app.audit.services.events import Recorder
from app.factors.emails import FACTOR_ADDED
from app.factors.events import FactorEvent
from app.factors.models import FactorRow, has_factor
from app.factors.services.recovery import Recovery
from app.mail.services.outgoing_emails import OutgoingEmails
from app.sessions.services.freshness import forget_removed_factors
from app.users.models import UserRow
from app.users.services.viewer import Viewer


@dataclass(frozen=True, slots=True)
class AddedFactors:
    recovery: Recovery
    trust: Trust
    emails: OutgoingEmails

    async def is_first(self, session: AsyncSession, user_id: uuid.UUID) -> bool:
        """Building block: whether a user has no factor yet. They are locked."""
        return not await session.scalar(select(has_factor(user_id)))

    async def complete(
        self,
        session: AsyncSession,
        viewer: Viewer,
        user: UserRow,
        factor: FactorRow,
        by: Recorder,
        *,
        is_first: bool,
    ) -> list[str] | None:
        """Building block: tell the user, record it, and end what the first factor ends.

        Returns recovery codes with the first factor, which are shown once. Call it last: it locks
        the audit.
        """
        codes = await self.recovery.renew(session, user.id, by) if is_first else None
        locale = self.emails.locale_of(by.client)
        await self.emails.enqueue(
            session, FACTOR_ADDED, user.email, user.id, locale, passkey=factor.name
        )
        if is_first:
            change, current = Change.FACTOR_ADDED, viewer.session_id
            await forget_removed_factors(session, user.id, current)
            await self.trust.end(session, change, user, by, current=current)
        await by.record(session, FactorEvent.FACTOR_ADDED, target=user.id, kind=factor.kind)
        return codes
