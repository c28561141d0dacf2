"""Signing in with a passkey: it proves possession and the person, so no challenge follows."""

from dataclasses import dataclass

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.factors.services.passkey_proofs import (
    Beside,
    CheckedPasskey,
    PasskeyAnswer,
    PasskeyProofs,
    PasskeyRefused,
)
from app.factors.services.used_ceremonies import UsedCeremonies
from app.security.ceremonies import CeremonyPurpose
from app.security.client import Client
from app.security.keys import constant_time_equal
from app.sessions.events import SessionEvent
from app.sessions.models import AuthenticationMethod
from app.sessions.services.account_policy import AccountPolicy
from app.sessions.services.gate import Gate
from app.sessions.services.outcomes import SignedIn
from app.sessions.services.repeated_sign_ins import RepeatedSignIns
from app.users.models import User
from app.users.services.rows import locked_user

PASSKEY = AuthenticationMethod.PASSKEY


@dataclass(frozen=True, slots=True)
class PasskeySignIn:
    db: Database
    proofs: PasskeyProofs
    used: UsedCeremonies
    gate: Gate
    sign_ins: RepeatedSignIns
    account_policy: AccountPolicy
    clock: Clock

    async def sign_in(self, answer: PasskeyAnswer, client: Client) -> SignedIn | PasskeyRefused:
        """Start a session for the user of a passkey.

        After a reset of the password, a passkey does not suffice until it has completed a sign-in
        with the new one: a stranger may have registered it.

        The ceremony is used up, also if the passkey is refused. The client that has used it
        (address and user agent) gets the same session for the same answer.

        Raises:
            Unavailable: this process cannot sign access tokens.

        """
        checked = await self.proofs.check(answer, CeremonyPurpose.SIGN_IN)
        if checked is None:
            await self.used.use_in_vain(answer.ceremony)
            return PasskeyRefused()
        outcome = await self._start(answer, checked, client)
        return outcome or await self._repeated(answer, client) or PasskeyRefused()

    @retry_on_conflict
    async def _start(
        self, answer: PasskeyAnswer, checked: CheckedPasskey, client: Client
    ) -> SignedIn | PasskeyRefused | None:
        """Returns None if the ceremony was used before."""
        now = self.clock()
        recorder = Recorder(None, client, now)
        async with self.db.begin() as session:
            user = await locked_user(session, User.id == checked.passkey.user_id)
            if not await self.used.use(session, answer.ceremony):
                return None
            if user is None:
                return PasskeyRefused()
            if self.account_policy.refusal(user, now):
                await recorder.record(session, SessionEvent.SESSION_REFUSED, target=user.id)
                return PasskeyRefused()
            accepted = await self.proofs.accept(session, user, checked, Beside.NOTHING, recorder)
            if isinstance(accepted, PasskeyRefused):
                if accepted.needs_password:
                    # Only who has the passkey gets here. A copy has an event of its own.
                    await recorder.record(session, SessionEvent.SESSION_REFUSED, target=user.id)
                return accepted
            started = await self.gate.start(
                session, user, (PASSKEY,), client, is_passkey_synced=checked.is_synced
            )
            used_with = answer.fingerprint(client.program)
            session_id = started.session.id
            await self.used.succeed(session, answer.ceremony, session_id, used_with)
        return self.gate.signed_in(started)

    async def _repeated(self, answer: PasskeyAnswer, client: Client) -> SignedIn | None:
        use = await self.used.find(answer.ceremony)
        if use is None or use.session_id is None:
            return None
        same = constant_time_equal(use.used_with or b"", answer.fingerprint(client.program))
        return await self.sign_ins.again(use.session_id, use.used_at) if same else None
