"""Signing out by the tokens of a session: its access token, a refresh token, or both."""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import and_

from app.database.database import Database
from app.errors import Unavailable
from app.keys.services.fleet_secrets import FleetSecrets
from app.security.client import Client
from app.security.refresh_tokens import Presented, RefreshTokens
from app.sessions.models import EndReason, Session
from app.sessions.services.outcomes import SignedIn
from app.sessions.services.refresh import MISSING_SECRET, FoundSession, find_session
from app.sessions.services.sessions import Sessions, SignedOut
from app.users.services.viewer import Viewer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignOut:
    db: Database
    refresh_tokens: RefreshTokens
    fleet: FleetSecrets
    sessions: Sessions

    async def of_viewer(self, viewer: Viewer, client: Client) -> SignedOut:
        """End the current session."""
        only, owner = Session.id == viewer.session_id, viewer.user.id
        return await self.sessions.end(owner, client, EndReason.LOGGED_OUT, owner, only)

    async def of_token(
        self,
        token: str,
        client: Client,
        reason: EndReason = EndReason.LOGGED_OUT,
        actor: uuid.UUID | None = None,
    ) -> SignedOut | None:
        """End the session of a refresh token; None if the token is unknown.

        An earlier token will do: a copy of it could end the session anyway, by being used for a
        refresh. One from before a change of the password could not, and ends nothing here either.
        The owner is recorded as the actor only for a token that could be refreshed.

        Raises:
            Unavailable: the token may be of a server with a secret that this one lacks.

        """
        presented = self.refresh_tokens.read(token)
        found = await find_session(self.db, presented.session_id) if presented else None
        if presented is None or found is None:
            return None
        if self.refresh_tokens.matches(presented, found.session.token_salt):
            return await self._end_of(found, presented, client, reason, actor)
        async with self.db.begin() as session:
            if await self.fleet.may_be_elsewhere(session):
                # After a success, the client would forget a session that goes on.
                raise Unavailable(MISSING_SECRET)
        return None

    async def of_replaced(self, token: str, successor: SignedIn, client: Client) -> None:
        """End the session of a refresh token, unless it is the one that replaced it.

        A failure is logged: the sign-in that replaced the session has been done.
        """
        presented = self.refresh_tokens.read(token)
        if presented is None or presented.session_id == successor.session.id:
            return
        try:
            await self.of_token(token, client, EndReason.REVOKED, successor.user.id)
        except Exception:
            log.exception("A session that was replaced in a browser could not be ended")

    async def of_all(
        self, viewer: Viewer | None, tokens: Iterable[str], client: Client
    ) -> SignedOut:
        """End the sessions of all tokens of a request, which may be one session or several."""
        ended = list[uuid.UUID]()
        if viewer is not None:
            ended += (await self.of_viewer(viewer, client)).session_ids
        has_unknown = False
        for token in tokens:
            outcome = await self.of_token(token, client)
            has_unknown = has_unknown or outcome is None
            ended += outcome.session_ids if outcome else ()
        return SignedOut(tuple(ended), has_unknown_token=has_unknown)

    async def _end_of(
        self,
        found: FoundSession,
        presented: Presented,
        client: Client,
        reason: EndReason,
        actor: uuid.UUID | None,
    ) -> SignedOut:
        session, owner = found.session, found.user.id
        if actor is None and presented.generation >= session.generation - 1:
            actor = owner
        # Compared by the database: the password may be changed at this moment.
        is_valid = Session.first_generation <= presented.generation
        only = and_(Session.id == session.id, is_valid)
        return await self.sessions.end(actor, client, reason, owner, only)
