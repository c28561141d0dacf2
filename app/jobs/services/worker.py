"""The worker: runs jobs, again after growing delays, until they succeed or are kept."""

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

# Two days of trying: a mail server that is down over a weekend loses nothing, and what fails for
# another reason is seen in `portico jobs` by then.
DELAYS: Sequence[timedelta] = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *[timedelta(hours=hours) for hours in (2, 4, 8, 12, 24)],
)
# So that a crowd of emails takes neither every connection nor every place at the mail server.
AT_ONCE = 6
# How long a new job waits at most where none announces itself.
LOOK = timedelta(seconds=5)
RESTART_SECONDS = (1, 2, 5, 10, 30)
STOP_SECONDS = 8

UNCONNECTED = "The queue cannot be reached now. The log says why."

AGAIN = "Job %d (%s) failed with %s; again in %s"
EXHAUSTED = "Job %d (%s) failed %d times, the last time with %s. It is kept: `portico jobs`"
PERMANENT = "Job %d (%s) cannot succeed: %s. It is kept: `portico jobs`"

log = logging.getLogger(__name__)
_tracer = trace.get_tracer("portico")


class JobFailed(Exception):
    """A try of a job failed. It says what went wrong and nothing of what the job held."""


class Failure(NamedTuple):
    """Why a try failed."""

    reason: str
    is_permanent: bool


class Try(NamedTuple):
    """One try of a job, as metrics count it."""

    job: str
    seconds: float
    succeeded: bool


@dataclass(slots=True)
class Connection:
    """Whether a worker is connected to the queue."""

    is_up: bool = False


class PooledDriver(AsyncpgDriver):
    """The queue behind a pooler in transaction mode.

    Each statement is a transaction, on whichever server. To listen would be to leave a server
    listening that is somebody else's in the next moment.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._pooled = connection
        self._one_at_a_time = asyncio.Lock()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        async with self._one_at_a_time, self._pooled.transaction():
            return await super().fetch(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        async with self._one_at_a_time, self._pooled.transaction():
            return await super().execute(query, *args)

    async def notify(self, channel: str, payload: str) -> None:
        async with self._one_at_a_time, self._pooled.transaction():
            await super().notify(channel, payload)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Hear nothing: `Worker` looks for new jobs instead."""

    async def remove_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Nothing was added."""


@dataclass
class Retrying(AbstractEntrypointExecutor):
    """Runs a handler and decides what becomes of its job."""

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
        log.warning(AGAIN, job.id, self.name, failure.reason, delay)
        raise RetryRequested(delay, failure.reason)

    async def _run(self, job: Job) -> Failure | None:
        # OpenTelemetry's names for messaging. What the job holds is no part of the span.
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
            # Another worker may have that secret, and this one after its next start.
            return Failure(str(failure), is_permanent=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must not be lost
            # Without the error itself: messages of mail servers quote addresses.
            return Failure(_named(error), is_permanent=False)
        return None


def _unobserved(_try: Try) -> None:
    """Count nothing, where there are no metrics."""


@dataclass(frozen=True, slots=True)
class Worker:
    db: Database
    payloads: SealedPayloads
    handlers: Mapping[str, Handler]
    # A job whose worker has not been heard of for this long is taken up by another.
    retake_after: timedelta
    delays: Sequence[timedelta] = DELAYS
    observe: Callable[[Try], None] = _unobserved
    connection: Connection = field(default_factory=Connection)

    async def run(self) -> None:
        """Work until cancelled. Survives outages of the database; a running job may finish."""
        failures = 0
        while True:
            try:
                async with self._connected() as (manager, lost):
                    work = asyncio.create_task(self._work(manager))
                    failures = 0
                    await _until_lost_or_cancelled(work, lost, manager)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the database comes back, and so does this
                delay = RESTART_SECONDS[min(failures, len(RESTART_SECONDS) - 1)]
                say = log.warning if failures == 0 else log.debug
                reason = server_message(error) or _named(error)
                say("The worker stopped (%s) and starts anew in %d s", reason, delay)
                failures += 1
                await asyncio.sleep(delay)

    def unready(self) -> str | None:
        """Say in one public sentence why no job can be run now; None if they can."""
        return None if self.connection.is_up else UNCONNECTED

    async def drain(self) -> None:
        """Run what is due until nothing is."""
        async with self._connected() as (manager, _lost):
            await self._work(manager, QueueExecutionMode.drain)

    async def _work(
        self,
        manager: QueueManager,
        mode: QueueExecutionMode = QueueExecutionMode.continuous,
    ) -> None:
        # New jobs announce themselves, but not through a pooler. A look now and then finds those of
        # a worker that died.
        pooled = isinstance(manager.queries.driver, PooledDriver)
        await manager.run(
            dequeue_timeout=min(LOOK, self.retake_after) if pooled else self.retake_after,
            batch_size=AT_ONCE // 2,
            mode=mode,
            max_concurrent_tasks=AT_ONCE,
            heartbeat_timeout=self.retake_after,
        )

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[tuple[QueueManager, asyncio.Event]]:
        """Give a manager with a connection of its own, and what is set when that is lost."""
        async with self.db.engine.connect() as connection:
            try:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                manager = self._manager(driver)
                self.connection.is_up = True
                yield manager, _loss_of(driver)
            finally:
                self.connection.is_up = False
                # It listens: nobody else must get it out of the pool.
                await connection.invalidate()

    def _manager(self, connection: Any) -> QueueManager:
        driver = PooledDriver if is_pooled(connection) else AsyncpgDriver
        manager = QueueManager(Queries(driver(connection)))
        for name, handler in self.handlers.items():
            parameters = EntrypointExecutorParameters(0, _unused, on_failure="hold")
            executor = Retrying(parameters, name, handler, self.payloads, self.delays, self.observe)
            manager.register_executor(name, executor)
        return manager


def _loss_of(driver: Any) -> asyncio.Event:
    lost = asyncio.Event()

    def set_lost(_driver: object) -> None:
        lost.set()

    driver.add_termination_listener(set_lost)
    return lost


async def _until_lost_or_cancelled(
    work: asyncio.Task[None], lost: asyncio.Event, manager: QueueManager
) -> None:
    """Wait for what ends the work. Without its connection it would wait for jobs that never come.

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


async def _unused(_job: Job) -> None:
    """Required by the library, which here asks the executor instead."""


def _named(error: BaseException) -> str:
    return type(error).__name__
