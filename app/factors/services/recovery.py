"""Recovery codes: each replaces a factor once, for a user who has lost it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import any_, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.database.database import Database
from app.factors.emails import RECOVERY_CODE_USED
from app.factors.models import RecoveryCodes
from app.factors.services.factor_secrets import FactorSecrets
from app.factors.services.totp_codes import unlock
from app.mail.services.outgoing_emails import OutgoingEmails
from app.security import recovery_codes
from app.users.models import UserRow


@dataclass(frozen=True, slots=True)
class Recovery:
    db: Database
    secrets: FactorSecrets
    emails: OutgoingEmails

    async def renew(self, session: AsyncSession, user_id: uuid.UUID, by: Recorder) -> list[str]:
        """Building block: make new codes, which replace all former ones. They are shown once."""
        codes, key = recovery_codes.make(), recovery_codes.make_key()
        sealed = self.secrets.seal(key)
        values: dict[str, Any] = {
            "sealed_key": sealed.text,
            "sealed_with": sealed.sealed_with,
            "hashes": recovery_codes.hashes(key, user_id, codes),
            "created_at": by.at,
        }
        table = RecoveryCodes
        made = insert(table).values(user_id=user_id, **values)
        await session.execute(
            made.on_conflict_do_update(index_elements=[table.user_id], set_=values)
        )
        return codes

    async def accept(self, session: AsyncSession, user: UserRow, text: str, by: Recorder) -> bool:
        """Building block: accept a code once, and tell the user by email. They are locked.

        The event is recorded by the caller, at the end of the transaction.

        Raises:
            Unavailable: this server lacks the secret that sealed the key of the codes.

        """
        table, code = RecoveryCodes, recovery_codes.read(text)
        sealed = await session.scalar(select(table.sealed_key).where(table.user_id == user.id))
        if sealed is None or code is None:
            return False
        [used] = recovery_codes.hashes(self.secrets.open(sealed), user.id, [code])
        burnt = (
            update(table)
            .where(table.user_id == user.id, any_(table.hashes) == used)
            .values(hashes=func.array_remove(table.hashes, used))
            .returning(func.cardinality(table.hashes))
        )
        left = await session.scalar(burnt)
        if left is None:
            return False
        await unlock(session, user.id)
        locale = self.emails.locale_of(by.client)
        await self.emails.enqueue(
            session, RECOVERY_CODE_USED, user.email, user.id, locale, left=str(left)
        )
        return True

    async def left(self, user_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, int]:
        """Returns how many unused codes each of these users has, of those who have any."""
        table = RecoveryCodes
        found = select(table.user_id, func.cardinality(table.hashes))
        rows = await self.db.rows(found.where(table.user_id.in_(user_ids)))
        return {row[0]: row[1] for row in rows}
