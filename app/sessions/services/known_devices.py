"""Devices that have signed in to an account before: issuing their tokens, and recognising them."""

import uuid
from dataclasses import dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.database import Query
from app.security.client import Client
from app.security.device_tokens import Device, DeviceTokens
from app.users.models import User

GENERATION = Query(select(User.device_generation).where(User.id == bindparam("user_id")))


@dataclass(frozen=True, slots=True)
class Devices:
    tokens: DeviceTokens

    async def issue(self, session: AsyncSession, user_id: uuid.UUID) -> str:
        """Building block: a token for the device of this request, after a password or an email."""
        rows = await GENERATION.run(session, user_id=user_id)
        return self.tokens.issue(user_id, rows[0][0] if rows else 0)

    def known(self, client: Client, user_id: uuid.UUID, generation: int) -> Device | None:
        """Returns the device if it has signed in to this account, and that has not ended since."""
        device = self.tokens.read(client.device_token)
        if device is None or (device.user_id, device.generation) != (user_id, generation):
            return None
        return device
