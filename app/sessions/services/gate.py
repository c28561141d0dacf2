"""The gate: the one way to a session. It decides between a session and a challenge.

Whatever proves who a user is (a password, a link, a code) ends here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.database import Query
from app.factors.models import kinds_of
from app.security.client import Client
from app.sessions.models import FACTOR_METHODS, AuthenticationMethod
from app.sessions.services.challenges import Challenges
from app.sessions.services.outcomes import ChallengeRequired, SignedIn, StartedSession
from app.sessions.services.session_tokens import SessionTokens
from app.sessions.services.starting import SessionStart
from app.users.models import User, UserRow

KINDS = Query(select(kinds_of(bindparam("user_id", type_=User.id.type))))


@dataclass(frozen=True, slots=True)
class Gate:
    starts: SessionStart
    challenges: Challenges
    session_tokens: SessionTokens

    async def start_or_challenge(
        self,
        session: AsyncSession,
        user: UserRow,
        proved: Sequence[AuthenticationMethod],
        client: Client,
        *,
        is_passkey_synced: bool | None = None,
    ) -> StartedSession | ChallengeRequired:
        """Building block: start a session, or issue a challenge if a second factor is missing.

        The caller has locked the user, so that a factor that is enrolled at the same moment is
        either seen here, or ends what was proved without it.

        Raises:
            Unavailable: this process cannot sign access tokens.

        """
        if FACTOR_METHODS.isdisjoint(proved):
            [(kinds,)] = await KINDS.run(session, user_id=user.id)
            if kinds:
                return await self.challenges.issue(session, user, proved, kinds, client)
        return await self.starts.start(session, user, proved, client, is_passkey_synced)

    async def start(
        self,
        session: AsyncSession,
        user: UserRow,
        proved: Sequence[AuthenticationMethod],
        client: Client,
        *,
        is_passkey_synced: bool | None = None,
    ) -> StartedSession:
        """Building block: as `start_or_challenge`, where nothing is missing.

        For an answer to a challenge, a passkey, and a new account.

        Raises:
            LookupError: a second factor is missing nevertheless. Rolls back.

        """
        entered = await self.start_or_challenge(
            session, user, proved, client, is_passkey_synced=is_passkey_synced
        )
        match entered:
            case StartedSession() as started:
                return started
            case ChallengeRequired():
                raise LookupError("a second factor is missing")

    def outcome_of(
        self, entered: StartedSession | ChallengeRequired
    ) -> SignedIn | ChallengeRequired:
        """Building block: make the tokens of a session, once the transaction is committed."""
        if isinstance(entered, ChallengeRequired):
            return entered
        return self.signed_in(entered)

    def signed_in(self, started: StartedSession) -> SignedIn:
        """Building block: as `outcome_of`, after `start`."""
        return self.session_tokens.signed_in(*started)
