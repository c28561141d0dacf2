"""Housekeeping: deleting what has had its time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.services.audit_retention import AuditRetention
from app.services.jobs import Jobs
from app.services.one_time_tokens import OneTimeTokens
from app.services.sessions import Sessions
from app.services.throttle import Throttle


@dataclass(frozen=True, slots=True)
class Housekeeping:
    sessions: Sessions
    tokens: OneTimeTokens
    jobs: Jobs
    throttle: Throttle
    audit_retention: AuditRetention
    clock: Callable[[], datetime]
    keep_jobs: timedelta

    async def tidy(self) -> None:
        """Safe to run from several workers at once, and as often as one likes."""
        await self.sessions.purge()
        await self.tokens.purge()
        await self.throttle.purge()
        await self.jobs.forget(self.clock() - self.keep_jobs)
        await self.audit_retention.apply()
