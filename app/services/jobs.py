"""Jobs: what has to follow a change, put into the queue by the transaction that makes it."""

import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from cryptography.fernet import MultiFernet
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.core.tm import TaskManager
from pgqueuer.domain.types import JobId
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import Database
from app.security.keys import Secrets, mac

SEAL = "job-payload-seal"

# Whom a job is about: a user, or where the job has yet to find out whose it is, an address.
Person = uuid.UUID | str
# The header of a job in which the mark of that person is; it has an index.
PERSON = "person"
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
ABOUT = text(
    "SELECT entrypoint, status::text, created FROM pgqueuer"
    " WHERE headers ->> 'person' = ANY(:marks) ORDER BY id DESC LIMIT :most"
)
DELETE_ABOUT = text("DELETE FROM pgqueuer WHERE headers ->> 'person' = ANY(:marks)")
FORGET_RECORDS = text("DELETE FROM pgqueuer_log WHERE created < :before")
# What they carry is somebody's address, who may have left long ago.
FORGET_FAILED = text("DELETE FROM pgqueuer WHERE status = 'failed' AND updated < :before")

log = logging.getLogger(__name__)


class PermanentFailure(Exception):
    """A handler has found that trying again cannot help.

    The text is shown to operators and kept in the database: it holds no address and no secret.
    """


class FailedJob(NamedTuple):
    """A job that is kept because it kept failing."""

    id: int
    name: str
    created_at: datetime
    last_tried_at: datetime
    tries: int
    failure: str | None


class JobOfPerson(NamedTuple):
    """A job about somebody that has not succeeded yet."""

    name: str
    state: str
    created_at: datetime


class SealedPayloads:
    """Payloads hold addresses and links: in the queue they are sealed under SECRET_KEY."""

    def __init__(self, secrets: Secrets) -> None:
        self._fernet: MultiFernet = secrets.sealer(SEAL)

    def seal(self, payload: Payload) -> bytes:
        return self._fernet.encrypt(orjson.dumps(payload))

    def open(self, sealed: bytes) -> Payload:
        return orjson.loads(self._fernet.decrypt(sealed))


class PersonMarks:
    """MACs under SECRET_KEY by which the jobs about somebody are found, and that name no one."""

    def __init__(self, secrets: Secrets) -> None:
        self._keys = secrets.derive("job-person")

    def mark(self, person: Person) -> str:
        return _mark(self._keys[0], person)

    def marks(self, people: Sequence[Person]) -> list[str]:
        """Returns all that these people may have: former secrets count too."""
        return [_mark(key, person) for key in self._keys for person in people]


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
    people: PersonMarks

    async def enqueue(
        self, session: AsyncSession, name: str, payload: Payload, about: Person | None
    ) -> None:
        """Building block: a job of the caller's transaction. It runs at least once.

        What is about somebody is deleted with their account.
        """
        driver: Any = SessionDriver(session)
        headers = {PERSON: self.people.mark(about)} if about else None
        await Queries(driver).enqueue(name, self.payloads.seal(payload), headers=headers)

    async def about(
        self, session: AsyncSession, people: Sequence[Person], most: int
    ) -> Sequence[JobOfPerson]:
        """Building block: the jobs about these people, newest first."""
        marks = self.people.marks(people)
        rows = await session.execute(ABOUT, {"marks": marks, "most": most})
        return [JobOfPerson._make(row) for row in rows]

    async def delete_about(self, session: AsyncSession, people: Sequence[Person]) -> None:
        """Building block: delete the jobs about these people. One that runs now goes on."""
        await session.execute(DELETE_ABOUT, {"marks": self.people.marks(people)})

    async def waiting(self) -> dict[str, int]:
        """How many jobs there are in each state, other than those that are kept as failed."""
        return {row[0]: row[1] for row in await self.db.rows(QUEUED)}

    async def failed(self) -> Sequence[FailedJob]:
        rows = await self.db.rows(FAILED)
        messages = await self.db.rows(LAST_FAILURES, {"ids": [row[0] for row in rows]})
        failures: dict[int, str | None] = {row[0]: row[1] for row in messages}
        return [FailedJob._make((*row, failures.get(row[0]))) for row in rows]

    async def retry(self, ids: Sequence[int] | None) -> int:
        """Put failed jobs back into the queue, all of them for None, and say how many."""
        kept = [job.id for job in await self.failed()]
        found = [JobId(job_id) for job_id in kept if ids is None or job_id in ids]
        async with self.db.begin() as session:
            driver: Any = SessionDriver(session)
            await Queries(driver).requeue_jobs(found)
        return len(found)

    async def forget(self, before: datetime) -> None:
        """Delete the records of jobs before then, and the jobs that were last tried before then."""
        async with self.db.begin() as session:
            await session.execute(FORGET_RECORDS, {"before": before})
            forgotten: Any = await session.execute(FORGET_FAILED, {"before": before})
        if forgotten.rowcount:
            log.warning("%d failed jobs were kept long enough and are gone", forgotten.rowcount)


def _mark(key: bytes, person: Person) -> str:
    # A UUID is marked as bytes and an address as text: no address passes for a user.
    return mac(key, person.bytes if isinstance(person, uuid.UUID) else person).hex()
