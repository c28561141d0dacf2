"""Asks browsers for a signature with a passkey: for a sign-in, a challenge, or a step-up."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select

from app.clock import Clock
from app.database.database import Database
from app.factors.models import Passkey
from app.factors.services.challenge_answers import ChallengeExpired
from app.security.ceremonies import LIFETIME, Ceremonies, CeremonyPurpose
from app.security.passkey_options import descriptor, request_options
from app.security.relying_party import RelyingParty
from app.sessions.services.challenges import Challenges
from app.users.services.viewer import Viewer

# An answer of the last moment must not come too late.
TIMEOUT_SECONDS = int((LIFETIME - timedelta(seconds=30)).total_seconds())


class PasskeyOptions(NamedTuple):
    """What a browser takes, and the ceremony that its answer goes with."""

    ceremony: str
    public_key: dict[str, Any]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PasskeyRequests:
    db: Database
    party: RelyingParty
    ceremonies: Ceremonies
    challenges: Challenges
    clock: Clock

    def for_sign_in(self) -> PasskeyOptions:
        """Ask for any passkey of this domain: nothing is said of who has which."""
        return self._options(CeremonyPurpose.SIGN_IN, b"", [])

    async def for_challenge(self, token: str) -> PasskeyOptions | ChallengeExpired:
        """Ask for a passkey of the user of a challenge, who has proved the first factor."""
        found = await self.challenges.find(token)
        if found is None or found.used_at is not None:
            return ChallengeExpired(is_known=found is not None)
        passkeys = await self._descriptors(found.user_id)
        return self._options(CeremonyPurpose.CHALLENGE, found.id.bytes, passkeys)

    async def for_step_up(self, viewer: Viewer) -> PasskeyOptions:
        """Ask for a passkey of the user of a session."""
        passkeys = await self._descriptors(viewer.user.id)
        return self._options(CeremonyPurpose.STEP_UP, viewer.session_id.bytes, passkeys)

    def _options(
        self, purpose: CeremonyPurpose, subject: bytes, passkeys: Sequence[dict[str, Any]]
    ) -> PasskeyOptions:
        ceremony = self.ceremonies.make(purpose, subject, self.clock())
        options = request_options(self.party, ceremony.challenge, passkeys, TIMEOUT_SECONDS)
        return PasskeyOptions(ceremony.token, options, ceremony.expires_at)

    async def _descriptors(self, user_id: uuid.UUID) -> list[dict[str, Any]]:
        found = select(Passkey.credential_id, Passkey.transports)
        theirs = (Passkey.user_id == user_id, Passkey.rp_id == self.party.id)
        rows = await self.db.rows(found.where(*theirs).order_by(Passkey.factor_id))
        return [descriptor(*row) for row in rows]
