"""The queue of jobs: a job is enqueued in the transaction of the change that it follows."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from cryptography.fernet import InvalidToken, MultiFernet
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain.types import JobId
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.database import Database
from app.jobs.handlers import Payload, write_payload
from app.security.keys import Secrets, mac

SEAL_PURPOSE = "job-payload-seal"

# The person a job is about: a user, or an address if the user is not known yet.
Person = uuid.UUID | str
# The indexed header of a job with the mark of that person.
PERSON_HEADER = "person"

COUNT_BY_STATE = text(
    "SELECT status::text, count(*) FROM pgqueuer WHERE status <> 'failed' GROUP BY 1 ORDER BY 1"
)
BACKLOG = text(
    "SELECT count(*) FILTER (WHERE status <> 'failed'), count(*) FILTER (WHERE status = 'failed'),"
    " coalesce(max(extract(epoch FROM now() - execute_after))"
    " FILTER (WHERE status = 'queued' AND execute_after <= now()), 0)::double precision"
    " FROM pgqueuer"
)
FAILED = text(
    "SELECT id, entrypoint, created, updated, attempts FROM pgqueuer"
    " WHERE status = 'failed' ORDER BY id"
)
DELAYED = text(
    "SELECT id, entrypoint, created, updated, attempts, execute_after FROM pgqueuer"
    " WHERE status = 'queued' AND execute_after > now() AND attempts > 0 ORDER BY id"
)
TRY_NOW = text(
    "UPDATE pgqueuer SET execute_after = now(), updated = now()"
    " WHERE status = 'queued' AND execute_after > now() AND id = ANY(:ids)"
)
# PgQueuer's trigger notifies workers of inserted rows only, so changed rows need the same notice.
NOTIFY_WORKERS = text(
    "SELECT pg_notify('ch_pgqueuer', json_build_object('channel', 'ch_pgqueuer', 'operation',"
    " 'update', 'sent_at', now(), 'table', 'pgqueuer', 'type', 'table_changed_event')::text)"
)
LAST_FAILURES = text(
    "SELECT DISTINCT ON (job_id) job_id, traceback->>'exception_message' FROM pgqueuer_log"
    " WHERE traceback IS NOT NULL AND job_id = ANY(:ids) ORDER BY job_id, created DESC"
)
FAILED_PAYLOADS = text("SELECT id, payload FROM pgqueuer WHERE status = 'failed' ORDER BY id")
# The same as PgQueuer does with a job that has failed for the last time.
FAIL_ALL = text(
    """
    WITH failed AS (
        UPDATE pgqueuer SET status = 'failed', updated = now(), queue_manager_id = NULL
        WHERE status <> 'failed' RETURNING id, entrypoint, priority
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority, traceback)
    SELECT id, 'failed', entrypoint, priority, jsonb_build_object(
        'job_id', id, 'timestamp', now(), 'exception_type', 'SealedElsewhere',
        'exception_message', CAST(:reason AS text), 'traceback', '', 'additional_context', NULL)
    FROM failed
    """
)
OF_PERSON = text(
    "SELECT entrypoint, status::text, created FROM pgqueuer"
    " WHERE headers ->> 'person' = ANY(:marks) ORDER BY id DESC LIMIT :limit"
)
DELETE_OF_PERSON = text("DELETE FROM pgqueuer WHERE headers ->> 'person' = ANY(:marks)")
DELETE_OLD_RECORDS = text("DELETE FROM pgqueuer_log WHERE created < :before")
# Their payloads contain addresses, perhaps of users that were deleted since.
DELETE_OLD_FAILED = text("DELETE FROM pgqueuer WHERE status = 'failed' AND updated < :before")

log = logging.getLogger(__name__)


class SealedElsewhere(Exception):
    """A payload was sealed with a secret that this process does not have."""

    message = "it was sealed with a SECRET_KEY that is not given here"

    def __str__(self) -> str:
        return self.message


class FailedJob(NamedTuple):
    """A job that is kept because it kept failing."""

    id: int
    name: str
    created_at: datetime
    last_tried_at: datetime
    # Without the first one.
    tries: int
    failure: str | None


class DelayedJob(NamedTuple):
    """A job that failed and waits for its next try."""

    id: int
    name: str
    created_at: datetime
    last_tried_at: datetime
    tries: int
    next_try_at: datetime
    failure: str | None


class Backlog(NamedTuple):
    """The number of jobs in the queue, and the age of the oldest."""

    waiting: int
    failed: int
    # Since the oldest waiting job became due, by PostgreSQL's clock. A job whose next try is in the
    # future is not due.
    oldest_seconds: float


class Retried(NamedTuple):
    """Failed jobs that are back in the queue, and those whose payload cannot be read here."""

    tried: Sequence[FailedJob]
    unreadable: Sequence[FailedJob]


class JobOfPerson(NamedTuple):
    """A job about a person that has not succeeded yet."""

    name: str
    state: str
    created_at: datetime


class SealedPayloads:
    """Seals payloads under SECRET_KEY, since they contain addresses and links."""

    def __init__(self, secrets: Secrets) -> None:
        self._fernet: MultiFernet = secrets.sealer(SEAL_PURPOSE)

    def seal(self, payload: Payload) -> bytes:
        return self._fernet.encrypt(write_payload(payload))

    def open(self, sealed: bytes) -> bytes:
        """Returns the payload as it was written.

        Raises:
            SealedElsewhere: none of these secrets opens it.

        """
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            raise SealedElsewhere from None

    def opens(self, sealed: bytes) -> bool:
        try:
            self._fernet.decrypt(sealed)
        except InvalidToken:
            return False
        return True


class PersonMarks:
    """MACs under SECRET_KEY that find the jobs about a person without revealing who it is."""

    def __init__(self, secrets: Secrets) -> None:
        self._keys = secrets.derive("job-person")

    def mark(self, person: Person) -> str:
        return _mark(self._keys[0], person)

    def marks(self, people: Sequence[Person]) -> list[str]:
        """Returns all possible marks of these people, under former secrets too."""
        return [_mark(key, person) for key in self._keys for person in people]


class SessionDriver:
    """A driver for PgQueuer on an open session: jobs are committed with the session.

    It uses SQLAlchemy's connection, not the asyncpg connection below it: there a transaction
    begins only with the first statement of the session.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self.tm = TaskManager()

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        connection = await self._session.connection()
        rows = await connection.exec_driver_sql(query, args)
        return [dict(row) for row in rows.mappings()]

    async def execute(self, query: str, *args: object) -> str:
        connection = await self._session.connection()
        await connection.exec_driver_sql(query, args)
        return ""


