"""The factors of a user: listing and removing them, and new recovery codes."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, exists, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.services.trust import Change, Trust
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.factors.emails import FACTOR_REMOVED, RECOVERY_CODES_RENEWED
from app.factors.events import FactorEvent
from app.factors.models import (
    Factor,
    FactorKind,
    FactorRow,
    Passkey,
    RecoveryCodes,
    has_factor,
    select_factors,
)
from app.factors.services.locking import locked_viewer
from app.factors.services.recovery import Recovery
from app.mail.services.outgoing_emails import OutgoingEmails
from app.outcomes import NotFound
from app.security.client import Client
from app.sessions.services.freshness import FRESH_WITHIN, Freshness
from app.users.models import User
from app.users.services.outcomes import UserChanged
from app.users.services.viewer import Viewer


@dataclass(frozen=True, slots=True)
class LastWayIn:
    """The user has no password, and could not sign in any more."""


@dataclass(frozen=True, slots=True)
class Factors:
    db: Database
    recovery: Recovery
    freshness: Freshness
    trust: Trust
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
        rows = await self.db.rows(select_factors().where(Factor.id == factor_id))
        row = FactorRow._make(rows[0]) if rows else None
        return row if row and _visible([row.user_id], viewer) else None

    @retry_on_conflict
    async def remove(
        self, viewer: Viewer, factor_id: uuid.UUID, client: Client
    ) -> UserChanged | NotFound | LastWayIn:
        """Remove a factor of the viewer. The recovery codes go with the last one.

        Challenges end, and what other sessions have proved no longer suffices for sensitive
        changes. The last passkey of a user without a password is not removed.
        """
        now = self.clock()
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            await self.freshness.check_locked(session, viewer, FRESH_WITHIN)
            theirs = (Factor.id == factor_id, Factor.user_id == user.id)
            row = (await session.execute(select_factors().where(*theirs))).one_or_none()
            if row is None:
                return NotFound()
            factor = FactorRow._make(row)
            if not await session.scalar(_other_way_in(factor)):
                return LastWayIn()
            await session.execute(delete(Factor).where(*theirs))
            is_last = await self._remove_codes_of_last(session, user.id)
            locale, last = self.emails.locale_of(client), "yes" if is_last else None
            await self.emails.enqueue(
                session,
                FACTOR_REMOVED,
                user.email,
                user.id,
                locale,
                last=last,
                passkey=factor.name,
            )
            recorder, event = Recorder.by(viewer, client, now), FactorEvent.FACTOR_REMOVED
            change, current = Change.FACTOR_REMOVED, viewer.session_id
            await self.trust.end(session, change, user, recorder, current=current)
            await recorder.record(session, event, target=user.id, kind=factor.kind)
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
        found = select_factors().where(Factor.user_id.in_(owners)).order_by(Factor.id)
        return [FactorRow._make(row) for row in await self.db.rows(found)]

    async def _remove_codes_of_last(self, session: AsyncSession, user_id: uuid.UUID) -> bool:
        if await session.scalar(select(has_factor(user_id))):
            return False
        await session.execute(delete(RecoveryCodes).where(RecoveryCodes.user_id == user_id))
        return True


def _other_way_in(factor: FactorRow) -> Select[bool]:
    """Returns whether the user can sign in without a factor. Codes alone never sign in."""
    others = exists().where(
        Passkey.user_id == factor.user_id,
        Passkey.factor_id != factor.id,
        Passkey.needs_password.is_(False),
    )
    has_password = exists().where(User.id == factor.user_id, User.password_hash.is_not(None))
    is_way_in = factor.kind == FactorKind.PASSKEY.value
    return select(or_(others, has_password, literal(not is_way_in)))


def _visible(user_ids: Sequence[uuid.UUID], viewer: Viewer) -> list[uuid.UUID]:
    return [each for each in user_ids if viewer.is_admin or each == viewer.user.id]
