"""The domain for which passkeys are made. They work for no other."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.errors import Misconfigured
from app.factors.events import FactorEvent
from app.factors.models import Factor, Passkey, RecoveryCodes
from app.security.client import NO_CLIENT
from app.security.relying_party import RelyingParty
from app.sessions.models import Challenge
from app.users.models import User
from app.users.services.viewer import Operator

OTHER_DOMAIN = (
    "Passkeys were registered for {found}, and WEBAUTHN_RP_ID is {ours}: they do not work there. "
    "Set WEBAUTHN_RP_ID={found}, or remove them: portico passkeys remove --rp-id {found}"
)


class PasskeysOfDomain(NamedTuple):
    """How many passkeys a domain has, of how many users."""

    passkeys: int
    users: int
    # Those who have no other way in: no password, and no passkey that signs in alone here.
    without_other_way_in: int


@dataclass(frozen=True, slots=True)
class OwnDomain:
    """It is the domain of this server, whose passkeys are in use."""


@dataclass(frozen=True, slots=True)
class RegisteredDomains:
    db: Database
    party: RelyingParty
    clock: Clock

    async def check(self) -> None:
        """Check that no passkey was registered for another domain than this server's.

        Raises:
            Misconfigured: some were. Their users could not sign in, and nobody would be told.

        """
        other = await self.other()
        if other is not None:
            raise Misconfigured(OTHER_DOMAIN.format(found=other, ours=self.party.id))

    async def other(self) -> str | None:
        """Returns another domain for which passkeys were registered; None if there is none."""
        # Two reads of the index, however many passkeys there are.
        ends = select(func.min(Passkey.rp_id), func.max(Passkey.rp_id))
        [found] = await self.db.rows(ends)
        return next((each for each in found if each and each != self.party.id), None)

    async def count(self, rp_id: str) -> PasskeysOfDomain | OwnDomain:
        """Returns what `remove` would remove."""
        if rp_id == self.party.id:
            return OwnDomain()
        async with self.db.begin() as session:
            return await self._count(session, rp_id)

    @retry_on_conflict
    async def remove(self, rp_id: str, operator: Operator) -> PasskeysOfDomain | OwnDomain:
        """Remove all passkeys of another domain, and return how many they were.

        Recovery codes go with the last factor of a user. Challenges end, which may ask for a
        passkey that does not exist any more. No email is sent.
        """
        if rp_id == self.party.id:
            return OwnDomain()
        async with self.db.begin() as session:
            await _lock_users(session, rp_id)
            found = await self._count(session, rp_id)
            if not found.passkeys:
                return found
            await _remove(session, rp_id)
            recorder = Recorder.by(operator, NO_CLIENT, self.clock())
            await recorder.record(
                session,
                FactorEvent.PASSKEYS_REMOVED,
                domain=rp_id,
                passkeys=str(found.passkeys),
                users=str(found.users),
            )
        return found

    async def _count(self, session: AsyncSession, rp_id: str) -> PasskeysOfDomain:
        users = func.count(Passkey.user_id.distinct())
        of_domain = select(func.count(), users, users.filter(~self._has_other_way_in()))
        row = await session.execute(of_domain.where(Passkey.rp_id == rp_id))
        return PasskeysOfDomain._make(row.one())

    def _has_other_way_in(self) -> ColumnElement[bool]:
        alone = (Passkey.rp_id == self.party.id, Passkey.needs_password.is_(False))
        ours = select(Passkey.user_id).where(*alone)
        with_password = select(User.id).where(User.password_hash.is_not(None))
        return or_(Passkey.user_id.in_(ours), Passkey.user_id.in_(with_password))


async def _lock_users(session: AsyncSession, rp_id: str) -> None:
    """Lock the users first, as everything does that changes factors, and in one order."""
    locked = select(User.id).where(User.id.in_(_owners(rp_id))).order_by(User.id).with_for_update()
    await session.execute(select(func.count()).select_from(locked.subquery()))


async def _remove(session: AsyncSession, rp_id: str) -> None:
    of_domain = select(Passkey.factor_id).where(Passkey.rp_id == rp_id)
    owner = RecoveryCodes.user_id
    others = exists().where(Factor.user_id == owner, Factor.id.not_in(of_domain))
    for deleted in (
        delete(Challenge).where(Challenge.user_id.in_(_owners(rp_id))),
        delete(RecoveryCodes).where(owner.in_(_owners(rp_id)), ~others),
        delete(Factor).where(Factor.id.in_(of_domain)),
    ):
        await session.execute(deleted)


def _owners(rp_id: str) -> Select[*tuple[Any, ...]]:
    return select(Passkey.user_id).where(Passkey.rp_id == rp_id)
