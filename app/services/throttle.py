"""Budgets for what is tried: each try is charged before the work, and given back if it succeeds.

Windows slide, and a try that is refused is not charged: whoever waits as long as they are told gets
another one. All workers share the budgets; their keys are HMACs, so the table names nobody.
"""

import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import models
from app.db import Database
from app.errors import Overloaded
from app.security.device_tokens import Device, DeviceTokens
from app.security.keys import Secrets, mac
from app.services.outcomes import Client, RateLimited

KEY_BYTES = 16
QUARTER_HOUR = timedelta(minutes=15)
MAIL_SECONDS = 3600
SPEND = text("SELECT spend(:keys, :most, :windows, :moment)")
GIVE_BACK = text(
    "UPDATE budgets SET spent = array_remove(spent, CAST(:moment AS timestamptz))"
    " WHERE key = ANY(:keys)"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many tries; over which time stands with each of them."""

    account_and_address: int = 8
    account: int = 15
    address: int = 60
    device: int = 15
    sign_ups: int = 30
    passwords: int = 15
    mails: int = 3
    scale: float = 1.0

    def scaled(self, number: int) -> int:
        return max(1, round(number * self.scale))


class Budget(NamedTuple):
    name: str
    most: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Charge:
    """What a try was charged to."""

    keys: Sequence[bytes]
    moment: datetime


class Throttle:
    def __init__(
        self,
        db: Database,
        secrets: Secrets,
        devices: DeviceTokens,
        limits: Limits,
        clock: Callable[[], datetime],
    ) -> None:
        self._db, self._devices, self._limits, self._clock = db, devices, limits, clock
        self._key = secrets.derive("budget-key")[0]
        self.refused = 0

    async def sign_in(
        self, account: str, user_id: uuid.UUID | None, client: Client
    ) -> Charge | RateLimited:
        """Charge a sign-in: to the account, known or not, and to where it comes from.

        A device that has signed in to this very account before has a budget of its own, which no
        guess from elsewhere reaches: a stranger cannot lock its owner out.
        """
        limits, block = self._limits, client.block
        device = self._device(user_id, client)
        if device is not None:
            return await self._spend(
                Budget(f"device {device.user_id} {device.id.hex()}", limits.device, QUARTER_HOUR)
            )
        return await self._spend(
            Budget(
                f"account and address {account} {block}", limits.account_and_address, QUARTER_HOUR
            ),
            Budget(f"account {account}", limits.account, QUARTER_HOUR),
            Budget(f"address {block}", limits.address, timedelta(minutes=5)),
        )

    async def sign_up(self, client: Client) -> Charge | RateLimited:
        block = client.block
        budget = Budget(f"sign-ups {block}", self._limits.sign_ups, timedelta(minutes=10))
        return await self._spend(budget)

    async def token(self, client: Client) -> Charge | RateLimited:
        """Charge a link's token, or a request for a letter, to where it comes from."""
        block = client.block
        budget = Budget(f"tokens {block}", self._limits.address, timedelta(minutes=5))
        return await self._spend(budget)

    async def request(self, client: Client) -> None:
        """Charge a request for a letter to where it comes from.

        Raises:
            Overloaded: too many were asked for from there.

        """
        charge = await self.token(client)
        if isinstance(charge, RateLimited):
            msg = "Too many requests for letters. Try again in a moment."
            raise Overloaded(msg, retry_after_seconds=charge.retry_after_seconds)

    async def password(self, user_id: uuid.UUID) -> Charge | RateLimited:
        """Charge a password that confirms a change: a stolen session must not find it out."""
        budget = Budget(f"password {user_id}", self._limits.passwords, QUARTER_HOUR)
        return await self._spend(budget)

    async def mail(self, session: AsyncSession, kind: str, address: str) -> bool:
        """Building block: whether a letter of this kind may go to this address now.

        Charged by the transaction that posts it: a job that failed before has not been charged, or
        its letter would be refused to the third try.
        """
        name, hour = f"mail {kind} {address}", timedelta(seconds=MAIL_SECONDS)
        values = self._values(Budget(name, self._limits.mails, hour))
        return isinstance(self._charged(await session.scalar(SPEND, values), values), Charge)

    async def give_back(self, charge: Charge) -> None:
        """Take back what this try was charged, and nothing else: it succeeded."""
        async with self._db.begin() as session:
            values = {"keys": list(charge.keys), "moment": charge.moment}
            await session.execute(GIVE_BACK, values)

    async def purge(self) -> None:
        """Delete what no window reaches any more."""
        async with self._db.begin() as session:
            over = models.Budget.over_at < self._clock()
            await session.execute(delete(models.Budget).where(over))

    def _device(self, user_id: uuid.UUID | None, client: Client) -> Device | None:
        device = self._devices.read(client.device_token)
        return device if device is not None and device.user_id == user_id else None

    async def _spend(self, *budgets: Budget) -> Charge | RateLimited:
        values = self._values(*budgets)
        ((waits,),) = await self._db.rows(SPEND, values)
        return self._charged(waits, values)

    def _values(self, *budgets: Budget) -> dict[str, Any]:
        keyed = sorted((mac(self._key, each.name)[:KEY_BYTES], each) for each in budgets)
        return {
            "keys": [key for key, _ in keyed],
            "most": [self._limits.scaled(each.most) for _, each in keyed],
            "windows": [each.window for _, each in keyed],
            "moment": self._clock(),
        }

    def _charged(self, waits: timedelta | None, values: dict[str, Any]) -> Charge | RateLimited:
        if waits is None:
            return Charge(values["keys"], values["moment"])
        self.refused += 1
        return RateLimited(max(1, math.ceil(waits.total_seconds())))
