"""Wrong passwords in a row: after a hundred, a password is locked until it is reset by email.

NIST SP 800-63B-4, 3.2.2. Unknown devices, known devices and sessions are counted separately, so
that a stranger cannot lock out the owner of an account. Unlike a budget, the count has no window,
and its table is in the write-ahead log.
"""

import uuid
from datetime import timedelta

from sqlalchemy import ColumnElement, bindparam, delete, exists, literal_column, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, Query
from app.mail.services.outgoing_emails import OutgoingEmails
from app.security.client import Client
from app.security.keys import Secrets, mac
from app.sessions.emails import PASSWORD_LOCKED
from app.sessions.events import SessionEvent
from app.sessions.models import PasswordFailure, PasswordSource
from app.users.models import User

MAX_FAILURES_IN_A_ROW = 100
# An address without an account has a row only so that a sign-in takes the same time.
KEEP_UNKNOWN = timedelta(days=1)
OF_ACCOUNT = PasswordFailure.account == bindparam("account")
OF_SOURCE = PasswordFailure.source == bindparam("source")
RESET = Query(delete(PasswordFailure).where(OF_ACCOUNT, OF_SOURCE))
RESET_ALL = Query(delete(PasswordFailure).where(OF_ACCOUNT))


class PasswordFailures:
    def __init__(
        self, db: Database, secrets: Secrets, emails: OutgoingEmails, clock: Clock
    ) -> None:
        self._db, self._emails, self._clock = db, emails, clock
        self._mac_key = secrets.derive("unknown-account")[0]

    async def count(
        self,
        session: AsyncSession,
        user_id: uuid.UUID | None,
        account: str,
        source: PasswordSource,
        client: Client,
    ) -> None:
        """Building block: count a wrong password, for an address with or without an account.

        The same is written for both, so that the timing does not reveal which it is. At the
        hundredth in a row, an email notifies the owner.
        """
        now, table, user = self._clock(), PasswordFailure, User
        # Null for an unknown address, and for a user who is being deleted.
        existing = (
            select(user.id).where(user.id == user_id).with_for_update(read=True, key_share=True)
        )
        counted = insert(table).values(
            account=user_id or self._unknown(account),
            source=source.value,
            in_a_row=1,
            user_id=existing.scalar_subquery(),
            last_at=now,
        )
        one_more = counted.on_conflict_do_update(
            index_elements=[table.account, table.source],
            set_={"in_a_row": table.in_a_row + 1, "last_at": now},
        )
        in_a_row = await session.scalar(one_more.returning(table.in_a_row))
        if user_id is not None and in_a_row == MAX_FAILURES_IN_A_ROW:
            await self._notify_owner(session, user_id, source, client)

    async def reset(
        self, session: AsyncSession, user_id: uuid.UUID, source: PasswordSource | None = None
    ) -> None:
        """Building block: reset the count of a source after a right password, or all of them."""
        if source is None:
            await RESET_ALL.run(session, account=user_id)
        else:
            await RESET.run(session, account=user_id, source=source.value)

    async def purge(self) -> None:
        """Delete the counts of addresses without an account."""
        table = PasswordFailure
        expired = (table.user_id.is_(None), table.last_at < self._clock() - KEEP_UNKNOWN)
        async with self._db.begin() as session:
            await session.execute(delete(table).where(*expired))

    async def _notify_owner(
        self, session: AsyncSession, user_id: uuid.UUID, source: PasswordSource, client: Client
    ) -> None:
        email = await session.scalar(select(User.email).where(User.id == user_id))
        recorder, event = Recorder(None, client, self._clock()), SessionEvent.PASSWORD_LOCKED
        await recorder.record(session, event, target=user_id, source=source.value)
        # The language is not that of the request, which is the attacker's.
        await self._emails.enqueue(session, PASSWORD_LOCKED, email or "", user_id, locale=None)

    def _unknown(self, account: str) -> uuid.UUID:
        return uuid.UUID(bytes=mac(self._mac_key, account)[:16])


def is_not_locked(
    account: uuid.UUID | ColumnElement[uuid.UUID], source: str | ColumnElement[str]
) -> ColumnElement[bool]:
    """Returns the condition that the password is not locked for a source.

    Part of the statement that signs a user in, so that a right guess that is concurrent with the
    hundredth wrong one succeeds only if it is committed first.
    """
    table = PasswordFailure
    # Not a parameter: `Query` has those only that have a value in each run.
    locked = table.in_a_row >= literal_column(str(MAX_FAILURES_IN_A_ROW))
    return ~exists().where(table.account == account, table.source == source, locked)
