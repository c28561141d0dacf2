"""Metrics of jobs, in `portico serve` and in `portico worker`."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from app.jobs.services.queue import Backlog, Jobs
from app.jobs.services.worker import Try

# The interval at which the jobs in the queue are counted.
BACKLOG_SECONDS = 30
# Mail servers can be slow: `app.mail` waits 20 s for each step.
DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)


class JobMetrics:
    """Metrics of the jobs that this process ran, and of the queue, which all processes share."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()
        self._tries = Counter(
            "portico_job_tries",
            "Tries of jobs, by job and whether they succeeded (done) or not (failed).",
            ["job", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "portico_job_seconds",
            "How long tries of jobs took, by job.",
            ["job"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._waiting = _gauge("portico_jobs_waiting", "Jobs in the queue.", registry)
        self._failed = _gauge(
            "portico_jobs_failed", "Jobs that are kept because they kept failing.", registry
        )
        self._oldest = _gauge(
            "portico_jobs_oldest_waiting_seconds",
            "How long the oldest job that is due has waited; 0 if none waits.",
            registry,
        )

    def observe(self, tried: Try) -> None:
        self._tries.labels(tried.job, "done" if tried.succeeded else "failed").inc()
        self._seconds.labels(tried.job).observe(tried.seconds)

    def set_backlog(self, backlog: Backlog) -> None:
        self._waiting.set(backlog.waiting)
        self._failed.set(backlog.failed)
        self._oldest.set(backlog.oldest_seconds)


def _gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    # Read from the database by every process: the sum over processes would mean nothing.
    return Gauge(name, text, registry=registry, multiprocess_mode="livemostrecent")


@dataclass(frozen=True, slots=True)
class BacklogMetrics:
    jobs: Jobs
    metrics: JobMetrics

    async def refresh(self) -> None:
        """Count the jobs in the queue, and set the metrics."""
        self.metrics.set_backlog(await self.jobs.backlog())
