"""Import and export of users, in batches of a few thousand."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import case, null, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.accounts.services.new_users import delete_unconfirmed
from app.audit.services.events import Recorder
from app.clock import Clock
from app.database.database import Database, session_on
from app.mail.models import TokenPurpose
from app.people.events import PeopleEvent
from app.people.services.user_fields import FILLS, Exported
from app.people.services.user_formats.fields import UnusableRecord
from app.people.services.user_formats.formats import Format, Records
from app.people.services.user_lines import Person, read_person, write_line
from app.security.client import NO_CLIENT
from app.text.email_addresses import EmailDomains
from app.users.models import Role, User, UserRow
from app.users.services.rows import UNCONFIRMED, USER_COLUMNS
from app.users.services.viewer import Operator

BATCH = 2000
VALUES = ", ".join(FILLS)
# Temporary tables of the connection: filling them changes nothing else. Records have their number
# in the file, for messages. `id` is a new one if the record has none (`given_id`).
CREATE_TABLES = (
    f"""
    CREATE TEMP TABLE incoming AS
        SELECT {VALUES}, id AS given_id, 0::bigint AS number FROM users WITH NO DATA
    """,  # noqa: S608 - names of ours
    "CREATE TEMP TABLE invalid (number bigint, message text)",
)
CREATE_INDEX = ("CREATE UNIQUE INDEX ON incoming (number)", "ANALYZE incoming")
# An unconfirmed registration is replaced.
SAME_ADDRESS = f"users.email = incoming.email AND NOT ({UNCONFIRMED})"


def _repeated(column: str, field: str, words: str) -> str:
    """Select records that have the same value as an earlier one."""
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
            FROM incoming JOIN users ON {SAME_ADDRESS}
            WHERE users.id <> given_id
        UNION ALL
            SELECT number, 'externalId: The user with this address has another one, or none.'
            FROM incoming JOIN users ON {SAME_ADDRESS}
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
SELECT_INVALID = text("SELECT number, message FROM invalid ORDER BY number")
DELETE_INVALID = (
    "DELETE FROM incoming USING invalid WHERE invalid.number = incoming.number",
    "TRUNCATE invalid",
)
RESERVED = (
    "undo.email = incoming.email AND undo.used_at IS NULL AND undo.expires_at > now()"
    f" AND undo.purpose = '{TokenPurpose.UNDO_EMAIL_CHANGE.value}'"
)
# An address is not free while another account may still move back to it.
DELETE_EXISTING = (
    f"DELETE FROM incoming USING users WHERE {SAME_ADDRESS}",  # noqa: S608
    f"DELETE FROM incoming USING one_time_tokens AS undo WHERE {RESERVED}",  # noqa: S608
)
COUNT = text("SELECT count(*) FROM incoming")
NEXT_BATCH = text(
    "SELECT max(number), count(*) FROM"
    " (SELECT number FROM incoming WHERE number > :after ORDER BY number LIMIT :size) AS each"
)
EMAILS_OF_BATCH = "SELECT email FROM incoming WHERE number > :after AND number <= :upto"
# The unique indexes decide about concurrent registrations and imports. Ordered, so that concurrent
# imports wait for each other in the same order.
INSERT_BATCH = text(
    f"WITH added AS (INSERT INTO users ({VALUES})"  # noqa: S608 - names of ours
    f" SELECT {VALUES} FROM incoming WHERE number > :after AND number <= :upto ORDER BY email"
    " ON CONFLICT DO NOTHING RETURNING role)"
    " SELECT count(*), count(*) FILTER (WHERE role = :admin) FROM added"
)


class Invalid(NamedTuple):
    """An invalid record, which is not imported. The message quotes none of its content."""

    number: int
    message: str


class WithoutPassword(NamedTuple):
    """A user who is imported without their password hash, and the reason."""

    number: int
    message: str


class Place(NamedTuple):
    """How far a file has been read."""

    bytes: int
    users: int


class Step(NamedTuple):
    """What one transaction of an import did."""

    users: int
    added: int


@dataclass(frozen=True, slots=True)
class Import:
    """An import: the file is read to its end first, which changes nothing; then users are added.

    Invalid records are skipped; of two with the same address or id, the first one is used. Existing
    users are not changed: a record is of an existing user if it has their address and, as far as it
    has these fields, their id and external id.
    """

    connection: AsyncConnection
    clock: Clock
    email_domains: EmailDomains

    async def read(
        self, records: Records, known: Format, *, drop_unreadable_hashes: bool
    ) -> AsyncGenerator[Invalid | WithoutPassword | Place]:
        """Read a file: yields what is wrong with each record, and the place after each batch.

        Raises:
            UnreadableFile: the file is not of the format.

        """
        now, users = self.clock(), 0
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
            users += len(rows)
            yield Place(records.source.bytes_read, users)
        await _run(self.connection, *CREATE_INDEX)

    def _read(
        self, content: dict[str, Any] | str, known: Format, unit: str, now: datetime, *, drop: bool
    ) -> Person | str:
        """Returns the user of a record, or what is wrong with it."""
        if isinstance(content, str):
            return content
        try:
            values = known.person(content)
        except UnusableRecord as why:
            return f"the {unit} {why}"
        return read_person(values, now, self.email_domains, drop_unreadable_hashes=drop)

    async def conflicts(self, unit: str) -> AsyncGenerator[Invalid]:
        """Find and skip records that are invalid beside the rest of the file or the database.

        Called again after `add`, it finds conflicts with users who were added concurrently.
        """
        async with self.connection.begin():
            await self.connection.execute(FIND_INVALID, {"unit": unit.capitalize()})
        async with self.connection.begin(), self.connection.stream(SELECT_INVALID) as found:
            async for number, message in found:
                yield Invalid(number, message)
        await _run(self.connection, *DELETE_INVALID)

    async def missing(self) -> int:
        """Skip users who exist already, and return how many there are to add."""
        await _run(self.connection, *DELETE_EXISTING)
        async with self.connection.begin():
            return await self.connection.scalar(COUNT) or 0

    async def add(self) -> AsyncGenerator[Step]:
        """Add the users, some thousands per transaction, each with its event.

        If it is interrupted, the next import of the file adds the rest.
        """
        after = 0
        while step := await self._add(after):
            after = step[0]
            yield step[1]

    async def _add(self, after: int) -> tuple[int, Step] | None:
        raw = await self.connection.get_raw_connection()
        async with session_on(self.connection, raw.driver_connection) as session, session.begin():
            batch = {"after": after, "size": BATCH}
            upto, users = (await session.execute(NEXT_BATCH, batch)).one()
            if not users:
                return None
            emails = text(EMAILS_OF_BATCH).bindparams(after=after, upto=upto)
            await delete_unconfirmed(session, self.clock(), User.email.in_(emails))
            bounds = {"after": after, "upto": upto, "admin": Role.ADMIN.value}
            added, administrators = (await session.execute(INSERT_BATCH, bounds)).one()
            if added:
                await Recorder(Operator(), NO_CLIENT, self.clock()).record(
                    session,
                    PeopleEvent.USERS_IMPORTED,
                    people=str(added),
                    administrators=str(administrators),
                )
        return upto, Step(users, added)

    async def _copy(self, rows: list[tuple[Any, ...]]) -> None:
        columns = (*FILLS, "given_id", "number")
        async with self.connection.begin():
            raw = await self.connection.get_raw_connection()
            driver: Any = raw.driver_connection
            await driver.copy_records_to_table("incoming", records=rows, columns=columns)


@dataclass(frozen=True, slots=True)
class UserFiles:
    db: Database
    clock: Clock
    email_domains: EmailDomains

    @asynccontextmanager
    async def start_import(self) -> AsyncGenerator[Import]:
        """Start an import. Its memory does not grow with the file."""
        async with self.db.unlimited_connection(keeps_session_state=True) as connection:
            await _run(connection, *CREATE_TABLES)
            yield Import(connection, self.clock, self.email_domains)

    async def export(self, *, with_hashes: bool) -> AsyncGenerator[bytes]:
        """Yields a line per user, in the format of an import, in the order of creation.

        Without the passwords of unconfirmed registrations: an import would make them passwords of
        ordinary accounts, and a stranger may have chosen them.
        """
        user, now = User, self.clock()
        own_hash = case((UNCONFIRMED, None), else_=user.password_hash)
        columns = (*USER_COLUMNS, own_hash if with_hashes else null())
        everybody = select(*columns).order_by(user.created_at, user.id)
        # The reader of the output may be slow.
        async with self.db.unlimited_connection() as connection:
            options = {"yield_per": BATCH}
            async with connection.stream(everybody, execution_options=options) as rows:
                async for row in rows:
                    yield write_line(Exported(UserRow._make(row[:-1]), row[-1], now))


async def _run(connection: AsyncConnection, *statements: str) -> None:
    async with connection.begin():
        for statement in statements:
            await connection.execute(text(statement))
