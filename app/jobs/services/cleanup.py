"""Deletes old records of jobs, and old failed jobs."""

from dataclasses import dataclass
from datetime import timedelta

from app.clock import Clock
from app.jobs.services.queue import Jobs


@dataclass(frozen=True, slots=True)
class JobCleanup:
    jobs: Jobs
    keep: timedelta
    clock: Clock

    async def delete_old(self) -> None:
        """Safe to run from several processes at once."""
        await self.jobs.delete_old(self.clock() - self.keep)
