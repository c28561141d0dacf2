"""Signatures with passkeys: to sign in, to answer a challenge, and to step up."""

import secrets
import uuid
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import LargeBinary, and_, bindparam, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, Query
from app.factors.emails import PASSKEY_COPIED
from app.factors.events import FactorEvent
from app.factors.models import Factor, Passkey, PasskeyUser
from app.factors.services.used_ceremonies import UsedCeremonies
from app.mail.services.outgoing_emails import OutgoingEmails
from app.security.ceremonies import CHALLENGE_BYTES, Ceremonies, CeremonyPurpose
from app.security.keys import Part, constant_time_equal, digest
from app.security.passkey_credentials import Assertion
from app.security.passkey_keys import NO_KEY
from app.security.passkeys import Signature, verify_assertion
from app.security.relying_party import RelyingParty
from app.sessions.services.freshness import end_freshness
from app.users.models import UserRow


class PasskeyAnswer(NamedTuple):
    """What a client sends: a ceremony, and what the browser made of it."""

    ceremony: str
    # None: it was nothing of the kind.
    assertion: Assertion | None

    def fingerprint(self, *others: Part) -> bytes:
        """Returns a digest that only the same answer has, with these other parts."""
        return digest(*others, self.ceremony, *(part or b"" for part in self.assertion or ()))


class FoundPasskey(NamedTuple):
    factor_id: uuid.UUID
    user_id: uuid.UUID
    handle: bytes
    public_key: bytes
    is_backup_eligible: bool


class CheckedPasskey(NamedTuple):
    """A valid signature of a passkey, for a ceremony that may have been used before."""

    passkey: FoundPasskey
    signature: Signature

    @property
    def is_synced(self) -> bool:
        """Whether the passkey may exist on several devices."""
        return self.passkey.is_backup_eligible


@dataclass(frozen=True, slots=True)
class PasskeyRefused:
    """The passkey is not accepted: clients cannot tell why, with one exception."""

    # The passkey is right, and does not suffice without the password any more.
    needs_password: bool = False


class Beside(Enum):
    """What was proved before the passkey."""

    NOTHING = "NOTHING"
    PASSWORD = "PASSWORD"  # noqa: S105 - a name
    OTHER = "OTHER"


FIND = Query(
    select(
        Passkey.factor_id,
        Passkey.user_id,
        PasskeyUser.handle,
        Passkey.public_key,
        Passkey.is_backup_eligible,
    )
    .join(PasskeyUser, PasskeyUser.user_id == Passkey.user_id)
    .where(
        Passkey.credential_id == bindparam("credential_id", type_=LargeBinary()),
        Passkey.rp_id == bindparam("rp_id"),
    )
)


@dataclass(frozen=True, slots=True)
class PasskeyProofs:
    db: Database
    party: RelyingParty
    ceremonies: Ceremonies
    used: UsedCeremonies
    emails: OutgoingEmails
    clock: Clock

    async def check(
        self, answer: PasskeyAnswer, purpose: CeremonyPurpose, subject: bytes = b""
    ) -> CheckedPasskey | None:
        """Check a signature; None if it is refused. Whether it was used before is not checked.

        Why it is refused cannot be told by the time: an unknown passkey is checked with a key that
        nobody has, an unknown ceremony with a challenge that nobody was given.
        """
        assertion = answer.assertion
        if assertion is None:
            return None
        ceremony = self.ceremonies.read(answer.ceremony, purpose, subject, self.clock())
        challenge = ceremony.challenge if ceremony else secrets.token_bytes(CHALLENGE_BYTES)
        found = await self._find(assertion.credential_id)
        public_key = found.public_key if found else NO_KEY
        signature = verify_assertion(self.party, assertion, public_key, challenge)
        if found is None or signature is None:
            return None
        # Without a list of passkeys to choose from, authenticators always send the handle.
        handle_needed = purpose is CeremonyPurpose.SIGN_IN
        handle = assertion.user_handle or (b"" if handle_needed else found.handle)
        is_theirs = constant_time_equal(handle, found.handle)
        is_unchanged = signature.is_backup_eligible == found.is_backup_eligible
        return CheckedPasskey(found, signature) if is_theirs and is_unchanged else None

    async def accept(
        self,
        session: AsyncSession,
        user: UserRow,
        checked: CheckedPasskey | None,
        beside: Beside,
        by: Recorder,
    ) -> CheckedPasskey | PasskeyRefused:
        """Building block: accept a checked signature of a user, and store its counter.

        The caller has locked the user and used up the ceremony. A counter that goes back is that of
        a copy of the passkey (WebAuthn Level 3, 6.1.1): it is refused and recorded, the passkey
        needs the password from then on, and all sessions have to step up. An email says so, and
        again whenever a copy comes with the password. Authenticators that do not count always say
        0.
        """
        if checked is None or checked.passkey.user_id != user.id:
            return PasskeyRefused()
        factor_id, table, count = checked.passkey.factor_id, Passkey, checked.signature.sign_count
        goes_on = or_(table.sign_count < count, and_(table.sign_count == 0, literal(count == 0)))
        values: dict[str, Any] = {
            "sign_count": count,
            "is_backed_up": checked.signature.is_backed_up,
        }
        if beside is Beside.PASSWORD:
            values["needs_password"] = False
        accepted = (
            update(table)
            .where(table.factor_id == factor_id, goes_on)
            .values(values)
            .returning(table.needs_password)
        )
        needs_password = await session.scalar(accepted)
        if needs_password is None:
            await self._refuse_copy(session, user, factor_id, beside, by)
            return PasskeyRefused()
        if needs_password and beside is Beside.NOTHING:
            return PasskeyRefused(needs_password=True)
        used = update(Factor).where(Factor.id == factor_id).values(last_used_at=by.at)
        await session.execute(used)
        return checked

    async def _find(self, credential_id: bytes) -> FoundPasskey | None:
        rows = await self.db.fetch_to_change(FIND, credential_id=credential_id, rp_id=self.party.id)
        return FoundPasskey._make(rows[0]) if rows else None

    async def _refuse_copy(
        self,
        session: AsyncSession,
        user: UserRow,
        factor_id: uuid.UUID,
        beside: Beside,
        by: Recorder,
    ) -> None:
        table = Passkey
        found = select(table.name, table.needs_password).where(table.factor_id == factor_id)
        row = (await session.execute(found)).one_or_none()
        if row is None:
            # It was removed after it was checked.
            return
        name, needed_password = row
        if not needed_password:
            marked = update(table).where(table.factor_id == factor_id)
            await session.execute(marked.values(needs_password=True))
            # Any of them may be that of the copy.
            await end_freshness(session, user.id, current=None)
        if not needed_password or beside is Beside.PASSWORD:
            # The language is not that of the request, which may be an attacker's.
            await self.emails.enqueue(
                session, PASSKEY_COPIED, user.email, user.id, locale=None, name=name
            )
        await by.record(session, FactorEvent.PASSKEY_COPIED, target=user.id)
