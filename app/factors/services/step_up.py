"""Step-up: the user of a session proves again who they are, for sensitive changes."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.services.password_confirmation import PasswordConfirmation
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.factors.events import FactorEvent
from app.factors.models import has_factor
from app.factors.services.answers import Answer, Answers, InvalidCode
from app.factors.services.locking import locked_viewer
from app.factors.services.totp_codes import CodeSource, TotpCodes
from app.outcomes import InvalidCredentials
from app.security.client import Client
from app.sessions.models import AuthenticationMethod, SessionRow
from app.sessions.services.freshness import current_session, record_proof
from app.users.models import User, UserRow
from app.users.services.viewer import Viewer

PASSWORD = AuthenticationMethod.PASSWORD


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
    answers: Answers
    totp_codes: TotpCodes
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
    async def by_code(
        self, viewer: Viewer, answer: Answer, client: Client
    ) -> SteppedUp | InvalidCode:
        """Step up with a code of a factor. A wrong one is recorded and counted.

        Repeated within 30 seconds, the code that has proved the session changes nothing.

        Raises:
            Unavailable: this server lacks the secret that sealed the factor.

        """
        now = self.clock()
        recorder = Recorder.by(viewer, client, now)
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            if await self.totp_codes.just_accepted(session, viewer, answer.text, now):
                return SteppedUp(await current_session(session, viewer))
            source = CodeSource.SESSION
            if not await self.answers.accept(session, user, answer, source, recorder):
                event, method = FactorEvent.FACTOR_REFUSED, answer.method.value
                await recorder.record(session, event, target=user.id, method=method)
                return InvalidCode()
            row = await record_proof(session, viewer, answer.method, now)
            await _record(session, recorder, user, answer.method)
        return SteppedUp(row)

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


async def _record(
    session: AsyncSession, recorder: Recorder, user: UserRow, method: AuthenticationMethod
) -> None:
    event = FactorEvent.SESSION_STEPPED_UP
    await recorder.record(session, event, target=user.id, method=method.value)
