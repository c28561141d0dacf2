"""People in and out of files, one JSON object a line; however many, a few thousand at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from sqlalchemy import case, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app import models
from app.db import Database
from app.models import AuditName, Role, TokenPurpose, UserRow
from app.services.audit import record
from app.services.new_users import UNCONFIRMED, delete_unconfirmed
from app.services.outcomes import NO_CLIENT
from app.services.rows import USER_COLUMNS
from app.services.user_lines import COLUMNS, lines, read_line, write_line

BATCH = 2000
VALUES = ", ".join(COLUMNS)
# Of the connection alone, and gone with it: nothing is changed by filling it. Lines are counted by
# the file, so that what is wrong can be found there.
MAKE = f"CREATE TEMP TABLE incoming AS SELECT {VALUES}, 0::bigint AS line FROM users WITH NO DATA"  # noqa: S608 - names of ours
SETTLE = ("CREATE UNIQUE INDEX ON incoming (line)", "ANALYZE incoming")
FIRSTS = "(SELECT line, min(line) OVER (PARTITION BY email) AS first FROM incoming) AS each"
REPEATED = text(f"SELECT line, first FROM {FIRSTS} WHERE line > first ORDER BY line")  # noqa: S608
RESERVED = (
    "undo.email = incoming.email AND undo.used_at IS NULL AND undo.expires_at > now()"
    f" AND undo.purpose = '{TokenPurpose.UNDO_EMAIL_CHANGE.value}'"
)
# A registration that no one has confirmed gives way. An address is not free while it may still go
# back to the account that had it before.
LEAVE_OUT = (
    f"DELETE FROM incoming WHERE line IN (SELECT line FROM {FIRSTS} WHERE line > first)",  # noqa: S608
    f"DELETE FROM incoming USING users WHERE users.email = incoming.email AND NOT ({UNCONFIRMED})",  # noqa: S608
    f"DELETE FROM incoming USING one_time_tokens AS undo WHERE {RESERVED}",  # noqa: S608
)
LEFT = text("SELECT count(*) FROM incoming")
NEXT = text(
    "SELECT max(line), count(*) FROM"
    " (SELECT line FROM incoming WHERE line > :after ORDER BY line LIMIT :size) AS each"
)
EMAILS = "SELECT email FROM incoming WHERE line > :after AND line <= :upto"
# Somebody may have registered meanwhile. In one order, so that two of these wait for each other at
# most once.
TAKE = text(
    f"WITH added AS (INSERT INTO users ({VALUES})"  # noqa: S608 - names of ours
    f" SELECT {VALUES} FROM incoming WHERE line > :after AND line <= :upto ORDER BY email"
    " ON CONFLICT (email) DO NOTHING RETURNING role)"
    " SELECT count(*), count(*) FILTER (WHERE role = :admin) FROM added"
)


class Fault(NamedTuple):
    """What is wrong with a line, in words that quote nothing of it."""

    line: int
    message: str


class Place(NamedTuple):
    """How far a file has been read."""

    bytes: int
    people: int


class Step(NamedTuple):
    """What one transaction of an import has done."""

    people: int
    added: int


@dataclass(frozen=True, slots=True)
class Import:
    """A file on its way in: read to the end first, which changes nothing, and then added.

    A line at fault is left out; of two with one address the first one counts.
    """

    connection: AsyncConnection
    clock: Callable[[], datetime]

    async def read(self, file: BinaryIO) -> AsyncIterator[Fault | Place]:
        """Read it through: every fault of a line by itself, and after some lines the place."""
        now, every, people = self.clock(), enumerate(lines(file), 1), 0
        while batch := list(islice(every, BATCH)):
            rows: list[tuple[Any, ...]] = []
            for number, line in batch:
                read = read_line(line, now)
                if isinstance(read, str):
                    yield Fault(number, read)
                elif read is not None:
                    rows.append((*read, number))
            await self._copy(rows)
            people += len(rows)
            yield Place(file.tell(), people)

    async def repeated(self) -> AsyncIterator[Fault]:
        """Find what only the whole file shows: lines with the address of one before them."""
        await _run(self.connection, *SETTLE)
        async with self.connection.begin():
            async for line, first in await self.connection.stream(REPEATED):
                yield Fault(line, f"email: Line {first} has the same address.")

    async def missing(self) -> int:
        """Leave out who is there already, and give how many there are to add."""
        await _run(self.connection, *LEAVE_OUT)
        async with self.connection.begin():
            return await self.connection.scalar(LEFT) or 0

    async def add(self) -> AsyncIterator[Step]:
        """Add them, some thousands in a transaction with its event.

        Interrupted, it leaves what was committed: the next import of the file goes on from there.
        """
        after = 0
        while step := await self._add(after):
            after = step[0]
            yield step[1]

    async def _add(self, after: int) -> tuple[int, Step] | None:
        async with AsyncSession(self.connection) as session, session.begin():
            upto, people = (await session.execute(NEXT, {"after": after, "size": BATCH})).one()
            if not people:
                return None
            theirs = models.User.email.in_(text(EMAILS).bindparams(after=after, upto=upto))
            await delete_unconfirmed(session, self.clock(), theirs)
            bounds = {"after": after, "upto": upto, "admin": Role.ADMIN.value}
            added, administrators = (await session.execute(TAKE, bounds)).one()
            if added:
                await record(
                    session,
                    self.clock(),
                    AuditName.USERS_IMPORTED,
                    NO_CLIENT,
                    people=str(added),
                    administrators=str(administrators),
                )
        return upto, Step(people, added)

    async def _copy(self, rows: list[tuple[Any, ...]]) -> None:
        async with self.connection.begin():
            raw = await self.connection.get_raw_connection()
            driver: Any = raw.driver_connection
            await driver.copy_records_to_table("incoming", records=rows, columns=(*COLUMNS, "line"))


@dataclass(frozen=True, slots=True)
class UserFiles:
    db: Database
    clock: Callable[[], datetime]

    @asynccontextmanager
    async def incoming(self) -> AsyncGenerator[Import]:
        """Begin an import. The memory it takes here does not grow with the file."""
        async with self.db.unhurried(lasting=True) as connection:
            await _run(connection, MAKE)
            yield Import(connection, self.clock)

    async def give(self, *, with_hashes: bool) -> AsyncIterator[bytes]:
        """Everybody, as an import reads them, in the order in which they came.

        The password of a registration that nobody confirmed stays here: elsewhere it would be that
        of an account like any other, which a stranger may have registered.
        """
        user, now = models.User, self.clock()
        password_hash = case((UNCONFIRMED, None), else_=user.password_hash)
        columns = [*USER_COLUMNS, *([password_hash] if with_hashes else [])]
        everybody = select(*columns).order_by(user.created_at, user.id)
        # Whoever reads what is written may take their time.
        async with self.db.unhurried() as connection:
            options = {"yield_per": BATCH}
            async for row in await connection.stream(everybody, execution_options=options):
                values = UserRow._make(row[: len(USER_COLUMNS)])
                yield write_line(values, row[-1] if with_hashes else None, now)


async def _run(connection: AsyncConnection, *statements: str) -> None:
    async with connection.begin():
        for statement in statements:
            await connection.execute(text(statement))
