"""What an answer to a challenge is charged to: the account, whatever challenge it answers."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, NamedTuple

from sqlalchemy import bindparam, select

from app.database.database import Database, Query
from app.security.random_tokens import CHALLENGE_TOKENS
from app.sessions.models import Challenge
from app.sessions.services.known_devices import Devices
from app.throttle.attempts import Budget, Caller, Charge, Counted
from app.users.models import User

CODES = Budget(
    "codes",
    maximum=10,
    window=timedelta(minutes=15),
    counts="wrong codes of one account from all unknown devices",
)
CODES_OF_DEVICE = Budget(
    "codes_of_device",
    maximum=10,
    window=timedelta(minutes=15),
    counts="wrong codes of one account from one known device",
)
CHALLENGES = Budget(
    "challenges",
    maximum=60,
    window=timedelta(minutes=5),
    counts="answers to unknown challenges, wrong codes and refused passkeys from one address, or "
    "of one account from one known device",
)


class Account(NamedTuple):
    id: uuid.UUID
    device_generation: int


ACCOUNT_BY_CHALLENGE = Query(
    select(*(getattr(User, name) for name in Account._fields))
    .join(Challenge, Challenge.user_id == User.id)
    .where(Challenge.token_hash == bindparam("token_hash"))
)


@dataclass(frozen=True, slots=True)
class FactorLimits:
    """A known device has budgets of its own, so that others cannot use them up.

    Neither a thief of the password, nor a stranger at the same address. Recovery codes and passkeys
    cannot be guessed, so wrong codes do not make their owner wait.
    """

    budgets: ClassVar = (CODES, CODES_OF_DEVICE, CHALLENGES)

    db: Database
    devices: Devices

    async def charges(self, caller: Caller) -> Sequence[Charge]:
        of_address = Charge(CHALLENGES, Counted.FAILURES, (caller.client.block,))
        account = await self._account(caller.token)
        if account is None:
            return (of_address,)
        user_id, is_code = account.id, caller.code is not None
        device = self.devices.known(caller.client, *account)
        if device is not None:
            budget = CODES_OF_DEVICE if is_code else CHALLENGES
            return (Charge(budget, Counted.FAILURES, (user_id.bytes, device.id), user_id),)
        of_user = Charge(CODES, Counted.FAILURES, (user_id.bytes,), user_id)
        return (of_address, of_user) if is_code else (of_address,)

    async def _account(self, token: str) -> Account | None:
        digest = CHALLENGE_TOKENS.digest(token)
        if digest is None:
            return None
        rows = await self.db.fetch_to_change(ACCOUNT_BY_CHALLENGE, token_hash=digest)
        return Account._make(rows[0]) if rows else None
