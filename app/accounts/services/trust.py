"""Trust: what ends when trust in an account changes. Every change of it goes through here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from typing import Any

from sqlalchemy import ColumnElement, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.mail.models import TokenPurpose
from app.mail.services.one_time_tokens import OneTimeTokens
from app.sessions.models import EndReason, Session
from app.sessions.services.password_failures import PasswordFailures
from app.sessions.services.sessions import end_sessions
from app.users.models import User, UserRow
from app.users.services.rows import changed_user

ALL_LINKS = frozenset(TokenPurpose)
# The link that undoes a change of address outlives what is done at the new address.
OTHER_LINKS = ALL_LINKS - {TokenPurpose.UNDO_EMAIL_CHANGE}


# Compared by identity: two changes that end the same are two changes, not aliases of one.
@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """What ends with a change; docs/clients/account-life.md has the same as a table.

    `password`: there is none afterwards, until one is chosen by email. `failures`: wrong passwords
    are counted anew.
    """

    sessions: EndReason | None = None
    devices: bool = False
    links: frozenset[TokenPurpose] = frozenset()
    password: bool = False
    failures: bool = False


@unique
class Change(Enum):
    """A change of trust in an account, and what it ends."""

    REGISTRATION_CONFIRMED = Effects(
        EndReason.PASSWORD_CHANGED, devices=True, links=ALL_LINKS, failures=True
    )
    # By a link that brings no password, the first proof of the address: the account may have been
    # made by a stranger.
    ADDRESS_PROVED = Effects(
        EndReason.PASSWORD_CHANGED, devices=True, links=ALL_LINKS, password=True, failures=True
    )
    ADDRESS_PROVED_IN_SESSION = Effects(links=frozenset({TokenPurpose.VERIFY_EMAIL}))
    PASSWORD_RESET = Effects(
        EndReason.PASSWORD_CHANGED, devices=True, links=OTHER_LINKS, failures=True
    )
    # Of all sessions, or of none if the user says so; the one that asks goes on with new tokens.
    PASSWORD_CHANGED = Effects(  # noqa: PIE796 - no alias: `Effects` is compared by identity
        EndReason.PASSWORD_CHANGED, devices=True, links=OTHER_LINKS, failures=True
    )
    EMAIL_CHANGED = Effects(devices=True, links=OTHER_LINKS)
    EMAIL_CHANGE_UNDONE = Effects(
        EndReason.REVOKED, devices=True, links=OTHER_LINKS, password=True, failures=True
    )
    SUSPENDED = Effects(EndReason.SUSPENDED, links=ALL_LINKS)
    SIGNED_OUT = Effects(EndReason.REVOKED)


@dataclass(frozen=True, slots=True)
class Trust:
    tokens: OneTimeTokens
    failures: PasswordFailures
    clock: Callable[[], datetime]

    async def change(
        self,
        session: AsyncSession,
        change: Change,
        where: ColumnElement[bool],
        values: Mapping[str, Any],
        recorder: Recorder,
        *,
        sessions: ColumnElement[bool] | None = None,
    ) -> UserRow | None:
        """Building block: change a user, and end what that ends.

        Returns the user as they are now; None if no user satisfies the condition, and then nothing
        is done. `sessions` narrows which of theirs end.
        """
        user, now = User, self.clock()
        changed = update(user).where(where).values(**values, updated_at=now)
        row = await changed_user(session, changed)
        if row is None:
            return None
        return await self.end(session, change, row, recorder, sessions=sessions)

    async def end(
        self,
        session: AsyncSession,
        change: Change,
        user: UserRow,
        recorder: Recorder,
        *,
        sessions: ColumnElement[bool] | None = None,
    ) -> UserRow:
        """Building block: end what a change ends. The row of the user is locked by the caller."""
        ends, theirs = change.value, Session.user_id == user.id
        if ends.password or ends.devices:
            await self._end_on_user(session, user, ends)
        if ends.links:
            await self.tokens.revoke(session, user.id, ends.links)
        if ends.failures:
            await self.failures.forget(session, user.id)
        if ends.sessions:
            # Last: it records an event, and who holds the end of a chain must wait for nothing.
            which = theirs & (true() if sessions is None else sessions)
            await end_sessions(session, recorder, ends.sessions, user.id, which)
        return user

    async def _end_on_user(self, session: AsyncSession, user: UserRow, ends: Effects) -> None:
        table = User
        values: dict[str, Any] = {"password_hash": None} if ends.password else {}
        if ends.devices:
            values["device_generation"] = table.device_generation + 1
        await session.execute(update(table).where(table.id == user.id).values(values))
