"""People in and out of files; however many, a few thousand at a time."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import case, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.accounts.services.new_users import delete_unconfirmed
from app.audit.services.events import Recorder
from app.database.database import Database
from app.mail.models import TokenPurpose
from app.people.events import PeopleEvent
from app.people.services.user_formats.fields import NotTaken
from app.people.services.user_formats.formats import Format, Records
from app.people.services.user_lines import COLUMNS, Person, read_person, write_line
from app.security.client import NO_CLIENT
from app.text.email_addresses import EmailDomains
from app.users.models import Role, User, UserRow
from app.users.services.rows import UNCONFIRMED, USER_COLUMNS
from app.users.services.viewer import Operator

BATCH = 2000
VALUES = ", ".join(COLUMNS)
# Of the connection alone, and gone with it: nothing is changed by filling them. Records have their
# numbers, so that what is wrong can be found in the file. `id` is a new one where none was given.
MAKE = (
    f"""
    CREATE TEMP TABLE incoming AS
        SELECT {VALUES}, id AS given_id, 0::bigint AS number FROM users WITH NO DATA
    """,  # noqa: S608 - names of ours
    "CREATE TEMP TABLE invalid (number bigint, message text)",
)
SETTLE = ("CREATE UNIQUE INDEX ON incoming (number)", "ANALYZE incoming")
# A registration that no one has confirmed gives way.
THEIRS = f"users.email = incoming.email AND NOT ({UNCONFIRMED})"


def _repeated(column: str, field: str, words: str) -> str:
    """Select records that have a value of one before them."""
    return f"""
        SELECT number, '{field}: ' || :unit || ' ' || first || ' has the same {words}.'
        FROM (
            SELECT number, min(number) OVER (PARTITION BY {column}) AS first
            FROM incoming WHERE {column} IS NOT NULL
        ) AS each
        WHERE number > first
    """  # noqa: S608 - names of ours


FIND_INVALID = text(
    f"""
    INSERT INTO invalid
    SELECT number, string_agg(message, ' ' ORDER BY message)
    FROM (
        {_repeated("email", "email", "address")}
        UNION ALL {_repeated("given_id", "id", "id")}
        UNION ALL {_repeated("external_id", "externalId", "external id")}
        UNION ALL
            SELECT number, 'id: The user with this address has another id.'
            FROM incoming JOIN users ON {THEIRS}
            WHERE users.id <> given_id
        UNION ALL
            SELECT number, 'externalId: The user with this address has another one, or none.'
            FROM incoming JOIN users ON {THEIRS}
            WHERE incoming.external_id IS NOT NULL
                AND users.external_id IS DISTINCT FROM incoming.external_id
        UNION ALL
            SELECT number, 'id: Another user has this id.'
            FROM incoming JOIN users ON users.id = given_id
            WHERE users.email <> incoming.email
        UNION ALL
            SELECT number, 'externalId: Another user has this external id.'
            FROM incoming JOIN users USING (external_id)
            WHERE users.email <> incoming.email
    ) AS found (number, message)
    GROUP BY number
    """  # noqa: S608 - names of ours
)
INVALID = text("SELECT number, message FROM invalid ORDER BY number")
FORGET_INVALID = (
    "DELETE FROM incoming USING invalid WHERE invalid.number = incoming.number",
    "TRUNCATE invalid",
)
RESERVED = (
    "undo.email = incoming.email AND undo.used_at IS NULL AND undo.expires_at > now()"
    f" AND undo.purpose = '{TokenPurpose.UNDO_EMAIL_CHANGE.value}'"
)
# An address is not free while it may still go back to the account that had it before.
LEAVE_OUT = (
    f"DELETE FROM incoming USING users WHERE {THEIRS}",  # noqa: S608
    f"DELETE FROM incoming USING one_time_tokens AS undo WHERE {RESERVED}",  # noqa: S608
)
LEFT = text("SELECT count(*) FROM incoming")
NEXT = text(
    "SELECT max(number), count(*) FROM"
    " (SELECT number FROM incoming WHERE number > :after ORDER BY number LIMIT :size) AS each"
)
EMAILS = "SELECT email FROM incoming WHERE number > :after AND number <= :upto"
# Somebody may have registered meanwhile, or another import have an id: the indexes decide. In one
# order, so that two of these wait for each other at most once.
TAKE = text(
    f"WITH added AS (INSERT INTO users ({VALUES})"  # noqa: S608 - names of ours
    f" SELECT {VALUES} FROM incoming WHERE number > :after AND number <= :upto ORDER BY email"
    " ON CONFLICT DO NOTHING RETURNING role)"
    " SELECT count(*), count(*) FILTER (WHERE role = :admin) FROM added"
)


class Invalid(NamedTuple):
    """What is wrong with a record, in words that quote nothing of it; it is left out."""

    number: int
    message: str


class WithoutPassword(NamedTuple):
    """A person who is taken without the hash of their password, and why."""

    number: int
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

    An invalid record is left out; of two with one address or id the first one counts. Nobody who is
    there is changed: a record is of somebody who is there if it has their address and, as far as
    it names them, their id and external id.
    """

    connection: AsyncConnection
    clock: Callable[[], datetime]
    email_domains: EmailDomains

    async def read(
        self, records: Records, known: Format, *, drop_unreadable_hashes: bool
    ) -> AsyncGenerator[Invalid | WithoutPassword | Place]:
        """Read a file through: what is wrong with each record, and after some of them the place.

        Raises:
            UnreadableFile: it is not of the format.

        """
        now, people = self.clock(), 0
        while batch := list(islice(records.each, BATCH)):
            rows: list[tuple[Any, ...]] = []
            for number, content in batch:
                read = self._read(content, known, records.unit, now, drop=drop_unreadable_hashes)
                if isinstance(read, str):
                    yield Invalid(number, read)
                    continue
                if read.left_out is not None:
                    yield WithoutPassword(number, read.left_out)
                rows.append((*read.row, read.given_id, number))
            await self._copy(rows)
            people += len(rows)
            yield Place(records.source.taken, people)
        await _run(self.connection, *SETTLE)

    def _read(
        self, content: dict[str, Any] | str, known: Format, unit: str, now: datetime, *, drop: bool
    ) -> Person | str:
        """Make a person of a record, or say what is wrong with it."""
        if isinstance(content, str):
            return content
        try:
            values = known.person(content)
        except NotTaken as why:
            return f"the {unit} {why}"
        return read_person(values, now, self.email_domains, drop_unreadable_hashes=drop)

    async def conflicts(self, unit: str) -> AsyncGenerator[Invalid]:
        """Find and leave out what only the whole file, or the database, shows to be invalid.

        Asked again when everybody is added, it finds whom others were quicker to add.
        """
        async with self.connection.begin():
            await self.connection.execute(FIND_INVALID, {"unit": unit.capitalize()})
        async with self.connection.begin(), self.connection.stream(INVALID) as found:
            async for number, message in found:
                yield Invalid(number, message)
        await _run(self.connection, *FORGET_INVALID)

    async def missing(self) -> int:
        """Leave out who is there already, and give how many there are to add."""
        await _run(self.connection, *LEAVE_OUT)
        async with self.connection.begin():
            return await self.connection.scalar(LEFT) or 0

    async def add(self) -> AsyncGenerator[Step]:
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
            theirs = User.email.in_(text(EMAILS).bindparams(after=after, upto=upto))
            await delete_unconfirmed(session, self.clock(), theirs)
            bounds = {"after": after, "upto": upto, "admin": Role.ADMIN.value}
            added, administrators = (await session.execute(TAKE, bounds)).one()
            if added:
                await Recorder(Operator(), NO_CLIENT, self.clock()).record(
                    session,
                    PeopleEvent.USERS_IMPORTED,
                    people=str(added),
                    administrators=str(administrators),
                )
        return upto, Step(people, added)

    async def _copy(self, rows: list[tuple[Any, ...]]) -> None:
        columns = (*COLUMNS, "given_id", "number")
        async with self.connection.begin():
            raw = await self.connection.get_raw_connection()
            driver: Any = raw.driver_connection
            await driver.copy_records_to_table("incoming", records=rows, columns=columns)


