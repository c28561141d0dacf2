"""The user handles of passkeys, and which passkeys of a user are accepted."""

import secrets
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.database import Database
from app.factors.models import Passkey, PasskeyUser
from app.security.passkey_credentials import text_of
from app.security.relying_party import RelyingParty

HANDLE_BYTES = 32


class AcceptedPasskeys(NamedTuple):
    """The passkeys of a user that work, as browsers take them to forget others."""

    rp_id: str
    user_id: str
    all_accepted_credential_ids: list[str]


@dataclass(frozen=True, slots=True)
class PasskeyUsers:
    db: Database
    party: RelyingParty

    async def handle_of(self, session: AsyncSession, user_id: uuid.UUID, now: datetime) -> bytes:
        """Building block: the handle of a user, which is made once. The user is locked."""
        table = PasskeyUser
        made = secrets.token_bytes(HANDLE_BYTES)
        row = {"user_id": user_id, "handle": made, "created_at": now}
        only_first = insert(table).on_conflict_do_nothing(index_elements=[table.user_id])
        await session.execute(only_first, row)
        found = await session.scalar(select(table.handle).where(table.user_id == user_id))
        return found or made

    async def accepted(self, user_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, AcceptedPasskeys]:
        """Returns the passkeys of each of these users who has ever begun to register one."""
        handles = select(PasskeyUser.user_id, PasskeyUser.handle)
        of_users = PasskeyUser.user_id.in_(user_ids)
        ids = defaultdict[uuid.UUID, list[str]](list)
        passkeys = select(Passkey.user_id, Passkey.credential_id).order_by(Passkey.factor_id)
        theirs = (Passkey.user_id.in_(user_ids), Passkey.rp_id == self.party.id)
        for user_id, credential_id in await self.db.rows(passkeys.where(*theirs)):
            ids[user_id].append(text_of(credential_id))
        rows = await self.db.rows(handles.where(of_users))
        return {
            user_id: AcceptedPasskeys(self.party.id, text_of(handle), ids[user_id])
            for user_id, handle in rows
        }
