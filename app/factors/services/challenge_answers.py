"""Answering a challenge: the second step of a sign-in."""

import uuid
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, Query
from app.database.outages import retry_on_conflict
from app.factors.events import FactorEvent
from app.factors.services.answers import Answer, Answers, InvalidCode
from app.factors.services.passkey_proofs import PasskeyRefused
from app.factors.services.totp_codes import CodeSource
from app.security.client import Client
from app.security.keys import constant_time_equal
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.challenges import Challenges, FoundChallenge
from app.sessions.services.gate import Gate
from app.sessions.services.known_devices import Devices
from app.sessions.services.outcomes import SignedIn
from app.sessions.services.repeated_sign_ins import RepeatedSignIns
from app.users.models import User
from app.users.services.rows import locked_user

DEVICE_GENERATION = Query(select(User.device_generation).where(User.id == bindparam("user_id")))


@dataclass(frozen=True, slots=True)
class ChallengeExpired:
    """The challenge is unknown, used or expired: clients cannot tell which."""

    # Whether the token was one that this server issues for some time: no guess.
    is_known: bool = False


@dataclass(frozen=True, slots=True)
class ChallengeAnswers:
    db: Database
    challenges: Challenges
    answers: Answers
    gate: Gate
    sign_ins: RepeatedSignIns
    devices: Devices
    account_policy: AccountPolicy
    clock: Clock

    async def answer(
        self, token: str, answer: Answer, client: Client
    ) -> SignedIn | InvalidCode | PasskeyRefused | ChallengeExpired:
        """Complete a sign-in with a second factor.

        A wrong code is recorded and counted, and does not use up the challenge. A passkey that is
        refused uses up its ceremony: begin another one for the same challenge. The client that
        has used it (address and user agent) gets the same session for the same answer.

        Raises:
            Unavailable: this server lacks the secret that sealed the factor.

        """
        found = await self.challenges.find(token)
        if found is None:
            return ChallengeExpired()
        if found.used_at is None:
            outcome = await self._answer(found, answer, client)
            if outcome is not None:
                return outcome
            # Another request has used it in the meantime, or the account has changed.
            found = await self.challenges.find(token)
        repeated = await self._repeated(found, answer, client)
        return repeated or ChallengeExpired(is_known=found is not None)

    @retry_on_conflict
    async def _answer(
        self, found: FoundChallenge, answer: Answer, client: Client
    ) -> SignedIn | InvalidCode | PasskeyRefused | None:
        checked = await self.answers.check(answer, found.id)
        now = self.clock()
        recorder = Recorder(None, client, now)
        async with self.db.begin() as session:
            user = await locked_user(session, User.id == found.user_id)
            if user is None or self.account_policy.refusal(user, now):
                return None
            if not await self.challenges.is_usable(session, found.id):
                return None
            source = await self._source(session, user.id, client)
            if not await self.answers.accept(
                session, user, checked, found.proved, source, recorder
            ):
                event, method = FactorEvent.FACTOR_REFUSED, answer.method.value
                await recorder.record(session, event, target=user.id, method=method)
                return answer.refusal
            proved = (*found.proved, answer.method)
            started = await self.gate.start(
                session, user, proved, client, is_passkey_synced=checked.is_passkey_synced
            )
            used_with = answer.fingerprint(client)
            await self.challenges.use(session, found.id, started.session.id, used_with)
            await self.answers.record(session, user, answer, recorder)
        return self.gate.signed_in(started)

    async def _source(
        self, session: AsyncSession, user_id: uuid.UUID, client: Client
    ) -> CodeSource:
        rows = await DEVICE_GENERATION.run(session, user_id=user_id)
        is_known = bool(rows) and self.devices.known(client, user_id, rows[0][0])
        return CodeSource.KNOWN_DEVICE if is_known else CodeSource.UNKNOWN_DEVICE

    async def _repeated(
        self, found: FoundChallenge | None, answer: Answer, client: Client
    ) -> SignedIn | None:
        if found is None or found.used_at is None or found.session_id is None:
            return None
        same = constant_time_equal(found.used_with or b"", answer.fingerprint(client))
        return await self.sign_ins.again(found.session_id, found.used_at) if same else None
