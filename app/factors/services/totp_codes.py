"""Codes of authenticator apps (TOTP, RFC 6238): each is accepted once."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import case, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.factors.emails import FACTOR_LOCKED
from app.factors.events import FactorEvent
from app.factors.models import Factor, FactorRow, TotpSecret, select_factors
from app.factors.services.factor_secrets import FactorSecrets
from app.mail.services.outgoing_emails import OutgoingEmails
from app.security import totp
from app.sessions.models import Session
from app.sessions.services.refresh import GRACE
from app.users.models import UserRow
from app.users.services.viewer import Viewer

# In a row. NIST SP 800-63B-4, 3.2.2 allows no more; a code is guessed with 3 in a million.
MAX_WRONG_CODES = 100


class CodeSource(Enum):
    """From where a sign-in is completed. A stranger does not lock the devices of the owner."""

    UNKNOWN_DEVICE = "UNKNOWN_DEVICE"
    KNOWN_DEVICE = "KNOWN_DEVICE"


COUNTS = {
    CodeSource.UNKNOWN_DEVICE: TotpSecret.wrong_codes,
    CodeSource.KNOWN_DEVICE: TotpSecret.wrong_codes_of_known,
}
NONE_WRONG = {column.key: 0 for column in COUNTS.values()}
# An owner who signs in every day must not hide from themself that somebody guesses: a right code
# ends other counts only once they have locked something, which the owner was told.
UNLOCKED = {
    column.key: case((column >= MAX_WRONG_CODES, 0), else_=column) for column in COUNTS.values()
}


@dataclass(frozen=True, slots=True)
class TotpCodes:
    secrets: FactorSecrets
    emails: OutgoingEmails

    async def accept(
        self,
        session: AsyncSession,
        user: UserRow,
        code: str,
        source: CodeSource | None,
        by: Recorder,
    ) -> bool:
        """Building block: accept a code once. The caller has locked the user.

        A code that was accepted before is wrong, and so are those of earlier time steps (RFC 6238,
        5.2). After a hundred wrong codes in a row none is accepted from the same kind of source,
        until one is right from elsewhere, or a recovery code is used. Without a source, in a
        session, the caller counts.

        Raises:
            Unavailable: this server lacks the secret that sealed the factor.

        """
        table = TotpSecret
        found = select(table.sealed_secret).where(table.user_id == user.id)
        sealed = await session.scalar(found)
        if sealed is None or not totp.is_code(code):
            # Nothing was guessed: not counted.
            return False
        step = totp.matching_step(self.secrets.open(sealed), totp.normalised(code), by.at)
        if step is not None and await self._use(session, user.id, step, source, by):
            return True
        if source is not None:
            await self._count(session, user, source, by)
        return False

    async def just_accepted(
        self, session: AsyncSession, viewer: Viewer, code: str, now: datetime
    ) -> FactorRow | None:
        """Building block: the factor, if this code has proved this session in the last 30 seconds.

        For a double click, or a client that repeats a request whose answer was lost.
        """
        factor, table = Factor, TotpSecret
        found = (
            select_factors()
            .add_columns(table.sealed_secret, table.last_step)
            .join(table, table.factor_id == factor.id)
            .join(Session, Session.user_id == factor.user_id)
            .where(
                Session.id == viewer.session_id,
                # Both are written by the transaction that accepts a code in a session.
                Session.proved_at == factor.last_used_at,
                Session.must_step_up.is_(False),
                Session.proved_at > now - GRACE,
            )
        )
        row = (await session.execute(found)).one_or_none()
        if row is None:
            return None
        *values, sealed, last_step = row
        is_same = totp.is_code_of(self.secrets.open(sealed), last_step, totp.normalised(code))
        return FactorRow._make(values) if is_same else None

    async def _use(
        self,
        session: AsyncSession,
        user_id: uuid.UUID,
        step: int,
        source: CodeSource | None,
        by: Recorder,
    ) -> bool:
        table, is_open = TotpSecret, true()
        counts: dict[str, Any] = {**UNLOCKED}
        if source is not None:
            is_open = COUNTS[source] < MAX_WRONG_CODES
            counts[COUNTS[source].key] = 0
        used = (
            update(table)
            .where(table.user_id == user_id, table.last_step < step, is_open)
            .values({"last_step": step, **counts})
            .returning(table.factor_id)
        )
        factor_id = await session.scalar(used)
        if factor_id is None:
            return False
        factor = Factor
        await session.execute(
            update(factor).where(factor.id == factor_id).values(last_used_at=by.at)
        )
        return True

    async def _count(
        self, session: AsyncSession, user: UserRow, source: CodeSource, by: Recorder
    ) -> None:
        column = COUNTS[source]
        values: dict[Any, Any] = {column: column + 1}
        counted = update(TotpSecret).where(TotpSecret.user_id == user.id).values(values)
        if await session.scalar(counted.returning(column)) != MAX_WRONG_CODES:
            return
        # The language is not that of the request, which is the attacker's.
        await self.emails.enqueue(session, FACTOR_LOCKED, user.email, user.id, locale=None)
        await by.record(session, FactorEvent.FACTOR_LOCKED, target=user.id, source=source.value)


async def unlock(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Building block: accept codes again, after something stronger was proved."""
    unlocked = update(TotpSecret).where(TotpSecret.user_id == user_id)
    await session.execute(unlocked.values(NONE_WRONG))
