"""Answers to a challenge or a step-up: a code of an app, or a recovery code."""

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.factors.events import FactorEvent
from app.factors.services.recovery import Recovery
from app.factors.services.totp_codes import CodeSource, TotpCodes
from app.sessions.models import AuthenticationMethod
from app.users.models import UserRow


class Answer(NamedTuple):
    """What a user entered, and what it is."""

    method: AuthenticationMethod
    text: str


@dataclass(frozen=True, slots=True)
class InvalidCode:
    """The code is wrong or was used before, or the user has no such factor."""


@dataclass(frozen=True, slots=True)
class Answers:
    totp_codes: TotpCodes
    recovery: Recovery

    async def accept(
        self,
        session: AsyncSession,
        user: UserRow,
        answer: Answer,
        source: CodeSource,
        by: Recorder,
    ) -> bool:
        """Building block: accept the answer to a challenge once. The caller has locked the user.

        Raises:
            Unavailable: this server lacks the secret that sealed the factor.

        """
        if answer.method is AuthenticationMethod.RECOVERY_CODE:
            return await self.recovery.accept(session, user, answer.text, by)
        return await self.totp_codes.accept(session, user, answer.text, source, by)

    async def record(
        self, session: AsyncSession, user: UserRow, answer: Answer, by: Recorder
    ) -> None:
        """Building block: record an answer that was accepted. Call it last: it locks the audit."""
        if answer.method is AuthenticationMethod.RECOVERY_CODE:
            await by.record(session, FactorEvent.RECOVERY_CODE_USED, target=user.id)
