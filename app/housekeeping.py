"""Housekeeping: deleting what has had its time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.accounts.services.pending_registrations import Registrations
from app.audit.services.retention import AuditRetention
from app.jobs.services.queue import Jobs
from app.mail.services.one_time_tokens import OneTimeTokens
from app.sessions.services.password_failures import PasswordFailures
from app.sessions.services.sessions import Sessions
from app.throttle.services.budgets import Budgets


@dataclass(frozen=True, slots=True)
class Housekeeping:
    sessions: Sessions
    tokens: OneTimeTokens
    registrations: Registrations
    jobs: Jobs
    budgets: Budgets
    failures: PasswordFailures
    audit_retention: AuditRetention
    clock: Callable[[], datetime]
    keep_jobs: timedelta

    async def tidy(self) -> None:
        """Safe to run from several workers at once, and as often as one likes."""
        await self.sessions.purge()
        await self.tokens.purge()
        await self.registrations.purge()
        await self.budgets.purge()
        await self.failures.purge()
        await self.jobs.forget(self.clock() - self.keep_jobs)
        await self.audit_retention.apply()
