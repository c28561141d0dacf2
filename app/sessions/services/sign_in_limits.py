"""What a sign-in is charged to: a known device, or else the account and the address."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, NamedTuple

from sqlalchemy import bindparam, select

from app.database.database import Database, Query
from app.sessions.services.known_devices import Devices
from app.throttle.attempts import Budget, Caller, Charge, Counted
from app.users.models import User
from app.users.services.inputs import account_key, normalised_address

ACCOUNT_AND_ADDRESS = Budget(
    "account_and_address",
    maximum=8,
    window=timedelta(minutes=15),
    counts="failed sign-ins to one account from one address",
)
ACCOUNT = Budget(
    "account",
    maximum=15,
    window=timedelta(minutes=15),
    counts="failed sign-ins to one account from all unknown devices",
)
ADDRESS = Budget(
    "address",
    maximum=60,
    window=timedelta(minutes=5),
    counts="failed sign-ins from one address",
)
DEVICE = Budget(
    "device",
    maximum=15,
    window=timedelta(minutes=15),
    counts="failed sign-ins from one known device",
)
DEVICES = Budget(
    "devices",
    maximum=45,
    window=timedelta(minutes=15),
    counts="failed sign-ins to one account from all its known devices",
)


class Account(NamedTuple):
    id: uuid.UUID
    device_generation: int


ACCOUNT_BY_EMAIL = Query(
    select(*(getattr(User, name) for name in Account._fields)).where(
        User.email == bindparam("email", type_=User.email.type)
    )
)


@dataclass(frozen=True, slots=True)
class SignInLimits:
    """A known device has budgets of its own, which no guess from elsewhere reaches.

    So a stranger cannot lock the owner of an account out.
    """

    budgets: ClassVar = (ACCOUNT_AND_ADDRESS, ACCOUNT, ADDRESS, DEVICE, DEVICES)

    db: Database
    devices: Devices

    async def charges(self, caller: Caller) -> Sequence[Charge]:
        """Returns the charges of a sign-in, which are the same for an unknown email address."""
        address = normalised_address(caller.email)
        account = await self._account(address) if address else None
        device = account and self.devices.known(caller.client, *account)
        if device:
            return tuple(_of_device(device.user_id, device.id))
        user_id = account.id if account else None
        key = address or account_key(caller.email)
        return tuple(_of_stranger(key, caller.client.block, user_id))

    async def _account(self, address: str) -> Account | None:
        rows = await self.db.fetch(ACCOUNT_BY_EMAIL, email=address)
        return Account._make(rows[0]) if rows else None


def _of_device(user_id: uuid.UUID, device: bytes) -> Iterator[Charge]:
    yield Charge(DEVICE, Counted.FAILURES, (user_id.bytes, device), user_id)
    yield Charge(DEVICES, Counted.FAILURES, (user_id.bytes,), user_id)


def _of_stranger(account: str, block: str, user_id: uuid.UUID | None) -> Iterator[Charge]:
    yield Charge(ACCOUNT_AND_ADDRESS, Counted.FAILURES, (account, block), user_id)
    yield Charge(ACCOUNT, Counted.FAILURES, (account,), user_id)
    yield Charge(ADDRESS, Counted.FAILURES, (block,))
