"""Budgets: how often something may be tried. A try is charged before the work it causes.

Windows slide, and a refused try is not charged: it succeeds after the time that the refusal states.
All workers share the budgets; their keys are MACs, so the table names no one.
"""

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.outcomes import RateLimited
from app.security.client import NO_CLIENT, Client
from app.security.keys import Part, Secrets, mac
from app.throttle.events import ThrottleEvent
from app.throttle.models import Budget as BudgetTable

KEY_BYTES = 16
REPORTED_AT_ONCE = 200
CHARGE = text(
    "SELECT charge_budgets(:keys, :names, :targets, :most, :windows, :addresses, :moment)"
)
GIVE_BACK = text(
    "UPDATE budgets SET spent = array_remove(spent, CAST(:moment AS timestamptz))"
    " WHERE key = ANY(:keys)"
)
TAKE_REFUSED = text(
    "WITH due AS ("
    " SELECT key, name, refused, refused_from, target_id, ip_address FROM budgets"
    " WHERE refused_until <= :now ORDER BY key LIMIT :most FOR UPDATE SKIP LOCKED)"
    " UPDATE budgets SET refused = 0, refused_from = NULL, refused_until = NULL, name = NULL,"
    " target_id = NULL, ip_address = NULL FROM due WHERE budgets.key = due.key"
    " RETURNING due.name, due.refused, due.refused_from, due.target_id, due.ip_address,"
    " due.target_id IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM users WHERE users.id = due.target_id) AS is_erased"
)


class Budget(Enum):
    """One limit: its window, and what it counts. The setting `THROTTLE_<name>` says how many."""

    ACCOUNT_AND_ADDRESS = timedelta(minutes=15), "failed sign-ins to an account from an address"
    ACCOUNT = timedelta(minutes=15), "failed sign-ins to an account from unknown devices"
    ADDRESS = timedelta(minutes=5), "failed sign-ins from an address"
    DEVICE = timedelta(minutes=15), "failed sign-ins from a known device"
    DEVICES = timedelta(minutes=15), "failed sign-ins to an account from all its known devices"
    SIGN_UPS = timedelta(minutes=10), "registrations from an address"
    LINKS = timedelta(minutes=5), "invalid link tokens, and requests for emails, from an address"
    REFRESHES = timedelta(minutes=5), "unknown refresh tokens from an address"
    PASSWORDS = timedelta(minutes=15), "wrong passwords of a session that confirms a change"
    MAILS = timedelta(hours=1), "emails of a kind to an address"
    EMAIL_CHANGES = timedelta(days=1), "requests of an account for another address"
    INVITATIONS = timedelta(hours=1), "invitations by an administrator"
    PROFILES = timedelta(hours=1), "changes of a profile"
    DELETIONS = timedelta(hours=1), "accounts deleted by an administrator"
    EXPORTS = timedelta(hours=1), "copies of personal data made for a user"

    def __init__(self, window: timedelta, counts: str) -> None:
        self.window, self.counts = window, counts


class Counted(Enum):
    """Which tries stay charged to a budget."""

    FAILURES = "wrong guesses"
    SUCCESSES = "what was done"
    ALL = "both, and what was refused as it stood"


class Spending(NamedTuple):
    """One try, and the budget of the subject that it is charged to."""

    budget: Budget
    counted: Counted
    subject: tuple[Part, ...]
    target: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """What a try was charged to."""

    keys: Sequence[tuple[bytes, Counted]]
    moment: datetime

    def given_back(self, *, failed: bool, done: bool) -> list[bytes]:
        """Returns the keys of the budgets that do not count how this try ended."""
        stay = {Counted.ALL: True, Counted.FAILURES: failed, Counted.SUCCESSES: done}
        return [key for key, counted in self.keys if not stay[counted]]


class Budgets:
    def __init__(
        self,
        db: Database,
        secrets: Secrets,
        limits: Mapping[Budget, int],
        clock: Clock,
    ) -> None:
        self._db, self._limits, self._clock = db, limits, clock
        self._mac_key = secrets.derive("budget-key")[0]
        # How many tries this process has refused.
        self.refused = 0

    async def spend(self, spendings: Sequence[Spending], client: Client) -> Charge | RateLimited:
        """Charge a try to all of these budgets, or to none where one of them is used up."""
        values = self._values(spendings, client)
        ((waits,),) = await self._db.rows(CHARGE, values)
        return self._charged(waits, spendings, values["moment"])

    async def spend_within(self, session: AsyncSession, spending: Spending) -> Charge | RateLimited:
        """Building block: charge in the transaction of what is charged for.

        A job that fails is not charged: the email of its third try must not be refused.
        """
        values = self._values((spending,), NO_CLIENT)
        waits = await session.scalar(CHARGE, values)
        return self._charged(waits, (spending,), values["moment"])

    async def settle(self, charge: Charge, *, failed: bool, done: bool) -> None:
        """Take a try back where it does not count: what was charged for it, and nothing else."""
        keys = charge.given_back(failed=failed, done=done)
        if keys:
            async with self._db.begin() as session:
                await session.execute(GIVE_BACK, {"keys": keys, "moment": charge.moment})

    async def report(self) -> None:
        """Record what was refused: one event for each budget and window, with the count."""
        while await self._report_some() == REPORTED_AT_ONCE:
            pass

    async def purge(self) -> None:
        """Delete what no window reaches any more and is reported."""
        table = BudgetTable
        over = (table.over_at < self._clock(), table.refused == 0)
        async with self._db.begin() as session:
            await session.execute(delete(table).where(*over))

    async def _report_some(self) -> int:
        now = self._clock()
        async with self._db.begin() as session:
            taken = await session.execute(TAKE_REFUSED, {"now": now, "most": REPORTED_AT_ONCE})
            rows = taken.all()
            for row in rows:
                # Of a user who was erased meanwhile nothing is kept but the id.
                client = Client(None if row.is_erased else row.ip_address, None)
                await Recorder(None, client, now).record(
                    session,
                    ThrottleEvent.RATE_LIMIT_EXCEEDED,
                    target=row.target_id,
                    limit=row.name,
                    refused=str(row.refused),
                    since=row.refused_from.isoformat(),
                )
        return len(rows)

    def _values(self, spendings: Sequence[Spending], client: Client) -> dict[str, Any]:
        # In one order for everybody, so that two tries never wait for each other.
        ordered = sorted(spendings, key=self._key)
        return {
            "keys": [self._key(each) for each in ordered],
            "names": [each.budget.name.lower() for each in ordered],
            "targets": [each.target for each in ordered],
            "most": [self._limits[each.budget] for each in ordered],
            "windows": [each.budget.window for each in ordered],
            # Only where it is what is counted: of many, the first would pass for the guilty one.
            "addresses": [
                client.ip_address if client.block in each.subject else None for each in ordered
            ],
            "moment": self._clock(),
        }

    def _key(self, spending: Spending) -> bytes:
        return mac(self._mac_key, spending.budget.name, *spending.subject)[:KEY_BYTES]

    def _charged(
        self, waits: timedelta | None, spendings: Sequence[Spending], moment: datetime
    ) -> Charge | RateLimited:
        if waits is None:
            return Charge([(self._key(each), each.counted) for each in spendings], moment)
        self.refused += 1
        return RateLimited(max(1, math.ceil(waits.total_seconds())))
