"""The domain for which passkeys are made. They work for no other."""

from dataclasses import dataclass

from sqlalchemy import func, select

from app.database.database import Database
from app.errors import Misconfigured
from app.factors.models import Passkey
from app.security.passkeys import RelyingParty

OTHER_DOMAIN = (
    "Passkeys were registered for {found}, and WEBAUTHN_RP_ID is {ours}: they do not work there. "
    "Set WEBAUTHN_RP_ID={found}, or remove them: portico passkeys remove --rp-id {found}"
)


@dataclass(frozen=True, slots=True)
class RegisteredDomains:
    db: Database
    party: RelyingParty

    async def check(self) -> None:
        """Check that no passkey was registered for another domain than this server's.

        Raises:
            Misconfigured: some were. Their users could not sign in, and nobody would be told.

        """
        # Two reads of the index, however many passkeys there are.
        ends = select(func.min(Passkey.rp_id), func.max(Passkey.rp_id))
        [found] = await self.db.rows(ends)
        other = next((each for each in found if each and each != self.party.id), None)
        if other is not None:
            raise Misconfigured(OTHER_DOMAIN.format(found=other, ours=self.party.id))
