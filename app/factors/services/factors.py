"""The factors of a user: listing and removing them, and new recovery codes."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.factors.emails import FACTOR_REMOVED, RECOVERY_CODES_RENEWED
from app.factors.events import FactorEvent
from app.factors.models import FACTOR_COLUMNS, Factor, FactorRow, RecoveryCodes, has_factor
from app.factors.services.locking import locked_viewer
from app.factors.services.recovery import Recovery
from app.mail.services.outgoing_emails import OutgoingEmails
from app.outcomes import NotFound
from app.security.client import Client
from app.sessions.services.challenges import end_challenges
from app.sessions.services.freshness import FRESH_WITHIN, Freshness
from app.users.services.outcomes import UserChanged
from app.users.services.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Factors:
    db: Database
    recovery: Recovery
    freshness: Freshness
    emails: OutgoingEmails
    clock: Clock

    async def of_users(
        self, user_ids: Sequence[uuid.UUID], viewer: Viewer
    ) -> Mapping[uuid.UUID, Sequence[FactorRow]]:
        """Returns the factors of each of these users, oldest first, in one statement.

        Without those of other users, unless the viewer is an administrator.
        """
        owners = _visible(user_ids, viewer)
        found = defaultdict[uuid.UUID, list[FactorRow]](list)
        for row in await self._rows(owners):
            found[row.user_id].append(row)
        return {owner: found[owner] for owner in owners}

    async def codes_left(
        self, user_ids: Sequence[uuid.UUID], viewer: Viewer
    ) -> Mapping[uuid.UUID, int]:
        """Returns how many recovery codes each of these users has, as `of_users`."""
        owners = _visible(user_ids, viewer)
        left = await self.recovery.left(owners)
        return {owner: left.get(owner, 0) for owner in owners}

    async def by_id(self, viewer: Viewer, factor_id: uuid.UUID) -> FactorRow | None:
        """Returns a factor of the viewer; for an administrator, of any user."""
        rows = await self.db.rows(select(*FACTOR_COLUMNS).where(Factor.id == factor_id))
        row = FactorRow._make(rows[0]) if rows else None
        return row if row and _visible([row.user_id], viewer) else None

    @retry_on_conflict
    async def remove(
        self, viewer: Viewer, factor_id: uuid.UUID, client: Client
    ) -> UserChanged | NotFound:
        """Remove a factor of the viewer. The recovery codes go with the last one.

        Challenges end.
        """
        now = self.clock()
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            await self.freshness.check_locked(session, viewer, FRESH_WITHIN)
            factor = Factor
            removed = delete(factor).where(factor.id == factor_id, factor.user_id == user.id)
            kind = await session.scalar(removed.returning(factor.kind))
            if kind is None:
                return NotFound()
            # What they ask for may not exist any more.
            await end_challenges(session, user.id)
            is_last = await self._remove_codes_of_last(session, user.id)
            locale, last = self.emails.locale_of(client), "yes" if is_last else None
            await self.emails.enqueue(
                session, FACTOR_REMOVED, user.email, user.id, locale, last=last
            )
            recorder, event = Recorder.by(viewer, client, now), FactorEvent.FACTOR_REMOVED
            await recorder.record(session, event, target=user.id, kind=kind)
        return UserChanged(user)

    @retry_on_conflict
    async def renew_codes(self, viewer: Viewer, client: Client) -> list[str] | None:
        """Replace all recovery codes of the viewer, and return the new ones.

        Returns None if the viewer has no factor.
        """
        now = self.clock()
        recorder = Recorder.by(viewer, client, now)
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            await self.freshness.check_locked(session, viewer, FRESH_WITHIN)
            if not await session.scalar(select(has_factor(user.id))):
                return None
            codes = await self.recovery.renew(session, user.id, recorder)
            locale = self.emails.locale_of(client)
            await self.emails.enqueue(session, RECOVERY_CODES_RENEWED, user.email, user.id, locale)
            await recorder.record(session, FactorEvent.RECOVERY_CODES_RENEWED, target=user.id)
        return codes

    async def _rows(self, owners: Sequence[uuid.UUID]) -> Sequence[FactorRow]:
        if not owners:
            return []
        found = select(*FACTOR_COLUMNS).where(Factor.user_id.in_(owners)).order_by(Factor.id)
        return [FactorRow._make(row) for row in await self.db.rows(found)]

    async def _remove_codes_of_last(self, session: AsyncSession, user_id: uuid.UUID) -> bool:
        if await session.scalar(select(has_factor(user_id))):
            return False
        await session.execute(delete(RecoveryCodes).where(RecoveryCodes.user_id == user_id))
        return True


def _visible(user_ids: Sequence[uuid.UUID], viewer: Viewer) -> list[uuid.UUID]:
    return [each for each in user_ids if viewer.is_admin or each == viewer.user.id]