@dataclass(frozen=True, slots=True)
class UserFiles:
    db: Database
    clock: Callable[[], datetime]
    email_domains: EmailDomains

    @asynccontextmanager
    async def incoming(self) -> AsyncGenerator[Import]:
        """Begin an import. The memory it takes here does not grow with the file."""
        async with self.db.unlimited_connection(keeps_session_state=True) as connection:
            await _run(connection, *MAKE)
            yield Import(connection, self.clock, self.email_domains)

    async def give(self, *, with_hashes: bool) -> AsyncGenerator[bytes]:
        """Everybody, as an import reads them, in the order in which they came.

        The password of a registration that nobody confirmed stays here: elsewhere it would be that
        of an account like any other, which a stranger may have registered.
        """
        user, now = User, self.clock()
        password_hash = case((UNCONFIRMED, None), else_=user.password_hash)
        columns = [*USER_COLUMNS, *([password_hash] if with_hashes else [])]
        everybody = select(*columns).order_by(user.created_at, user.id)
        # Whoever reads what is written may take their time.
        async with self.db.unlimited_connection() as connection:
            options = {"yield_per": BATCH}
            async with connection.stream(everybody, execution_options=options) as rows:
                async for row in rows:
                    values = UserRow._make(row[: len(USER_COLUMNS)])
                    yield write_line(values, row[-1] if with_hashes else None, now)


async def _run(connection: AsyncConnection, *statements: str) -> None:
    async with connection.begin():
        for statement in statements:
            await connection.execute(text(statement))
