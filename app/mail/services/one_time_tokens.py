"""One-time tokens: issued for a link in an email, used once, revoked with their purpose."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock
from app.database.database import Database
from app.database.identifiers import new_id
from app.mail.models import OneTimeToken, TokenPurpose
from app.security.client import Client
from app.security.random_tokens import LINK_TOKENS

# Short for passwords (OWASP Forgot Password Cheat Sheet); other emails may be read later.
LIFETIMES = {
    TokenPurpose.VERIFY_EMAIL: timedelta(hours=24),
    TokenPurpose.RESET_PASSWORD: timedelta(minutes=30),
    TokenPurpose.CHANGE_EMAIL: timedelta(hours=24),
    TokenPurpose.INVITATION: timedelta(days=7),
    # A user on holiday must not lose their account.
    TokenPurpose.UNDO_EMAIL_CHANGE: timedelta(days=7),
}


@dataclass(frozen=True, slots=True)
class TokenInvalid:
    """The token is unknown, used, replaced or expired: the client does not learn which."""


class Issued(NamedTuple):
    """A token for an email, and how long it is valid."""

    token: str
    lifetime: timedelta


class TokenRow(NamedTuple):
    id: uuid.UUID
    user_id: uuid.UUID
    purpose: str
    email: str
    password_hash: str | None
    display_name: str | None


class UsedToken(NamedTuple):
    user_id: uuid.UUID
    email: str
    used_at: datetime
    session_id: uuid.UUID | None


COLUMNS = tuple(getattr(OneTimeToken, name) for name in TokenRow._fields)


@dataclass(frozen=True, slots=True)
class OneTimeTokens:
    db: Database
    clock: Clock

    async def issue(
        self,
        session: AsyncSession,
        purpose: TokenPurpose,
        user_id: uuid.UUID,
        email: str,
        *,
        password_hash: str | None = None,
        display_name: str | None = None,
    ) -> Issued:
        """Building block: make a token, in the transaction that enqueues its email."""
        token, now, lifetime = LINK_TOKENS.make(), self.clock(), LIFETIMES[purpose]
        row = {
            "id": new_id(now),
            "user_id": user_id,
            "purpose": purpose.value,
            "token_hash": LINK_TOKENS.digest(token),
            "email": email,
            "password_hash": password_hash,
            "display_name": display_name,
            "created_at": now,
            "expires_at": now + lifetime,
        }
        await session.execute(insert(OneTimeToken), row)
        return Issued(token, lifetime)

    async def find(self, token: str, *purposes: TokenPurpose) -> TokenRow | None:
        """Returns an unused token without using it; None if it is invalid."""
        digest = LINK_TOKENS.digest(token)
        if digest is None:
            return None
        table = OneTimeToken
        usable = (table.used_at.is_(None), table.expires_at > self.clock())
        of_purpose = table.purpose.in_([purpose.value for purpose in purposes])
        rows = await self.db.rows(
            select(*COLUMNS).where(table.token_hash == digest, of_purpose, *usable)
        )
        return TokenRow._make(rows[0]) if rows else None

    async def used(self, token: str, client: Client, *purposes: TokenPurpose) -> UsedToken | None:
        """Returns a token that this client has used, until it expires."""
        digest = LINK_TOKENS.digest(token)
        if digest is None:
            return None
        table = OneTimeToken
        of_purpose = table.purpose.in_([purpose.value for purpose in purposes])
        by_client = (table.used_by == client.program, table.expires_at > self.clock())
        columns = (table.user_id, table.email, table.used_at, table.session_id)
        rows = await self.db.rows(
            select(*columns).where(table.token_hash == digest, of_purpose, *by_client)
        )
        return UsedToken._make(rows[0]) if rows else None

    async def oldest_usable(
        self, session: AsyncSession, purpose: TokenPurpose, user_id: uuid.UUID, email: str
    ) -> uuid.UUID | None:
        """Building block: returns the oldest usable token for an address and a purpose."""
        table = OneTimeToken
        usable = (table.used_at.is_(None), table.expires_at > self.clock())
        sent = (table.user_id == user_id, table.purpose == purpose.value, table.email == email)
        oldest = select(table.id).where(*sent, *usable).order_by(table.id).limit(1)
        return await session.scalar(oldest)

    async def use(self, session: AsyncSession, token: str) -> bool:
        """Building block: mark a token as used; returns whether it was usable.

        If many requests use a token at once, only one succeeds.
        """
        table, now = OneTimeToken, self.clock()
        used = (
            update(table)
            .where(
                table.token_hash == LINK_TOKENS.digest(token),
                table.used_at.is_(None),
                table.expires_at > now,
            )
            .values(used_at=now)
            .returning(table.id)
        )
        return (await session.execute(used)).one_or_none() is not None

    async def remember(
        self,
        session: AsyncSession,
        token_id: uuid.UUID,
        client: Client,
        session_id: uuid.UUID | None = None,
    ) -> None:
        """Building block: let the client that has used a token send it again.

        Call this last: revoking tokens undoes it. `session_id` is the session that was started.
        """
        table = OneTimeToken
        used = update(table).where(table.id == token_id)
        await session.execute(used.values(used_by=client.program, session_id=session_id))

    async def revoke(
        self,
        session: AsyncSession,
        user_id: uuid.UUID,
        purposes: Collection[TokenPurpose],
        *,
        after: uuid.UUID | None = None,
    ) -> None:
        """Building block: revoke tokens of these purposes, or only those issued after another.

        Unused tokens are deleted. A client that has used one cannot send it again.
        """
        table = OneTimeToken
        of_purpose = table.purpose.in_([purpose.value for purpose in purposes])
        later = table.id > after if after else true()
        theirs = (table.user_id == user_id, of_purpose, later)
        await session.execute(delete(table).where(*theirs, table.used_at.is_(None)))
        remembered = (*theirs, table.used_by.is_not(None))
        await session.execute(update(table).where(*remembered).values(used_by=None))

    async def purge(self) -> None:
        """Delete expired tokens."""
        async with self.db.begin() as session:
            expired = OneTimeToken.expires_at < self.clock()
            await session.execute(delete(OneTimeToken).where(expired))
