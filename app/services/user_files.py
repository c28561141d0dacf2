"""People in and out of files, one JSON object a line; however many, a few thousand at a time."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO, NamedTuple, cast

import orjson
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app import models
from app.db import Database
from app.models import AuditName
from app.services.audit import record
from app.services.identifiers import new_id
from app.services.inputs import ImportedUser, check
from app.services.outcomes import Client

BATCH = 2000
MAX_LINE_BYTES = 16 * 1024
NOBODY = Client(None, None)
COLUMNS = (
    "id",
    "email",
    "email_verified",
    "password_hash",
    "display_name",
    "role",
    "created_at",
    "updated_at",
)
INCOMING = text("CREATE TEMP TABLE incoming (LIKE users INCLUDING DEFAULTS) ON COMMIT DROP")
TAKE = text(
    f"INSERT INTO users ({', '.join(COLUMNS)}) SELECT {', '.join(COLUMNS)} FROM incoming"  # noqa: S608
    # In the order of the file: of two lines with one address the first one counts.
    " ON CONFLICT (email) DO NOTHING"
)


class Fault(NamedTuple):
    line: int
    message: str


class Taken(NamedTuple):
    """How many lines have been read so far, and how many people that has added."""

    lines: int
    added: int
    bytes_read: int


@dataclass(frozen=True, slots=True)
class UserFiles:
    db: Database
    clock: Callable[[], datetime]

    def faults(self, file: BinaryIO) -> Iterator[Fault | int]:
        """Read a whole file without changing anything: each fault, and now and then the place."""
        for number, line in enumerate(_lines(file), 1):
            read = self._read(line)
            if isinstance(read, str):
                yield Fault(number, read)
            if number % BATCH == 0:
                yield file.tell()

    async def take(self, file: BinaryIO) -> AsyncIterator[Taken]:
        """Add those who are not there yet, each batch in a transaction of its own.

        Lines that are at fault are passed over. Done twice it changes nothing the second time;
        after an interruption it goes on where it was.
        """
        lines, done, added = _lines(file), 0, 0
        while batch := list(islice(lines, BATCH)):
            read = map(self._read, batch)
            people = [each for each in read if isinstance(each, ImportedUser)]
            added += await self._add(people)
            done += len(batch)
            yield Taken(done, added, file.tell())

    async def give(self, *, with_hashes: bool) -> AsyncIterator[bytes]:
        """Everybody, as `take` reads them, in the order in which they came."""
        user = models.User
        columns = [
            user.email,
            user.display_name,
            user.role,
            user.email_verified,
            user.created_at,
            *([user.password_hash] if with_hashes else []),
        ]
        names = ["email", "displayName", "role", "emailVerified", "createdAt", "passwordHash"]
        everybody = select(*columns).order_by(user.created_at, user.id)
        async with self.db.engine.connect() as connection:
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            options = {"yield_per": BATCH}
            rows = await connection.stream(everybody, execution_options=options)
            async for row in rows:
                yield orjson.dumps(dict(zip(names, row, strict=False)), option=orjson.OPT_UTC_Z)

    def _read(self, line: bytes) -> ImportedUser | str | None:
        """One person, what is wrong with the line in words that hold nothing of it, or nothing."""
        if not line:
            return None
        if len(line) > MAX_LINE_BYTES:
            return "the line is too long"
        try:
            values: Any = orjson.loads(line)
        except orjson.JSONDecodeError:
            return "the line is no JSON"
        return self._checked(values)

    def _checked(self, values: Any) -> ImportedUser | str:
        if not isinstance(values, dict):
            return "the line is no JSON object"
        found = check(ImportedUser, cast("dict[str, Any]", values))
        if not isinstance(found, ImportedUser):
            return "; ".join(f"{'.'.join(issue.path)}: {issue.message}" for issue in found)
        if found.created_at is not None and found.created_at > self.clock():
            return "createdAt: This is in the future."
        return found

    async def _add(self, people: list[ImportedUser]) -> int:
        if not people:
            return 0
        now = self.clock()
        async with self.db.begin() as session:
            await session.execute(INCOMING)
            await _copy(session, (_row(person, now) for person in people))
            taken: Any = await session.execute(TAKE)
            added: int = taken.rowcount
            if added:
                event = AuditName.USERS_IMPORTED
                await record(session, now, event, NOBODY, people=str(added))
        return added


def _row(person: ImportedUser, now: datetime) -> tuple[Any, ...]:
    created = person.created_at or now
    return (
        new_id(created),
        person.email,
        person.email_verified,
        person.password_hash,
        person.display_name,
        person.role,
        created,
        now,
    )


async def _copy(session: AsyncSession, rows: Iterable[tuple[Any, ...]]) -> None:
    raw = await (await session.connection()).get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.copy_records_to_table("incoming", records=rows, columns=COLUMNS)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines that say something; one that is too long comes cut, so that it takes no memory."""
    while line := file.readline(MAX_LINE_BYTES + 2):
        if not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
        yield line.strip()
