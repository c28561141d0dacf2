"""Freshness: sensitive changes need a proof that is only minutes old (RFC 9470 in GraphQL)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from sqlalchemy import and_, bindparam, case, delete, func, not_, or_, select, update
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock
from app.database.database import Database, Query
from app.errors import SecondFactorRequired, StepUpRequired, Unauthenticated
from app.factors.models import TotpEnrollment, has_factor, kinds_of
from app.sessions.models import (
    ENROLLED_METHODS,
    FACTOR_METHODS,
    HAS_PROVED_FACTOR,
    LIFETIME,
    AuthenticationMethod,
    Session,
    SessionRow,
)
from app.sessions.services.rows import SESSION_COLUMNS, changed_session
from app.users.models import User
from app.users.services.viewer import Viewer

# For sensitive changes of an account, and for what administrators do to accounts of others.
FRESH_WITHIN = timedelta(minutes=10)


class Proof(NamedTuple):
    """Whether the proof of a session is fresh, and what a new one can be made with."""

    is_fresh: bool
    factors: list[str] | None
    has_password: bool

    @property
    def methods(self) -> list[AuthenticationMethod]:
        """The strongest methods of the user: a password does not do where there is a factor."""
        if self.factors:
            return [each for each in ENROLLED_METHODS if each.value in self.factors]
        return [AuthenticationMethod.PASSWORD] if self.has_password else []


ENDED = "The session has ended. Sign in again."
ENROLL_FIRST = "This server requires a second factor: enroll one, or register a passkey."
SINCE = bindparam("since", type_=Session.created_at.type)
IS_FRESH = and_(
    Session.must_step_up.is_(False),
    func.coalesce(Session.proved_at, Session.created_at) > SINCE,
    # A server of the release before starts sessions without asking for a factor.
    or_(not_(has_factor(Session.user_id.expression)), HAS_PROVED_FACTOR),
)
PROOF = Query(
    select(IS_FRESH, kinds_of(User.id.expression), User.password_hash.is_not(None))
    .join(User, User.id == Session.user_id)
    .where(
        Session.id == bindparam("session_id", type_=Session.id.type),
        # It may have ended while the request waited for a lock.
        LIFETIME.is_active(bindparam("now", type_=Session.ends_by.type)),
    )
)


@dataclass(frozen=True, slots=True)
class Freshness:
    db: Database
    clock: Clock

    async def check(self, viewer: Viewer, within: timedelta) -> None:
        """Check that the user of a session has proved who they are within this time.

        Raises:
            StepUpRequired: they have not, or with less than their account asks for now.
            Unauthenticated: the session has ended.

        """
        rows = await self.db.fetch_to_change(PROOF, **self._values(viewer.session_id, within))
        _check(rows, within)

    async def check_locked(self, session: AsyncSession, viewer: Viewer, within: timedelta) -> None:
        """Building block: as `check`, after the user was locked.

        For changes of factors: one that was enrolled meanwhile makes former proofs insufficient.
        """
        rows = await PROOF.run(session, **self._values(viewer.session_id, within))
        _check(rows, within)

    async def refuse_without_factor(self, viewer: Viewer) -> NoReturn:
        """Refuse a session that has to have proved a second factor, and has not.

        Raises:
            StepUpRequired: the user has one, enrolled in another session since.
            SecondFactorRequired: the user has none.
            Unauthenticated: the session has ended.

        """
        values = self._values(viewer.session_id, FRESH_WITHIN)
        proof = _proof(await self.db.fetch_to_change(PROOF, **values))
        if proof.factors:
            raise _refusal(proof, FRESH_WITHIN)
        raise SecondFactorRequired(ENROLL_FIRST)

    def _values(self, session_id: uuid.UUID, within: timedelta) -> dict[str, uuid.UUID | datetime]:
        now = self.clock()
        return {"session_id": session_id, "since": now - within, "now": now}


def _check(rows: Sequence[Sequence[Any]], within: timedelta) -> None:
    proof = _proof(rows)
    if not proof.is_fresh:
        raise _refusal(proof, within)


def _proof(rows: Sequence[Sequence[Any]]) -> Proof:
    if not rows:
        raise Unauthenticated(ENDED)
    return Proof._make(rows[0])


def _refusal(proof: Proof, within: timedelta) -> StepUpRequired:
    methods = [each.value for each in proof.methods]
    return StepUpRequired(max_age_seconds=int(within.total_seconds()), methods=methods)


async def end_freshness(
    session: AsyncSession, user_id: uuid.UUID, current: uuid.UUID | None
) -> None:
    """Building block: let all sessions of a user but the current one have to step up.

    They cannot confirm a factor that they have begun to enroll while they were fresh, either.
    """
    table, pending = Session, TotpEnrollment
    others = (
        table.user_id == user_id,
        table.ended_at.is_(None),
        table.id.is_distinct_from(current),
    )
    await session.execute(update(table).where(*others).values(must_step_up=True))
    begun_by_others = (pending.user_id == user_id, pending.session_id.is_distinct_from(current))
    await session.execute(delete(pending).where(*begun_by_others))


async def forget_removed_factors(
    session: AsyncSession, user_id: uuid.UUID, current: uuid.UUID | None
) -> None:
    """Building block: forget which factors other sessions have proved, before a first one is added.

    They were removed: a session that has proved them has not proved the new one.
    """
    table, left = Session, Session.methods.expression
    for method in sorted(each.value for each in FACTOR_METHODS):
        left = func.array_remove(left, method)
    others = (
        table.user_id == user_id,
        table.ended_at.is_(None),
        table.id.is_distinct_from(current),
        HAS_PROVED_FACTOR,
    )
    forgotten = update(table).where(*others).values(methods=left, is_passkey_synced=None)
    await session.execute(forgotten)


async def record_proof(
    session: AsyncSession,
    viewer: Viewer,
    method: AuthenticationMethod,
    now: datetime,
    *,
    is_passkey_synced: bool | None = None,
) -> SessionRow:
    """Building block: record that the user of a session has just proved who they are.

    A password alone replaces what was proved before: there is no second factor any more.

    Raises:
        Unauthenticated: the session has ended meanwhile.

    """
    table, value = Session, method.value
    is_known = table.methods.contains([value])
    methods = case((is_known, table.methods), else_=func.array_append(table.methods, value))
    synced: Any = table.is_passkey_synced if is_passkey_synced is None else is_passkey_synced
    if method is AuthenticationMethod.PASSWORD:
        methods = array([value])
        synced = None
    proved = (
        update(table)
        .where(table.id == viewer.session_id, LIFETIME.is_active(now))
        .values(
            methods=methods,
            is_passkey_synced=synced,
            proved_at=now,
            must_step_up=False,
            wrong_codes=0,
        )
    )
    row = await changed_session(session, proved)
    if row is None:
        raise Unauthenticated(ENDED)
    return row


async def current_session(session: AsyncSession, viewer: Viewer) -> SessionRow:
    """Building block: read the session of a viewer.

    Raises:
        Unauthenticated: the session has ended meanwhile.

    """
    found = select(*SESSION_COLUMNS).where(Session.id == viewer.session_id)
    row = (await session.execute(found)).one_or_none()
    if row is None:
        raise Unauthenticated(ENDED)
    return SessionRow._make(row)
