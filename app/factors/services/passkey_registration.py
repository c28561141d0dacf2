"""Registering a passkey, in a session whose user has just proved who they are."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.identifiers import new_id
from app.database.outages import retry_on_conflict
from app.errors import EmailUnverified, LimitReached
from app.factors.models import (
    Factor,
    FactorKind,
    FactorRow,
    Passkey,
    select_factors,
)
from app.factors.services.added_factors import AddedFactors
from app.factors.services.enrollment import FactorAdded
from app.factors.services.locking import locked_viewer
from app.factors.services.passkey_names import default_name
from app.factors.services.passkey_proofs import PasskeyRefused
from app.factors.services.passkey_requests import TIMEOUT_SECONDS, PasskeyOptions
from app.factors.services.passkey_users import PasskeyUsers
from app.factors.services.used_ceremonies import UsedCeremonies
from app.outcomes import InvalidInput
from app.security.ceremonies import LIFETIME, Ceremonies, CeremonyPurpose
from app.security.client import Client
from app.security.keys import digest
from app.security.passkey_credentials import Attestation
from app.security.passkey_options import creation_options, descriptor
from app.security.passkeys import NewPasskey, verify_attestation
from app.security.relying_party import RelyingParty
from app.sessions.models import AuthenticationMethod
from app.sessions.services.freshness import FRESH_WITHIN, Freshness, record_proof
from app.users.models import UserRow
from app.users.services.inputs import PasskeyName, check
from app.users.services.viewer import Viewer

KIND = FactorKind.PASSKEY
MAX_PASSKEYS = 20
# `begin` asks for a fresh session. That one may be this much older when the browser has answered.
FRESH_TO_FINISH = FRESH_WITHIN + LIFETIME
TOO_MANY = f"You have {MAX_PASSKEYS} passkeys, the most that are possible. Remove one first."
UNVERIFIED = "Verify your email address first: open the link in the email."


class Registered(NamedTuple):
    """What a browser has made, for a ceremony. None: it was nothing of the kind."""

    ceremony: str
    attestation: Attestation | None
    name: str | None

    def fingerprint(self) -> bytes:
        found = self.attestation
        if found is None:
            return b""
        return digest(found.credential_id, found.attestation_object, found.client_data)


@dataclass(frozen=True, slots=True)
class PasskeyRegistration:
    db: Database
    party: RelyingParty
    ceremonies: Ceremonies
    used: UsedCeremonies
    users: PasskeyUsers
    freshness: Freshness
    added: AddedFactors
    clock: Clock

    @retry_on_conflict
    async def begin(self, viewer: Viewer) -> PasskeyOptions:
        """Ask the browser for a passkey that no authenticator has for this user yet.

        The address must be verified: who has registered the address of somebody else must not lock
        them out with a factor.

        Raises:
            EmailUnverified: it is not.
            LimitReached: the user has the most passkeys that are possible.
            StepUpRequired: the session is not fresh.

        """
        now = self.clock()
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            await self.freshness.check_locked(session, viewer, FRESH_WITHIN)
            if not user.email_verified:
                raise EmailUnverified(UNVERIFIED)
            await self._check_number(session, user.id)
            handle = await self.users.handle_of(session, user.id, now)
            theirs = select(Passkey.credential_id, Passkey.transports)
            theirs = theirs.where(Passkey.user_id == user.id).order_by(Passkey.factor_id)
            excluded = [descriptor(*row) for row in await session.execute(theirs)]
        ceremony = self.ceremonies.make(CeremonyPurpose.REGISTER, viewer.session_id.bytes, now)
        person = (handle, user.email, user.display_name or user.email)
        options = creation_options(
            self.party, ceremony.challenge, person, excluded, TIMEOUT_SECONDS
        )
        return PasskeyOptions(ceremony.token, options, ceremony.expires_at)

    async def finish(
        self, viewer: Viewer, registered: Registered, client: Client
    ) -> FactorAdded | PasskeyRefused | InvalidInput:
        """Make what the browser has made a factor. The ceremony is used up, also if it is refused.

        Only the session that has begun can finish. With the first factor the user gets recovery
        codes, and what other sessions have proved no longer suffices for sensitive changes.
        Repeated within 30 seconds, the result has no recovery codes.

        Raises:
            LimitReached: the user has the most passkeys that are possible.
            StepUpRequired: the freshness of the session was ended meanwhile.

        """
        passkey = self._verified(viewer, registered)
        given = (registered.name or "").strip() or default_name(
            passkey.aaguid if passkey else "", client.user_agent
        )
        named = check(PasskeyName, {"name": given})
        if not isinstance(named, PasskeyName):
            return InvalidInput(named)
        return await self._add(viewer, registered, passkey, named.name, client)

    def _verified(self, viewer: Viewer, registered: Registered) -> NewPasskey | None:
        purpose, subject = CeremonyPurpose.REGISTER, viewer.session_id.bytes
        ceremony = self.ceremonies.read(registered.ceremony, purpose, subject, self.clock())
        if ceremony is None or registered.attestation is None:
            return None
        return verify_attestation(self.party, registered.attestation, ceremony.challenge)

    @retry_on_conflict
    async def _add(
        self,
        viewer: Viewer,
        registered: Registered,
        passkey: NewPasskey | None,
        name: str,
        client: Client,
    ) -> FactorAdded | PasskeyRefused:
        now, token, session_id = self.clock(), registered.ceremony, viewer.session_id
        recorder, used_with = Recorder.by(viewer, client, now), registered.fingerprint()
        async with self.db.begin() as session:
            user = await locked_viewer(session, viewer, now)
            if await self.used.is_repeated(session, token, session_id, used_with):
                return await self._again(session, user, registered)
            await self.freshness.check_locked(session, viewer, FRESH_TO_FINISH)
            if not await self.used.use(session, token) or passkey is None:
                return PasskeyRefused()
            await self._check_number(session, user.id)
            is_first = await self.added.is_first(session, user.id)
            factor = await self._insert(session, user, registered, passkey, name, now)
            if factor is None:
                return PasskeyRefused()
            await self.used.succeed(session, token, session_id, used_with)
            await record_proof(
                session,
                viewer,
                AuthenticationMethod.PASSKEY,
                now,
                is_passkey_synced=passkey.is_backup_eligible,
            )
            codes = await self.added.complete(
                session, viewer, user, factor, recorder, is_first=is_first
            )
        return FactorAdded(factor, codes)

    async def _again(
        self, session: AsyncSession, user: UserRow, registered: Registered
    ) -> FactorAdded | PasskeyRefused:
        """Without recovery codes: a double click must not replace those that are shown."""
        attestation = registered.attestation
        if attestation is None:
            return PasskeyRefused()
        found = select_factors().where(
            Passkey.credential_id == attestation.credential_id, Passkey.user_id == user.id
        )
        row = (await session.execute(found)).one_or_none()
        return FactorAdded(FactorRow._make(row), None) if row else PasskeyRefused()

    async def _check_number(self, session: AsyncSession, user_id: uuid.UUID) -> None:
        number = select(func.count()).where(Passkey.user_id == user_id)
        if (await session.scalar(number) or 0) >= MAX_PASSKEYS:
            raise LimitReached(TOO_MANY)

    async def _insert(
        self,
        session: AsyncSession,
        user: UserRow,
        registered: Registered,
        passkey: NewPasskey,
        name: str,
        now: datetime,
    ) -> FactorRow | None:
        """Insert the passkey; None if the same is registered already, by whomever."""
        row = FactorRow(new_id(now), user.id, KIND.value, now, now, name, passkey.is_backed_up)
        factor = {each.key: getattr(row, each.key) for each in Factor.__table__.columns}
        await session.execute(insert(Factor), factor)
        values = {
            **passkey._asdict(),
            "factor_id": row.id,
            "user_id": user.id,
            "name": name,
            "transports": registered.attestation.transports if registered.attestation else [],
            "rp_id": self.party.id,
        }
        inserted = insert(Passkey).values(values).on_conflict_do_nothing()
        if await session.scalar(inserted.returning(Passkey.factor_id)) is None:
            await session.execute(delete(Factor).where(Factor.id == row.id))
            return None
        return row
