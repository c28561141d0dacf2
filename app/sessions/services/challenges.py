"""Challenges: a sign-in waits for a second factor. Its token opens nothing else, and works once."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, Query
from app.database.identifiers import new_id
from app.security.client import Client
from app.security.random_tokens import CHALLENGE_TOKENS
from app.sessions.events import SessionEvent
from app.sessions.models import ENROLLED_METHODS, AuthenticationMethod, Challenge
from app.sessions.services.outcomes import ChallengeRequired
from app.users.models import UserRow

LIFETIME = timedelta(minutes=10)
PURGE_BATCH = 1000


class FoundChallenge(NamedTuple):
    id: uuid.UUID
    user_id: uuid.UUID
    methods: list[str]
    used_at: datetime | None
    used_with: bytes | None
    session_id: uuid.UUID | None

    @property
    def proved(self) -> list[AuthenticationMethod]:
        return [AuthenticationMethod(each) for each in self.methods]


COLUMNS = tuple(getattr(Challenge, name) for name in FoundChallenge._fields)
FIND = Query(
    select(*COLUMNS).where(
        Challenge.token_hash == bindparam("token_hash"),
        Challenge.expires_at > bindparam("now", type_=Challenge.expires_at.type),
    )
)


@dataclass(frozen=True, slots=True)
class Challenges:
    db: Database
    clock: Clock

    async def issue(
        self,
        session: AsyncSession,
        user: UserRow,
        proved: Sequence[AuthenticationMethod],
        kinds: Sequence[str],
        client: Client,
    ) -> ChallengeRequired:
        """Building block: issue a challenge that factors of these kinds can answer."""
        now, token = self.clock(), CHALLENGE_TOKENS.make()
        row = {
            "id": new_id(now),
            "user_id": user.id,
            "token_hash": CHALLENGE_TOKENS.digest(token),
            "methods": [each.value for each in proved],
            "created_at": now,
            "expires_at": now + LIFETIME,
        }
        await session.execute(insert(Challenge), row)
        recorder = Recorder(None, client, now)
        await recorder.record(session, SessionEvent.CHALLENGE_ISSUED, target=user.id)
        methods = [each for each in ENROLLED_METHODS if each.value in kinds]
        # A code for when a factor is lost goes with every factor.
        return ChallengeRequired(
            token, (*methods, AuthenticationMethod.RECOVERY_CODE), now + LIFETIME
        )

    async def find(self, token: str) -> FoundChallenge | None:
        """Returns a challenge that has not expired, used or not; None if there is none."""
        digest = CHALLENGE_TOKENS.digest(token)
        if digest is None:
            return None
        # As the primary has it: a challenge is answered at once.
        rows = await self.db.fetch_to_change(FIND, token_hash=digest, now=self.clock())
        return FoundChallenge._make(rows[0]) if rows else None

    async def is_usable(self, session: AsyncSession, challenge_id: uuid.UUID) -> bool:
        """Building block: whether a challenge can be answered. The caller has locked the user.

        Of many requests that answer it at once, one succeeds: the others see that it was used.
        """
        table = Challenge
        usable = (table.used_at.is_(None), table.expires_at > self.clock())
        found = select(table.id).where(table.id == challenge_id, *usable).with_for_update()
        return await session.scalar(found) is not None

    async def use(
        self, session: AsyncSession, challenge_id: uuid.UUID, session_id: uuid.UUID, with_: bytes
    ) -> None:
        """Building block: mark a challenge as used, and remember with what and for which session.

        A client that repeats its answer gets the same session again.
        """
        used = update(Challenge).where(Challenge.id == challenge_id)
        await session.execute(
            used.values(used_at=self.clock(), used_with=with_, session_id=session_id)
        )

    async def purge(self) -> int:
        """Delete expired challenges, in batches. Returns how many."""
        table, total = Challenge, 0
        while True:
            expired = (
                select(table.id)
                .where(table.expires_at <= self.clock())
                .limit(PURGE_BATCH)
                .with_for_update(skip_locked=True)
            )
            async with self.db.begin() as session:
                deleted = delete(table).where(table.id.in_(expired)).returning(table.id)
                batch = len((await session.execute(deleted)).all())
            total += batch
            if batch < PURGE_BATCH:
                return total


async def end_challenges(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Building block: end all challenges of a user; what they proved no longer counts."""
    await session.execute(delete(Challenge).where(Challenge.user_id == user_id))