@dataclass(frozen=True, slots=True)
class Jobs:
    db: Database
    payloads: SealedPayloads
    people: PersonMarks

    async def enqueue(
        self, session: AsyncSession, payload: Payload, *, about: Person | None
    ) -> None:
        """Building block: enqueue a job in the caller's transaction. It runs at least once.

        A job about a person is deleted together with their account.
        """
        driver: Any = SessionDriver(session)
        headers = {PERSON_HEADER: self.people.mark(about)} if about else None
        await Queries(driver).enqueue(payload.job, self.payloads.seal(payload), headers=headers)

    async def about(
        self, session: AsyncSession, people: Sequence[Person], limit: int
    ) -> Sequence[JobOfPerson]:
        """Building block: returns the jobs about these people, newest first."""
        marks = self.people.marks(people)
        rows = await session.execute(OF_PERSON, {"marks": marks, "limit": limit})
        return [JobOfPerson._make(row) for row in rows]

    async def delete_about(self, session: AsyncSession, people: Sequence[Person]) -> None:
        """Building block: delete the jobs about these people. A running job is not stopped."""
        await session.execute(DELETE_OF_PERSON, {"marks": self.people.marks(people)})

    async def backlog(self) -> Backlog:
        return Backlog._make((await self.db.rows(BACKLOG))[0])

    async def waiting(self) -> dict[str, int]:
        """Returns the number of jobs in each state but `failed`."""
        return {row[0]: row[1] for row in await self.db.rows(COUNT_BY_STATE)}

    async def failed(self) -> Sequence[FailedJob]:
        return [FailedJob._make(row) for row in await self._with_failures(FAILED)]

    async def delayed(self) -> Sequence[DelayedJob]:
        return [DelayedJob._make(row) for row in await self._with_failures(DELAYED)]

    async def retry_failed(self, ids: Sequence[int] | None) -> Retried:
        """Put failed jobs back into the queue, with all their tries; all jobs if `ids` is None.

        A job that none of our secrets opens is left as it is: it could only fail again.
        """
        payloads = await self.db.rows(FAILED_PAYLOADS)
        readable = {row.id for row in payloads if self.payloads.opens(row.payload or b"")}
        wanted = [job for job in await self.failed() if ids is None or job.id in ids]
        found = [job for job in wanted if job.id in readable]
        async with self.db.begin() as session:
            driver: Any = SessionDriver(session)
            await Queries(driver).requeue_jobs([JobId(job.id) for job in found])
            await session.execute(NOTIFY_WORKERS)
        return Retried(found, [job for job in wanted if job.id not in readable])

    async def retry_delayed(self, ids: Sequence[int] | None) -> Sequence[DelayedJob]:
        """Try jobs now that wait for their next try; all of them if `ids` is None.

        The number of tries is kept: a job that fails again waits as long as it would have.
        """
        found = [job for job in await self.delayed() if ids is None or job.id in ids]
        async with self.db.begin() as session:
            await session.execute(TRY_NOW, {"ids": [job.id for job in found]})
            await session.execute(NOTIFY_WORKERS)
        return found

    async def fail_all(self, session: AsyncSession, reason: str) -> int:
        """Building block: mark all jobs as failed; returns how many were not before."""
        failed: Any = await session.execute(FAIL_ALL, {"reason": reason})
        return failed.rowcount

    async def _with_failures(self, statement: TextClause) -> Sequence[Sequence[Any]]:
        rows = await self.db.rows(statement)
        messages = await self.db.rows(LAST_FAILURES, {"ids": [row[0] for row in rows]})
        failures: dict[int, str | None] = {row[0]: row[1] for row in messages}
        return [(*row, failures.get(row[0])) for row in rows]

    async def delete_old(self, before: datetime) -> None:
        """Delete records of jobs from before, and failed jobs that were last tried before."""
        async with self.db.begin() as session:
            await session.execute(DELETE_OLD_RECORDS, {"before": before})
            deleted: Any = await session.execute(DELETE_OLD_FAILED, {"before": before})
        if deleted.rowcount:
            log.warning("Deleted %d failed jobs after JOBS_KEEP_DAYS", deleted.rowcount)


def _mark(key: bytes, person: Person) -> str:
    # A UUID is encoded as bytes and an address as text, so that no address equals a user.
    return mac(key, person.bytes if isinstance(person, uuid.UUID) else person).hex()
