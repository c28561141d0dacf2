"""A copy of what is known of a person (GDPR, articles 15 and 20): one JSON document.

Each table about people declares which of its columns are in it; a test holds that none is left out
without a reason.
"""

import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Column, ColumnElement, Select, Table, select, union
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.accounts.events import AccountEvent
from app.accounts.services.password_confirmation import PasswordConfirmation
from app.audit.models import AuditEvent
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database
from app.database.outages import retry_on_conflict
from app.database.personal_data import PersonalColumns, camel_case, personal_tables
from app.errors import Misconfigured
from app.jobs.services.queue import Jobs
from app.outcomes import InvalidCredentials, NotFound
from app.security.client import NO_CLIENT, Client
from app.users.models import User
from app.users.services.viewer import Admin, Operator, Viewer

FORMAT = "portico.personal-data/1"
# Of each list, in an answer that is in memory as a whole: an event is about 250 bytes.
MOST = 2000
AT_ONCE = 500

Record = dict[str, Any]
Rows = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Exported:
    """A table, and what of it is exported, its columns by their names in camelCase."""

    table: Table
    declared: PersonalColumns

    @classmethod
    def of(cls, table: Table) -> "Exported":
        """Returns a table that declares what is exported of it."""
        [declared] = personal_tables([table]).values()
        return cls(*declared)

    def select(self, user_id: uuid.UUID, most: int | None) -> Rows:
        owner, newest_first = self._column(self.declared.owner), self.declared.newest_first
        theirs = select(*self.columns()).where(owner == user_id)
        return theirs.order_by(self._column(newest_first).desc()).limit(most)

    def columns(self) -> list[Column[Any]]:
        return [self._column(name) for name in self.declared.exported]

    def record(self, row: Sequence[Any]) -> Record:
        pairs = zip(self.declared.exported, row, strict=True)
        return {camel_case(name): _plain(value) for name, value in pairs}

    def _column(self, name: str) -> Column[Any]:
        return self.table.columns[name]


@dataclass(frozen=True, slots=True)
class PersonalTables:
    """The lists of a copy: those of the tables of all modules, and the audit's."""

    lists: Mapping[str, Exported]

    @classmethod
    def of(cls, tables: Iterable[Table]) -> "PersonalTables":
        """Find the tables about users.

        Raises:
            Misconfigured: says what a table has to declare.

        """
        found = personal_tables(each for each in tables if each not in (USERS.table, EVENTS.table))
        taken = RESERVED & found.keys()
        if taken:
            raise Misconfigured(f"No table can be exported as {', '.join(sorted(taken))}")
        lists = {name: Exported(*each) for name, each in found.items()}
        return cls({**lists, "events": EVENTS})


class Copy(NamedTuple):
    """The document, and whether all is in it; `truncated` in it names what is not."""

    document: Record
    is_complete: bool


USERS = Exported.of(User.metadata.tables["users"])
EVENTS = Exported.of(AuditEvent.metadata.tables["audit_events"])
# What else is in the document.
RESERVED = {"format", "exportedAt", "profile", "jobs", "events", "truncated"}


