"""The worker: runs jobs, and retries them with growing delays until they succeed or fail."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context, Job
from pgqueuer.domain.types import QueueExecutionMode
from pgqueuer.ports.driver import NotifyCallback

from app.database.connector import is_pooled
from app.database.database import Database
from app.database.errors import server_message
from app.errors import ConnectionLost
from app.jobs.handlers import Handler, PermanentFailure
from app.jobs.services.queue import SealedElsewhere, SealedPayloads

# Two days of retries: no email is lost if a mail server is down over a weekend, and operators have
# seen other failures in `portico jobs` by then.
DELAYS: Sequence[timedelta] = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *[timedelta(hours=hours) for hours in (2, 4, 8, 12, 24)],
)
# Many emails at once must not take all connections to the database or to the mail server.
MAX_CONCURRENT_JOBS = 6
# How often the queue is read where workers are not notified of new jobs.
POLL_INTERVAL = timedelta(seconds=5)
RESTART_SECONDS = (1, 2, 5, 10, 30)
STOP_SECONDS = 8

NOT_CONNECTED = "The queue cannot be reached now. The log says why."

RETRIED = "Job %d (%s) failed with %s; next try in %s"
EXHAUSTED = "Job %d (%s) failed %d times, the last time with %s. It is kept: `portico jobs`"
PERMANENT = "Job %d (%s) cannot succeed: %s. It is kept: `portico jobs`"

log = logging.getLogger(__name__)
_tracer = trace.get_tracer("portico")


class JobFailed(Exception):
    """A try of a job failed. The message contains nothing of the payload."""


class Failure(NamedTuple):
    """Why a try failed."""

    reason: str
    is_permanent: bool


class Try(NamedTuple):
    """One try of a job, for metrics."""

    job: str
    seconds: float
    succeeded: bool


@dataclass(slots=True)
class QueueConnection:
    """Whether a worker is connected to the queue."""

    is_up: bool = False


class PooledDriver(AsyncpgDriver):
    """A driver for connections through a pooler in transaction mode.

    Each statement is a transaction on any server connection. It does not LISTEN: the pooler gives
    the listening server connection to another client after the statement.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._pooled = connection
        self._statement_lock = asyncio.Lock()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        async with self._statement_lock, self._pooled.transaction():
            return await super().fetch(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        async with self._statement_lock, self._pooled.transaction():
            return await super().execute(query, *args)

    async def notify(self, channel: str, payload: str) -> None:
        async with self._statement_lock, self._pooled.transaction():
            await super().notify(channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Do nothing: `Worker` polls the queue instead."""

    async def remove_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Do nothing: no listener was added."""


@dataclass
class RetryingExecutor(AbstractEntrypointExecutor):
    """Runs a handler, and decides whether a failed job is tried again."""

    parameters: EntrypointExecutorParameters
    name: str
    handler: Handler
    payloads: SealedPayloads
    delays: Sequence[timedelta]
    observe: Callable[[Try], None]

    async def execute(self, job: Job, context: Context) -> None:  # noqa: ARG002 - the library's
        started = time.perf_counter()
        failure = await self._run(job)
        seconds = time.perf_counter() - started
        self.observe(Try(self.name, seconds, succeeded=failure is None))
        if failure is None:
            return
        if failure.is_permanent:
            log.error(PERMANENT, job.id, self.name, failure.reason)
            raise JobFailed(failure.reason)
        if job.attempts >= len(self.delays):
            log.error(EXHAUSTED, job.id, self.name, job.attempts + 1, failure.reason)
            raise JobFailed(failure.reason)
        delay = self.delays[job.attempts]
        log.warning(RETRIED, job.id, self.name, failure.reason, delay)
        raise RetryRequested(delay, failure.reason)

    async def _run(self, job: Job) -> Failure | None:
        # OpenTelemetry's names for messaging, without the payload.
        attributes = {
            "messaging.system": "pgqueuer",
            "messaging.operation.type": "process",
            "messaging.destination.name": self.name,
            "messaging.message.id": str(job.id),
            "portico.job.tries": job.attempts + 1,
        }
        with _tracer.start_as_current_span(
            f"process {self.name}", kind=SpanKind.CONSUMER, attributes=attributes
        ) as span:
            failure = await self._handle(job)
            if failure is not None:
                span.set_status(StatusCode.ERROR, failure.reason)
            return failure

    async def _handle(self, job: Job) -> Failure | None:
        try:
            await self.handler(self.payloads.open(job.payload or b""))
        except PermanentFailure as failure:
            return Failure(str(failure), is_permanent=True)
        except SealedElsewhere as failure:
            # Another worker may have that secret, or this one after a restart.
            return Failure(str(failure), is_permanent=False)
        except Exception as error:  # noqa: BLE001 - no error may lose a job
            # Without the message: mail servers quote addresses.
            return Failure(_type_name(error), is_permanent=False)
        return None


def _ignore_try(_try: Try) -> None:
    """Used where there are no metrics."""


@dataclass(frozen=True, slots=True)
class Worker:
    db: Database
    payloads: SealedPayloads
    handlers: Mapping[str, Handler]
    # If the worker of a job sends no heartbeat for this long, another worker takes the job.
    retake_after: timedelta
    delays: Sequence[timedelta] = DELAYS
    observe: Callable[[Try], None] = _ignore_try
    connection: QueueConnection = field(default_factory=QueueConnection)

    async def run(self) -> None:
        """Run jobs until cancelled. Survives outages of the database; running jobs may finish."""
        failures = 0
        while True:
            try:
                async with self._connected() as (manager, lost):
                    work = asyncio.create_task(self._work(manager))
                    failures = 0
                    await _until_lost_or_cancelled(work, lost, manager)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - restarts after any error
                delay = RESTART_SECONDS[min(failures, len(RESTART_SECONDS) - 1)]
                level = logging.WARNING if failures == 0 else logging.DEBUG
                reason = server_message(error) or _type_name(error)
                log.log(level, "The worker stopped (%s) and restarts in %d s", reason, delay)
                failures += 1
                await asyncio.sleep(delay)

    def unready(self) -> str | None:
        """Returns one public sentence why no job can run now; None if they can."""
        return None if self.connection.is_up else NOT_CONNECTED

    async def drain(self) -> None:
        """Run all jobs that are due, and return."""
        async with self._connected() as (manager, _lost):
            await self._work(manager, QueueExecutionMode.drain)

    async def _work(
        self,
        manager: QueueManager,
        mode: QueueExecutionMode = QueueExecutionMode.continuous,
    ) -> None:
        # Workers are notified of new jobs, but not through a pooler. Reading the queue from time to
        # time also finds the jobs of a worker that died.
        pooled = isinstance(manager.queries.driver, PooledDriver)
        await manager.run(
            dequeue_timeout=min(POLL_INTERVAL, self.retake_after) if pooled else self.retake_after,
            batch_size=MAX_CONCURRENT_JOBS // 2,
            mode=mode,
            max_concurrent_tasks=MAX_CONCURRENT_JOBS,
            heartbeat_timeout=self.retake_after,
        )

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[tuple[QueueManager, asyncio.Event]]:
        """Yield a manager with its own connection, and the event of losing that connection."""
        async with self.db.connection() as connection:
            try:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                manager = self._manager(driver)
                self.connection.is_up = True
                yield manager, _lost_event(driver)
            finally:
                self.connection.is_up = False
                # It listens, so it must not go back into the pool.
                await connection.invalidate()

    def _manager(self, connection: Any) -> QueueManager:
        driver = PooledDriver if is_pooled(connection) else AsyncpgDriver
        manager = QueueManager(Queries(driver(connection)))
        for name, handler in self.handlers.items():
            parameters = EntrypointExecutorParameters(0, _no_function, on_failure="hold")
            executor = RetryingExecutor(
                parameters, name, handler, self.payloads, self.delays, self.observe
            )
            manager.register_executor(name, executor)
        return manager


def _lost_event(driver: Any) -> asyncio.Event:
    lost = asyncio.Event()

    def set_lost(_driver: object) -> None:
        lost.set()

    driver.add_termination_listener(set_lost)
    return lost


async def _until_lost_or_cancelled(
    work: asyncio.Task[None], lost: asyncio.Event, manager: QueueManager
) -> None:
    """Wait until the work ends. Without its connection it would wait forever.

    Raises:
        ConnectionLost: the connection broke.

    """
    loss = asyncio.create_task(lost.wait())
    try:
        await asyncio.wait({work, loss}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        await _stop(work, manager)
        raise
    finally:
        loss.cancel()
    if work.done():
        return work.result()
    await _stop(work, manager)
    raise ConnectionLost("its connection was lost")


async def _stop(work: asyncio.Task[None], manager: QueueManager) -> None:
    manager.shutdown.set()
    await asyncio.wait({work}, timeout=STOP_SECONDS)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def _no_function(_job: Job) -> None:
    """Required by PgQueuer, which calls the executor instead."""


def _type_name(error: BaseException) -> str:
    return type(error).__name__
