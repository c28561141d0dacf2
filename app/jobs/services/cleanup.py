"""Deletes what the queue has kept long enough."""

from dataclasses import dataclass
from datetime import timedelta

from app.clock import Clock
from app.jobs.services.queue import Jobs


@dataclass(frozen=True, slots=True)
class JobCleanup:
    jobs: Jobs
    keep: timedelta
    clock: Clock

    async def forget(self) -> None:
        """Safe to run from several processes at once."""
        await self.jobs.forget(self.clock() - self.keep)
