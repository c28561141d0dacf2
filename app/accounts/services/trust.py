"""What ends when trust in an account changes: sessions, device tokens, links, the password."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.factors.models import TABLES_OF_FACTORS, Passkey
from app.mail.models import TokenPurpose
from app.mail.services.one_time_tokens import OneTimeTokens
from app.sessions.models import EndReason, Session
from app.sessions.services.challenges import end_challenges
from app.sessions.services.freshness import end_freshness
from app.sessions.services.password_failures import PasswordFailures
from app.sessions.services.sessions import end_sessions
from app.users.models import User, UserRow
from app.users.services.rows import changed_user

ALL_LINKS = frozenset(TokenPurpose)
# The link that undoes a change of address survives what is done after the change.
OTHER_LINKS = ALL_LINKS - {TokenPurpose.UNDO_EMAIL_CHANGE}


# Compared by identity: otherwise two changes with equal effects would be aliases in the enum.
@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """What ends with a change; docs/clients/account-life.md has the same as a table.

    `password`: it is removed, and the user chooses one by email. `failures`: the counts of wrong
    passwords are reset. `factors`: second factors and recovery codes are removed. `passkeys`: each
    signs in only together with the password, until it has done so once. `freshness`: the
    sessions that go on, other than the current one, have to step up before a sensitive change, and
    cannot confirm a factor that they have begun to enroll.

    Challenges always end: a sign-in that began before the change is not completed after it.
    """

    sessions: EndReason | None = None
    devices: bool = False
    links: frozenset[TokenPurpose] = frozenset()
    password: bool = False
    failures: bool = False
    factors: bool = False
    passkeys: bool = False
    freshness: bool = False


@unique
class Change(Enum):
    """A change of trust in an account, and what it ends."""

    REGISTRATION_CONFIRMED = Effects(
        EndReason.PASSWORD_CHANGED, devices=True, links=ALL_LINKS, failures=True, factors=True
    )
    # The first proof of the address, by a link without a password: a stranger may have created the
    # account.
    ADDRESS_PROVED = Effects(
        EndReason.PASSWORD_CHANGED,
        devices=True,
        links=ALL_LINKS,
        password=True,
        failures=True,
        factors=True,
    )
    ADDRESS_PROVED_IN_SESSION = Effects(links=frozenset({TokenPurpose.VERIFY_EMAIL}))
    # Who reset it, or undid a change of address, may have lost the account to somebody who has
    # registered a passkey.
    PASSWORD_RESET = Effects(
        EndReason.PASSWORD_CHANGED, devices=True, links=OTHER_LINKS, failures=True, passkeys=True
    )
    # The other sessions end unless the user keeps them; the current one continues with new tokens.
    PASSWORD_CHANGED = Effects(
        EndReason.PASSWORD_CHANGED, devices=True, links=OTHER_LINKS, failures=True, freshness=True
    )
    EMAIL_CHANGED = Effects(devices=True, links=OTHER_LINKS)
    EMAIL_CHANGE_UNDONE = Effects(
        EndReason.REVOKED,
        devices=True,
        links=OTHER_LINKS,
        password=True,
        failures=True,
        passkeys=True,
    )
    SUSPENDED = Effects(EndReason.SUSPENDED, links=ALL_LINKS)
    SIGNED_OUT = Effects(EndReason.REVOKED)
    # The first one. A change of address that was requested without it must not be confirmed, and a
    # used link must not return the session again that it has started without it.
    FACTOR_ADDED = Effects(
        links=frozenset({TokenPurpose.CHANGE_EMAIL, TokenPurpose.VERIFY_EMAIL}), freshness=True
    )
    # Whoever has signed in with it must not use what it proved to take the others away.
    FACTOR_REMOVED = Effects(freshness=True)
    # By an administrator or an operator, for a user who has lost everything.
    FACTORS_RESET = Effects(EndReason.REVOKED, devices=True, links=OTHER_LINKS, factors=True)


@dataclass(frozen=True, slots=True)
class Trust:
    tokens: OneTimeTokens
    failures: PasswordFailures
    clock: Clock

    async def change(
        self,
        session: AsyncSession,
        change: Change,
        where: ColumnElement[bool],
        values: Mapping[str, Any],
        recorder: Recorder,
        *,
        sessions: ColumnElement[bool] | None = None,
        current: UUID | None = None,
    ) -> UserRow | None:
        """Building block: change a user, and end what the change ends.

        Returns the row after the change; None if no user satisfies the condition, and then nothing
        is done. `sessions` restricts which sessions of the user end; `current` is the session that
        makes the change.
        """
        user, now = User, self.clock()
        changed = update(user).where(where).values(**values, updated_at=now)
        row = await changed_user(session, changed)
        if row is None:
            return None
        return await self.end(session, change, row, recorder, sessions=sessions, current=current)

    async def end(
        self,
        session: AsyncSession,
        change: Change,
        user: UserRow,
        recorder: Recorder,
        *,
        sessions: ColumnElement[bool] | None = None,
        current: UUID | None = None,
    ) -> UserRow:
        """Building block: end what a change ends. The row of the user is locked by the caller."""
        effects, is_owned = change.value, Session.user_id == user.id
        if effects.password or effects.devices:
            await self._change_user(session, user, effects)
        if effects.links:
            await self.tokens.revoke(session, user.id, effects.links)
        if effects.failures:
            await self.failures.reset(session, user.id)
        await end_challenges(session, user.id)
        if effects.factors:
            for table in TABLES_OF_FACTORS:
                await session.execute(delete(table).where(table.user_id == user.id))
        if effects.passkeys:
            passkeys = update(Passkey).where(Passkey.user_id == user.id)
            await session.execute(passkeys.values(needs_password=True))
        if effects.freshness:
            await end_freshness(session, user.id, current)
        if effects.sessions:
            # Last: it records an event, which locks the end of an audit chain. Waiting for another
            # lock while holding that one could deadlock.
            which = is_owned & (true() if sessions is None else sessions)
            await end_sessions(session, recorder, effects.sessions, user.id, which)
        return user

    async def _change_user(self, session: AsyncSession, user: UserRow, effects: Effects) -> None:
        table = User
        values: dict[str, Any] = {"password_hash": None} if effects.password else {}
        if effects.devices:
            values["device_generation"] = table.device_generation + 1
        await session.execute(update(table).where(table.id == user.id).values(values))
