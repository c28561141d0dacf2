"""Confirming with the password what a session alone does not allow."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app import models
from app.db import Database
from app.errors import Overloaded
from app.models import AuditName
from app.security.passwords import Passwords
from app.security.viewer import Viewer
from app.services.audit import record
from app.services.outcomes import Client, InvalidCredentials, RateLimited
from app.services.throttle import Throttle


@dataclass(frozen=True, slots=True)
class Confirmation:
    db: Database
    passwords: Passwords
    clock: Callable[[], datetime]
    throttle: Throttle

    async def ask(
        self, viewer: Viewer, password: str, client: Client
    ) -> str | InvalidCredentials | RateLimited:
        """Give the hash that the password matched: a change is made only while it is still that.

        A wrong password is recorded, and charged: whoever holds a stolen access token learns it no
        faster here than by signing in.
        """
        charge = await self.throttle.password(viewer.user.id)
        if isinstance(charge, RateLimited):
            return charge
        user = models.User
        rows = await self.db.rows(select(user.password_hash).where(user.id == viewer.user.id))
        seen = rows[0][0] if rows else None
        try:
            verification = await self.passwords.verify(password, seen, client.block)
        except Overloaded as full:
            return RateLimited(full.retry_after_seconds)
        if seen is not None and verification.matches:
            await self.throttle.give_back(charge)
            return seen
        async with self.db.begin() as session:
            event, who = AuditName.PASSWORD_REFUSED, viewer.user.id
            await record(session, self.clock(), event, client, actor=who, target=who)
        return InvalidCredentials()
