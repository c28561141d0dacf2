"""Devices that have signed in to an account before: issuing their tokens, and recognising them."""

import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.security.client import Client
from app.security.device_tokens import Device, DeviceTokens
from app.users.models import User


@dataclass(frozen=True, slots=True)
class Devices:
    tokens: DeviceTokens

    async def issue(self, session: AsyncSession, user_id: uuid.UUID) -> str:
        """Building block: a token for the device of this request, after a password or an email."""
        user = User
        generation = await session.scalar(select(user.device_generation).where(user.id == user_id))
        return self.tokens.issue(user_id, generation or 0)

    def known(self, client: Client, user_id: uuid.UUID, generation: int) -> Device | None:
        """Returns the device if it has signed in to this account, and that has not ended since."""
        device = self.tokens.read(client.device_token)
        if device is None or (device.user_id, device.generation) != (user_id, generation):
            return None
        return device
