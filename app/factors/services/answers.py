"""Answers to a challenge: a code of an app, a recovery code, or a passkey."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.factors.events import FactorEvent
from app.factors.services.passkey_proofs import (
    Beside,
    CheckedPasskey,
    PasskeyAnswer,
    PasskeyProofs,
    PasskeyRefused,
)
from app.factors.services.recovery import Recovery
from app.factors.services.totp_codes import CodeSource, TotpCodes
from app.factors.services.used_ceremonies import UsedCeremonies
from app.security.ceremonies import CeremonyPurpose
from app.security.client import Client
from app.security.keys import digest
from app.sessions.models import AuthenticationMethod
from app.users.models import UserRow


@dataclass(frozen=True, slots=True)
class InvalidCode:
    """The code is wrong or was used before, or the user has no such factor."""


class Answer(NamedTuple):
    """What a user entered, or a browser signed, and what it is."""

    method: AuthenticationMethod
    given: str | PasskeyAnswer

    @property
    def refusal(self) -> InvalidCode | PasskeyRefused:
        return InvalidCode() if isinstance(self.given, str) else PasskeyRefused()

    def fingerprint(self, client: Client) -> bytes:
        """Returns a digest that only the same answer of the same client has."""
        parts = (client.program, self.method.value)
        if isinstance(self.given, str):
            return digest(*parts, self.given)
        return self.given.fingerprint(*parts)


class CheckedAnswer(NamedTuple):
    """An answer, and what could be checked of it before the user was locked."""

    answer: Answer
    passkey: CheckedPasskey | None

    @property
    def is_passkey_synced(self) -> bool | None:
        return self.passkey.is_synced if self.passkey else None


@dataclass(frozen=True, slots=True)
class Answers:
    totp_codes: TotpCodes
    recovery: Recovery
    passkeys: PasskeyProofs
    used: UsedCeremonies

    async def check(self, answer: Answer, challenge_id: UUID) -> CheckedAnswer:
        """Check what needs no lock: the signature of a passkey."""
        if isinstance(answer.given, str):
            return CheckedAnswer(answer, None)
        purpose = CeremonyPurpose.CHALLENGE
        checked = await self.passkeys.check(answer.given, purpose, challenge_id.bytes)
        return CheckedAnswer(answer, checked)

    async def accept(
        self,
        session: AsyncSession,
        user: UserRow,
        checked: CheckedAnswer,
        proved: Collection[AuthenticationMethod],
        source: CodeSource,
        by: Recorder,
    ) -> bool:
        """Building block: accept the answer to a challenge once. The caller has locked the user.

        Raises:
            Unavailable: this server lacks the secret that sealed the factor.

        """
        method, given = checked.answer
        if not isinstance(given, str):
            if not await self.used.use(session, given.ceremony):
                return False
            has_password = AuthenticationMethod.PASSWORD in proved
            beside = Beside.PASSWORD if has_password else Beside.OTHER
            accepted = await self.passkeys.accept(session, user, checked.passkey, beside, by)
            return not isinstance(accepted, PasskeyRefused)
        if method is AuthenticationMethod.RECOVERY_CODE:
            return await self.recovery.accept(session, user, given, by)
        return await self.totp_codes.accept(session, user, given, source, by)

    async def record(
        self, session: AsyncSession, user: UserRow, answer: Answer, by: Recorder
    ) -> None:
        """Building block: record an answer that was accepted. Call it last: it locks the audit."""
        if answer.method is AuthenticationMethod.RECOVERY_CODE:
            await by.record(session, FactorEvent.RECOVERY_CODE_USED, target=user.id)
