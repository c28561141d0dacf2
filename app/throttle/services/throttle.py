"""What each kind of try is charged to: a field declares what it tries, the rest follows."""

import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.database import Database, Query
from app.errors import Overloaded
from app.outcomes import RateLimited
from app.security.client import Client
from app.throttle.services.budgets import Budget, Budgets, Charge, Counted, Spending
from app.throttle.services.known_devices import Devices
from app.users.models import User
from app.users.services.inputs import account_key, normalised_address


class Tried(Enum):
    """What a field tries, in words for the schema, and whether one operation may do so only once.

    That holds where a secret is tested, an email is sent for somebody who has yet to prove who
    they are, or the answer is large.
    """

    SIGN_IN = "A password that signs in.", True
    SIGN_UP = "A registration.", True
    LINK = "The token of an emailed link.", True
    EMAIL = "A request for an email.", True
    REFRESH = "A refresh token. Only unknown ones are charged.", True
    PASSWORD = "A password that confirms a change.", True
    EMAIL_CHANGE = "A password, and an email to an address of the client's choice.", True
    INVITATION = "An email to an address of an administrator's choice.", False
    PROFILE = "A change of a profile.", False
    DELETION = "The deletion of an account by an administrator, and an email to its owner.", False
    EXPORT = "A password, and a copy of what is known of the user.", True
    USER_EXPORT = "A copy, for an administrator, of what is known of a user.", True

    def __init__(self, meaning: str, once: bool) -> None:
        self.meaning, self.once = meaning, once


class Limit(NamedTuple):
    """A budget that a try is charged to, and whether it stays so."""

    budget: Budget
    counted: Counted


# Counted for where a request comes from.
OF_ADDRESS: Mapping[Tried, Limit] = {
    Tried.SIGN_UP: Limit(Budget.SIGN_UPS, Counted.ALL),
    Tried.LINK: Limit(Budget.LINKS, Counted.FAILURES),
    Tried.EMAIL: Limit(Budget.LINKS, Counted.ALL),
    Tried.REFRESH: Limit(Budget.REFRESHES, Counted.FAILURES),
}
# Counted for the user who is signed in.
OF_USER: Mapping[Tried, tuple[Limit, ...]] = {
    Tried.PASSWORD: (Limit(Budget.PASSWORDS, Counted.FAILURES),),
    Tried.EMAIL_CHANGE: (
        Limit(Budget.PASSWORDS, Counted.FAILURES),
        Limit(Budget.EMAIL_CHANGES, Counted.SUCCESSES),
    ),
    Tried.INVITATION: (Limit(Budget.INVITATIONS, Counted.SUCCESSES),),
    Tried.PROFILE: (Limit(Budget.PROFILES, Counted.ALL),),
    Tried.DELETION: (Limit(Budget.DELETIONS, Counted.SUCCESSES),),
    Tried.EXPORT: (
        Limit(Budget.PASSWORDS, Counted.FAILURES),
        Limit(Budget.EXPORTS, Counted.SUCCESSES),
    ),
    Tried.USER_EXPORT: (Limit(Budget.EXPORTS, Counted.SUCCESSES),),
}


class Try(NamedTuple):
    """By whom something is tried: the user if signed in, and the email address if one is given."""

    client: Client
    user_id: uuid.UUID | None = None
    email: str = ""


@dataclass(slots=True)
class Ending:
    """How a try ended. What nobody says of it counts against whoever tried."""

    failed: bool = True
    done: bool = True

    def was(self, *, failed: bool, done: bool) -> None:
        """Say whether it was a wrong guess, and whether something was done."""
        self.failed, self.done = failed, done


class Account(NamedTuple):
    id: uuid.UUID
    device_generation: int


TOO_MANY = "This was tried too often. Try again later."
ACCOUNT = Query(
    select(*(getattr(User, name) for name in Account._fields)).where(
        User.email == bindparam("email", type_=User.email.type)
    )
)


@dataclass(frozen=True, slots=True)
class Throttle:
    db: Database
    budgets: Budgets
    devices: Devices

    @asynccontextmanager
    async def charged(self, tried: Tried, by: Try) -> AsyncGenerator[Ending]:
        """Charge a try before the block runs, and take back what its ending does not count for.

        The block says how the try ended. If it raises Overloaded, nothing was tried; after any
        other error, the try stays charged.

        Raises:
            Overloaded: a limit is used up. The block does not run.

        """
        charge = await self.charge(tried, by)
        if isinstance(charge, RateLimited):
            raise Overloaded(TOO_MANY, retry_after_seconds=charge.retry_after_seconds)
        ending = Ending()
        try:
            yield ending
        except Overloaded:
            ending.was(failed=False, done=False)
            raise
        finally:
            await self.budgets.settle(charge, failed=ending.failed, done=ending.done)

    async def charge(self, tried: Tried, by: Try) -> Charge | RateLimited:
        """Charge a try that has ended already: nothing of it is taken back."""
        return await self.budgets.spend(await self._spendings(tried, by), by.client)

    async def mail(self, session: AsyncSession, kind: str, address: str) -> RateLimited | None:
        """Building block: charge an email to its address. Returns the refusal if it may not go."""
        spending = Spending(Budget.MAILS, Counted.ALL, (kind, address))
        charged = await self.budgets.spend_within(session, spending)
        return charged if isinstance(charged, RateLimited) else None

    async def _spendings(self, tried: Tried, by: Try) -> Sequence[Spending]:
        if tried is Tried.SIGN_IN:
            return await self._sign_in(by)
        if tried in OF_ADDRESS:
            return (Spending(*OF_ADDRESS[tried], (by.client.block,)),)
        if by.user_id is None:
            raise LookupError(f"{tried.name} is charged to a user, and no one is signed in")
        subject = (by.user_id.bytes,)
        return [Spending(*limit, subject, by.user_id) for limit in OF_USER[tried]]

    async def _sign_in(self, by: Try) -> Sequence[Spending]:
        """A known device has budgets of its own, which no guess from elsewhere reaches.

        So a stranger cannot lock the owner of an account out. An unknown address is charged alike.
        """
        address = normalised_address(by.email)
        rows = await self.db.fetch(ACCOUNT, email=address) if address else []
        account = Account._make(rows[0]) if rows else None
        user_id = account.id if account else None
        device = account and self.devices.known(by.client, *account)
        if device:
            return tuple(_of_device(device.user_id, device.id))
        return tuple(_of_stranger(account_key(by.email), by.client.block, user_id))


def _of_device(user_id: uuid.UUID, device: bytes) -> Iterator[Spending]:
    yield Spending(Budget.DEVICE, Counted.FAILURES, (user_id.bytes, device), user_id)
    yield Spending(Budget.DEVICES, Counted.FAILURES, (user_id.bytes,), user_id)


def _of_stranger(account: str, block: str, user_id: uuid.UUID | None) -> Iterator[Spending]:
    yield Spending(Budget.ACCOUNT_AND_ADDRESS, Counted.FAILURES, (account, block), user_id)
    yield Spending(Budget.ACCOUNT, Counted.FAILURES, (account,), user_id)
    yield Spending(Budget.ADDRESS, Counted.FAILURES, (block,))
