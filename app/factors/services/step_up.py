"""Step-up: the user of a session proves again who they are, for sensitive changes."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.services.password_confirmation import PasswordConfirmation
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.factors.events import FactorEvent
from app.factors.models import FactorKind, has_factor
from app.factors.services.answers import InvalidCode
from app.factors.services.locking import locked_viewer
from app.factors.services.passkey_proofs import (
    Beside,
    CheckedPasskey,
    PasskeyAnswer,
    PasskeyProofs,
    PasskeyRefused,
)
from app.factors.services.totp_codes import TotpCodes
from app.factors.services.used_ceremonies import UsedCeremonies
from app.outcomes import InvalidCredentials
from app.security import totp
from app.security.ceremonies import CeremonyPurpose
from app.security.client import Client
from app.sessions.models import AuthenticationMethod, EndReason, Session, SessionRow
from app.sessions.services.freshness import current_session, record_proof
from app.sessions.services.sessions import end_sessions
from app.users.models import User, UserRow
from app.users.services.viewer import Viewer

PASSWORD, TOTP = AuthenticationMethod.PASSWORD, AuthenticationMethod.TOTP
PASSKEY = AuthenticationMethod.PASSKEY
KIND = FactorKind.TOTP
# In a row, in one session.
MAX_WRONG_CODES = 10


@dataclass(frozen=True, slots=True)
class SteppedUp:
    session: SessionRow


@dataclass(frozen=True, slots=True)
class FactorNeeded:
    """The user has a second factor: their password alone does not do."""


@dataclass(frozen=True, slots=True)
class StepUp:
    db: Database
    confirmation: PasswordConfirmation
    totp_codes: TotpCodes
    passkeys: PasskeyProofs
    used: UsedCeremonies
    clock: Clock

    async def by_password(
        self, viewer: Viewer, password: str, client: Client
    ) -> SteppedUp | InvalidCredentials | FactorNeeded:
        """Step up with the password, which is enough only without a second factor.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        rows = await self.db.rows(select(has_factor(viewer.user.id)))
        if rows[0][0]:
            return FactorNeeded()
        confirmed = await self.confirmation.check(viewer, password, client)
        if not isinstance(confirmed, str):
            return confirmed
        return await self._by_confirmed_password(viewer, confirmed, client)

    @retry_on_conflict
    async def by_totp(self, viewer: Viewer, code: str, client: Client) -> SteppedUp | InvalidCode:
        """Step up with a code of an authenticator app. A wrong one is recorded and counted.

        After ten wrong codes in a row the session ends: it may be stolen. So a thief can neither
        guess on, nor lock the owner out of other sessions and devices. Repeated within 30 seconds,
        the code that has proved the session changes nothing.

        Raises:
            Unavailable: this server lacks the secret that sealed the factor.

        """
        now = self.clock()
        recorder = Recorder.by(viewer, client, now)
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            if await self.totp_codes.just_accepted(session, viewer, code, now):
                return SteppedUp(await current_session(session, viewer))
            if not totp.is_code(code) or not await session.scalar(
                select(has_factor(user.id, KIND))
            ):
                return InvalidCode()
            if not await self.totp_codes.accept(session, user, code, None, recorder):
                await self._refuse(session, viewer, recorder)
                return InvalidCode()
            row = await record_proof(session, viewer, TOTP, now)
            await _record(session, recorder, user, TOTP)
        return SteppedUp(row)

    async def by_passkey(
        self, viewer: Viewer, answer: PasskeyAnswer, client: Client
    ) -> SteppedUp | PasskeyRefused:
        """Step up with a passkey. The ceremony is used up, also if the passkey is refused.

        Repeated in the session within 30 seconds, the same answer changes nothing. Refused ones do
        not end the session: a passkey cannot be guessed.
        """
        purpose, subject = CeremonyPurpose.STEP_UP, viewer.session_id.bytes
        checked = await self.passkeys.check(answer, purpose, subject)
        return await self._by_checked_passkey(viewer, answer, checked, client)

    @retry_on_conflict
    async def _by_checked_passkey(
        self, viewer: Viewer, answer: PasskeyAnswer, checked: CheckedPasskey | None, client: Client
    ) -> SteppedUp | PasskeyRefused:
        now = self.clock()
        recorder = Recorder.by(viewer, client, now)
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            used_with, session_id = answer.fingerprint(), viewer.session_id
            if await self.used.is_repeated(session, answer.ceremony, session_id, used_with):
                return SteppedUp(await current_session(session, viewer))
            if not await self.used.use(session, answer.ceremony):
                checked = None
            beside = await _proved_in(session, viewer)
            accepted = await self.passkeys.accept(session, user, checked, beside, recorder)
            if isinstance(accepted, PasskeyRefused):
                event = FactorEvent.FACTOR_REFUSED
                await recorder.record(session, event, target=user.id, method=PASSKEY.value)
                return accepted
            await self.used.succeed(session, answer.ceremony, session_id, used_with)
            row = await record_proof(
                session, viewer, PASSKEY, now, is_passkey_synced=accepted.is_synced
            )
            await _record(session, recorder, user, PASSKEY)
        return SteppedUp(row)

    async def _refuse(self, session: AsyncSession, viewer: Viewer, by: Recorder) -> None:
        user_id, only = viewer.user.id, Session.id == viewer.session_id
        counted = update(Session).where(only).values(wrong_codes=Session.wrong_codes + 1)
        in_a_row = await session.scalar(counted.returning(Session.wrong_codes))
        if in_a_row is not None and in_a_row >= MAX_WRONG_CODES:
            await end_sessions(session, by, EndReason.REVOKED, user_id, only)
        event = FactorEvent.FACTOR_REFUSED
        await by.record(session, event, target=user_id, method=TOTP.value)

    @retry_on_conflict
    async def _by_confirmed_password(
        self, viewer: Viewer, confirmed: str, client: Client
    ) -> SteppedUp | InvalidCredentials | FactorNeeded:
        now = self.clock()
        recorder = Recorder.by(viewer, client, now)
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            unchanged = select(User.id).where(User.id == user.id, User.password_hash == confirmed)
            if await session.scalar(unchanged) is None:
                return InvalidCredentials()
            # It may have been enrolled while the password was verified.
            if await session.scalar(select(has_factor(user.id))):
                return FactorNeeded()
            row = await record_proof(session, viewer, PASSWORD, now)
            await _record(session, recorder, user, PASSWORD)
        return SteppedUp(row)


async def _proved_in(session: AsyncSession, viewer: Viewer) -> Beside:
    """Returns what else was proved in the session.

    One that began with nothing but a passkey may be that of somebody who has a copy of it.
    """
    proved = (await current_session(session, viewer)).methods
    return Beside.NOTHING if {*proved} <= {PASSKEY.value} else Beside.OTHER


async def _record(
    session: AsyncSession, recorder: Recorder, user: UserRow, method: AuthenticationMethod
) -> None:
    event = FactorEvent.SESSION_STEPPED_UP
    await recorder.record(session, event, target=user.id, method=method.value)
