"""Jobs: what has to follow a change, put into the queue by the transaction that makes it."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from cryptography.fernet import InvalidToken, MultiFernet
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain.types import JobId
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.security.keys import Secrets

SEAL = "job-payload-seal"

Payload = Mapping[str, str | None]
Handler = Callable[[Payload], Awaitable[None]]

QUEUED = text(
    "SELECT status::text, count(*) FROM pgqueuer WHERE status <> 'failed' GROUP BY 1 ORDER BY 1"
)
FAILED = text(
    "SELECT id, entrypoint, created, updated, attempts FROM pgqueuer"
    " WHERE status = 'failed' ORDER BY id"
)
LAST_FAILURES = text(
    "SELECT DISTINCT ON (job_id) job_id, traceback->>'exception_message' FROM pgqueuer_log"
    " WHERE traceback IS NOT NULL AND job_id = ANY(:ids) ORDER BY job_id, created DESC"
)
FAILED_PAYLOADS = text("SELECT id, payload FROM pgqueuer WHERE status = 'failed' ORDER BY id")
# As the library does it with a job that has failed for the last time.
FAIL_ALL = text(
    """
    WITH held AS (
        UPDATE pgqueuer SET status = 'failed', updated = now(), queue_manager_id = NULL
        WHERE status <> 'failed' RETURNING id, entrypoint, priority
    )
    INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority, traceback)
    SELECT id, 'failed', entrypoint, priority, jsonb_build_object(
        'job_id', id, 'timestamp', now(), 'exception_type', 'SealedElsewhere',
        'exception_message', CAST(:reason AS text), 'traceback', '', 'additional_context', NULL)
    FROM held
    """
)
FORGET_RECORDS = text("DELETE FROM pgqueuer_log WHERE created < :before")
# What they carry is somebody's address, who may have left long ago.
FORGET_FAILED = text("DELETE FROM pgqueuer WHERE status = 'failed' AND updated < :before")

log = logging.getLogger(__name__)


class PermanentFailure(Exception):
    """A handler has found that trying again cannot help.

    The text is shown to operators and kept in the database: it holds no address and no secret.
    """


class SealedElsewhere(Exception):
    """A payload was sealed with a secret that this process does not have."""

    words = "it was sealed with a SECRET_KEY that is not given here"

    def __str__(self) -> str:
        return self.words


class Retried(NamedTuple):
    """How many jobs are back in the queue, and which cannot be since nobody here can read them."""

    number: int
    unreadable: tuple[int, ...]


class FailedJob(NamedTuple):
    """A job that is kept because it kept failing."""

    id: int
    name: str
    created_at: datetime
    last_tried_at: datetime
    tries: int
    failure: str | None


class SealedPayloads:
    """Payloads hold addresses and links: in the queue they are sealed under SECRET_KEY."""

    def __init__(self, secrets: Secrets) -> None:
        self._fernet: MultiFernet = secrets.sealer(SEAL)

    def seal(self, payload: Payload) -> bytes:
        return self._fernet.encrypt(orjson.dumps(payload))

    def open(self, sealed: bytes) -> Payload:
        """Returns the payload.

        Raises:
            SealedElsewhere: none of these secrets opens it.

        """
        try:
            return orjson.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            raise SealedElsewhere from None

    def opens(self, sealed: bytes) -> bool:
        try:
            self._fernet.decrypt(sealed)
        except InvalidToken:
            return False
        return True


class SessionDriver:
    """An open session as PgQueuer's driver: what it enqueues commits with the session, or never.

    Through SQLAlchemy's connection and not the driver's own below it, since a transaction that has
    not run a statement yet has not begun there.
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

    async def enqueue(self, session: AsyncSession, name: str, payload: Payload) -> None:
        """Building block: a job of the caller's transaction. It runs at least once."""
        driver: Any = SessionDriver(session)
        await Queries(driver).enqueue(name, self.payloads.seal(payload))

    async def waiting(self) -> dict[str, int]:
        """How many jobs there are in each state, other than those that are kept as failed."""
        return {row[0]: row[1] for row in await self.db.rows(QUEUED)}

    async def failed(self) -> Sequence[FailedJob]:
        rows = await self.db.rows(FAILED)
        messages = await self.db.rows(LAST_FAILURES, {"ids": [row[0] for row in rows]})
        failures: dict[int, str | None] = {row[0]: row[1] for row in messages}
        return [FailedJob._make((*row, failures.get(row[0]))) for row in rows]

    async def retry(self, ids: Sequence[int] | None) -> Retried:
        """Put failed jobs back into the queue, all of them for None.

        One that none of our secrets opens stays where it is: it could only fail again.
        """
        kept = await self.db.rows(FAILED_PAYLOADS)
        wanted = [row for row in kept if ids is None or row.id in ids]
        found = [JobId(row.id) for row in wanted if self.payloads.opens(row.payload or b"")]
        async with self.db.begin() as session:
            driver: Any = SessionDriver(session)
            await Queries(driver).requeue_jobs(found)
        return Retried(len(found), tuple(row.id for row in wanted if row.id not in found))

    async def fail_all(self, session: AsyncSession, reason: str) -> int:
        """Building block: keep every job as failed, and say how many were not so before."""
        failed: Any = await session.execute(FAIL_ALL, {"reason": reason})
        return failed.rowcount

    async def forget(self, before: datetime) -> None:
        """Delete the records of jobs before then, and the jobs that were last tried before then."""
        async with self.db.begin() as session:
            await session.execute(FORGET_RECORDS, {"before": before})
            forgotten: Any = await session.execute(FORGET_FAILED, {"before": before})
        if forgotten.rowcount:
            log.warning("%d failed jobs were kept long enough and are gone", forgotten.rowcount)