@dataclass(frozen=True, slots=True)
class PersonalData:
    db: Database
    jobs: Jobs
    confirmation: PasswordConfirmation
    tables: PersonalTables
    clock: Clock

    async def own(self, viewer: Viewer, password: str, client: Client) -> Copy | InvalidCredentials:
        """Returns what is known of the user who asks, at most `MOST` of each list.

        Asks for the password (OWASP Authentication Cheat Sheet, re-authentication for sensitive
        features): a session that was stolen tells neither where its owner was nor when.

        Raises:
            Overloaded: too many passwords are being hashed.

        """
        seen = await self.confirmation.check(viewer, password, client)
        if not isinstance(seen, str):
            return seen
        as_seen = User.password_hash == seen
        recorder = Recorder.by(viewer, client, self.clock())
        copy = await self._copy(viewer.user.id, recorder, as_seen)
        return copy or InvalidCredentials()

    async def of_user(self, admin: Admin, user_id: uuid.UUID, client: Client) -> Copy | NotFound:
        """As `own`, of any user, for an administrator."""
        recorder = Recorder.by(admin, client, self.clock())
        return await self._copy(user_id, recorder) or NotFound()

    async def write(self, operator: Operator, user_id: uuid.UUID) -> AsyncGenerator[bytes]:
        """All of the document in pieces, however long; nothing if there is no such user.

        The memory it takes here does not grow with the document.
        """
        async with self.db.begin() as session:
            head = await self._head(session, user_id)
            if head is None:
                return
            # Before the first piece is sent: the client may disconnect before the last one.
            recorder = Recorder(operator, NO_CLIENT, self.clock())
            await recorder.record(session, AccountEvent.USER_EXPORTED, target=user_id)
        yield _json(head)[:-1]
        async with self.db.unlimited_connection() as connection:
            for name, table in self.tables.lists.items():
                yield b",%b:[" % _json(name)
                separator = b""
                async for each in _records(connection, table, user_id, None):
                    yield separator + _json(each)
                    separator = b","
                yield b"]"
        yield b',"truncated":[]}\n'

    @retry_on_conflict
    async def _copy(
        self, user_id: uuid.UUID, recorder: Recorder, *where: ColumnElement[bool]
    ) -> Copy | None:
        truncated: list[str] = []
        async with self.db.begin() as session:
            document = await self._head(session, user_id, *where)
            if document is None:
                return None
            connection = await session.connection()
            for name, table in self.tables.lists.items():
                found = [each async for each in _records(connection, table, user_id, MOST + 1)]
                document[name] = found[:MOST]
                truncated += [name] if len(found) > MOST else []
            await recorder.record(session, AccountEvent.USER_EXPORTED, target=user_id)
        return Copy({**document, "truncated": truncated}, is_complete=not truncated)

    async def _head(
        self, session: AsyncSession, user_id: uuid.UUID, *where: ColumnElement[bool]
    ) -> Record | None:
        """What comes before the lists that may be long."""
        has_password = User.password_hash.is_not(None)
        found = USERS.select(user_id, None).add_columns(has_password).where(*where)
        row = (await session.execute(found)).one_or_none()
        if row is None:
            return None
        profile = USERS.record(row[:-1])
        jobs = await self.jobs.about(session, (user_id, profile["email"]), MOST)
        return {
            "format": FORMAT,
            "exportedAt": _plain(self.clock()),
            "profile": {**profile, "hasPassword": row[-1]},
            "jobs": [
                {"name": job.name, "state": job.state, "createdAt": _plain(job.created_at)}
                for job in jobs
            ],
        }


async def _records(
    connection: AsyncConnection, table: Exported, user_id: uuid.UUID, most: int | None
) -> AsyncGenerator[Record]:
    """The records of a list, newest first, some hundreds in memory at a time."""
    is_event = table is EVENTS
    statement = _events(user_id, most) if is_event else table.select(user_id, most)
    options = {"yield_per": AT_ONCE}
    async with connection.stream(statement, execution_options=options) as rows:
        async for row in rows:
            yield _event(row, user_id) if is_event else table.record(row)


def _events(user_id: uuid.UUID, most: int | None) -> Rows:
    """Select what was done to a user and what they did, each by its own index."""
    event = AuditEvent
    theirs = [
        select(event.id).where(column == user_id).order_by(event.id.desc()).limit(most)
        for column in (event.target_id, event.actor_id)
    ]
    ids = union(*theirs).subquery()
    found = select(*EVENTS.columns()).join(ids, ids.c.id == event.id)
    return found.order_by(event.id.desc()).limit(most)


def _event(row: Sequence[Any], user_id: uuid.UUID) -> Record:
    """An event without what it tells of others: who they are, and where they were."""
    record = EVENTS.record(row)
    actor, target = record.pop("actorId"), record.pop("targetId")
    record["by"] = _named(actor, user_id, "ADMINISTRATOR")
    record["about"] = _named(target, user_id, "SOMEBODY_ELSE")
    if record["by"] == "ADMINISTRATOR":
        record["ipAddress"] = record["requestId"] = None
    if record["about"] == "SOMEBODY_ELSE":
        record["details"] = {}
    return record


def _named(person: str | None, user_id: uuid.UUID, other: str) -> str | None:
    if person is None:
        return None
    return "USER" if person == str(user_id) else other


def _plain(value: Any) -> Any:
    """Returns a value as JSON has it: times in UTC (RFC 3339), UUIDs as text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, uuid.UUID) else value


def _json(value: Any) -> bytes:
    return orjson.dumps(value)
