"""What the module `jobs` brings."""

from datetime import timedelta

from app.clock import Clock
from app.database.database import Database
from app.jobs.handlers import Handlers
from app.jobs.services.cleanup import JobCleanup
from app.jobs.services.queue import Jobs, PersonMarks, SealedPayloads
from app.jobs.services.worker import Worker
from app.jobs.settings import JobSettings
from app.module import Module, Periodic
from app.periodic import PURGE_SECONDS


def worker(
    db: Database, payloads: SealedPayloads, handlers: Handlers, settings: JobSettings
) -> Worker:
    return Worker(db, payloads, handlers, timedelta(seconds=settings.jobs_retake_seconds))


def cleanup(jobs: Jobs, settings: JobSettings, clock: Clock) -> JobCleanup:
    return JobCleanup(jobs, timedelta(days=settings.jobs_keep_days), clock)


MODULE = Module(
    name="jobs",
    settings=JobSettings,
    services=(SealedPayloads, PersonMarks, Jobs, worker, cleanup),
    periodic=(Periodic(JobCleanup, JobCleanup.delete_old, PURGE_SECONDS),),
)
