"""Charges attempts to budgets, before the work that they cause.

Windows slide, and a refused attempt is not charged: it succeeds after the time that the refusal
states. All workers share the budgets; their keys are MACs, so the table names no one.
"""

import logging
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, Query
from app.errors import CommitUnknown, ConnectionLost, Overloaded, Refusal, Unavailable
from app.outcomes import RateLimited
from app.security.client import NO_CLIENT, Client
from app.security.keys import Secrets, mac
from app.throttle.attempts import Budget, Charge, Counted
from app.throttle.events import ThrottleEvent
from app.throttle.models import Budget as BudgetTable

KEY_BYTES = 16
REPORTED_AT_ONCE = 200
TOO_MANY = "Too many attempts. Try again later."
CHARGE = Query(
    text("SELECT charge_budgets(:keys, :names, :targets, :most, :windows, :addresses, :moment)")
)
REFUND = Query(
    text(
        "UPDATE budgets SET spent = array_remove(spent, CAST(:moment AS timestamptz))"
        " WHERE key = ANY(:keys)"
    )
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

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChargedAttempt:
    """The keys of the budgets that an attempt was charged to, and when."""

    keys: Sequence[tuple[bytes, Counted]]
    moment: datetime

    def uncounted_keys(self, *, failed: bool, done: bool) -> list[bytes]:
        """Returns the keys of the budgets that do not count an attempt that ended like this."""
        counts = {Counted.ALL: True, Counted.FAILURES: failed, Counted.SUCCESSES: done}
        return [key for key, counted in self.keys if not counts[counted]]


@dataclass(slots=True)
class Ending:
    """The outcome of an attempt. If it is unknown, every budget counts the attempt."""

    failed: bool = True
    done: bool = True

    def was(self, *, failed: bool, done: bool) -> None:
        """Say whether it was a wrong guess, and whether something was done."""
        self.failed = failed
        self.done = done


class Budgets:
    def __init__(
        self,
        db: Database,
        secrets: Secrets,
        maxima: Mapping[Budget, int],
        clock: Clock,
    ) -> None:
        self._db = db
        self._maxima = maxima
        self._clock = clock
        self._mac_key = secrets.derive("budget-key")[0]
        # How many attempts this process has refused.
        self.refused = 0

    @asynccontextmanager
    async def charged(self, charges: Sequence[Charge], client: Client) -> AsyncGenerator[Ending]:
        """Charge an attempt before the block runs, and refund budgets that do not count its ending.

        The block says how the attempt ended. If it raises Overloaded, nothing was attempted. If it
        raises another refusal, it may have been a wrong guess, and nothing was done. After any
        other error, the attempt stays charged.

        Raises:
            Overloaded: a budget is used up. The block does not run.

        """
        charged = await self.charge(charges, client)
        if isinstance(charged, RateLimited):
            raise Overloaded(TOO_MANY, retry_after_seconds=charged.retry_after_seconds)
        ending = Ending()
        try:
            yield ending
        except Overloaded:
            ending.was(failed=False, done=False)
            raise
        except Refusal as refusal:
            ending.done = isinstance(refusal, CommitUnknown)
            raise
        finally:
            await self._refund(charged, ending)

    async def charge(
        self, charges: Sequence[Charge], client: Client
    ) -> ChargedAttempt | RateLimited:
        """Charge an attempt to all of these budgets, or to none if one of them is used up."""
        values = self._values(charges, client)
        try:
            ((wait,),) = await self._db.change(CHARGE, **values)
        except CommitUnknown as error:
            # Whether or not it was charged, nothing was attempted.
            raise ConnectionLost(str(error)) from error
        return self._charged(wait, charges, values["moment"])

    async def charge_within(self, session: AsyncSession, charge: Charge) -> RateLimited | None:
        """Building block: charge in the transaction of what is charged for.

        Returns the refusal if the budget is used up. A job that fails is not charged: the email of
        its third attempt must not be refused.
        """
        values = self._values((charge,), NO_CLIENT)
        ((wait,),) = await CHARGE.run(session, **values)
        charged = self._charged(wait, (charge,), values["moment"])
        return charged if isinstance(charged, RateLimited) else None

    async def report(self) -> None:
        """Record refused attempts: one event for each budget and window, with the count."""
        while await self._report_some() == REPORTED_AT_ONCE:
            pass

    async def purge(self) -> None:
        """Delete budgets whose windows are empty and whose refusals are reported."""
        table = BudgetTable
        unused = (table.over_at < self._clock(), table.refused == 0)
        async with self._db.begin() as session:
            await session.execute(delete(table).where(*unused))

    async def _refund(self, charged: ChargedAttempt, ending: Ending) -> None:
        keys = charged.uncounted_keys(failed=ending.failed, done=ending.done)
        if not keys:
            return
        try:
            await self._db.change(REFUND, keys=keys, moment=charged.moment)
        except Unavailable as error:
            # What the attempt did is committed, and its answer must not say otherwise.
            log.warning("an attempt could not be refunded: %s", error.reason)

    async def _report_some(self) -> int:
        now = self._clock()
        async with self._db.begin() as session:
            taken = await session.execute(TAKE_REFUSED, {"now": now, "most": REPORTED_AT_ONCE})
            rows = taken.all()
            for row in rows:
                # Of a user who was erased meanwhile only the id is kept.
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

    def _values(self, charges: Sequence[Charge], client: Client) -> dict[str, Any]:
        # In the same order everywhere, so that two attempts cannot deadlock.
        ordered = sorted(charges, key=self._key)
        return {
            "keys": [self._key(each) for each in ordered],
            "names": [each.budget.name for each in ordered],
            "targets": [each.user_id for each in ordered],
            "most": [self._maxima[each.budget] for each in ordered],
            "windows": [each.budget.window for each in ordered],
            # Only if the budget is that of the address. Otherwise many addresses may share it, and
            # the first one would be reported for all.
            "addresses": [
                client.ip_address if client.block in each.subject else None for each in ordered
            ],
            "moment": self._clock(),
        }

    def _key(self, charge: Charge) -> bytes:
        # In upper case, as the servers of the release before compute it: they share the table.
        name = charge.budget.name.upper()
        return mac(self._mac_key, name, *charge.subject)[:KEY_BYTES]

    def _charged(
        self, wait: timedelta | None, charges: Sequence[Charge], moment: datetime
    ) -> ChargedAttempt | RateLimited:
        if wait is None:
            return ChargedAttempt([(self._key(each), each.counted) for each in charges], moment)
        self.refused += 1
        return RateLimited(max(1, math.ceil(wait.total_seconds())))
