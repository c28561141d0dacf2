"""Checks that the database answers and has the tables that this code expects."""

import logging
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from app.database.base import Base
from app.database.database import Database
from app.database.errors import NOT_WRITABLE, server_message, sqlstate
from app.database.grants import ExcessPrivileges, excess_privileges
from app.database.migration_table import TABLE
from app.database.revisions import Branches, heads, known_revisions
from app.errors import Misconfigured, Unavailable

UNDEFINED_TABLE = "42P01"

# Public at /health/ready: never a message of the database.
DATABASE_UNUSABLE = "The database cannot be used now. The log says why."
NOT_MIGRATED = "The database has not been migrated. Run `portico db upgrade`."
TABLES_IN_OTHER_SCHEMA = (
    "The tables of Portico are in the schema {schema}, which is not on the search_path of this "
    "role. Set it: ALTER ROLE … SET search_path = {schema}"
)
REVISION = text(f"SELECT version_num FROM {TABLE}")  # noqa: S608 - a name of ours
SCHEMA = text(
    "SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
    " WHERE relname = :table AND relkind = 'r' ORDER BY 1 LIMIT 1"
)

TABLE_HIDDEN = (
    "Another table named {table}, in the schema {there}, comes before the one of Portico, in "
    "{here}, on the search_path of this role. Set it: ALTER ROLE … SET search_path = {here}"
)
HIDDEN_TABLES = text("""
    SELECT quote_ident(c.relname), quote_ident(n.nspname), quote_ident(h.nspname)
    FROM unnest(CAST(:tables AS text[])) AS name
    JOIN pg_class c ON c.oid = to_regclass(name) JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class m ON m.oid = to_regclass(:ours) JOIN pg_namespace h ON h.oid = m.relnamespace
    WHERE n.oid <> h.oid ORDER BY 1 LIMIT 1
""")

READ_ONLY = text("SELECT current_setting('transaction_read_only') = 'on'")

log = logging.getLogger(__name__)


@dataclass
class Readiness:
    """Checks the database; a failure is logged once, and not at each probe."""

    db: Database
    branches: Branches
    _logged: str | None = None

    async def check(self) -> None:
        """Check that requests can be served on this database.

        An unknown revision is a newer one: during a rolling upgrade the previous release goes on
        serving on tables that the new one has already migrated.

        Raises:
            Misconfigured: it was not migrated for this release; says what to do.
            Unavailable: it does not answer, or not now.
            SQLAlchemyError: it refuses.

        """
        revisions = await self._revisions()
        newest = heads(self.branches)
        newer = revisions - known_revisions(self.branches)
        # A branch without a known revision must have an unknown, newer one.
        if not revisions or len(newest - revisions) > len(newer) or not revisions <= newest | newer:
            raise Misconfigured(NOT_MIGRATED)

    async def check_schema(self) -> None:
        """Check that no table of Portico is hidden by one of the same name.

        Raises:
            Misconfigured: names a table that another schema hides.

        """
        names = {"tables": sorted(Base.metadata.tables), "ours": TABLE}
        for table, there, here in await self.db.rows(HIDDEN_TABLES, names):
            raise Misconfigured(TABLE_HIDDEN.format(table=table, there=there, here=here))

    async def check_writable(self) -> None:
        """Check that the database accepts changes: users cannot sign in on a standby.

        Raises:
            Misconfigured: says what DATABASE_URL has to name.

        """
        if (await self.db.rows(READ_ONLY))[0][0]:
            raise Misconfigured(NOT_WRITABLE)

    async def excess(self, *, retention: bool) -> ExcessPrivileges | None:
        """Returns the privileges on the audit that this role has beyond those for serving."""
        async with self.db.begin() as session:
            return await excess_privileges(await session.connection(), retention=retention)

    async def reason(self) -> str | None:
        """Returns one public sentence that says why requests cannot be served; None if they can."""
        try:
            await self.check()
        except Misconfigured:
            return NOT_MIGRATED
        except (Unavailable, SQLAlchemyError) as error:
            self._log(server_message(error) or type(error).__name__)
            return DATABASE_UNUSABLE
        self._logged = None
        return None

    async def newer_revision(self) -> str | None:
        """Returns the revision of a ready database if it is that of a newer release."""
        return next(iter(await self._revisions() - known_revisions(self.branches)), None)

    async def _revisions(self) -> frozenset[str]:
        try:
            return frozenset(row[0] for row in await self.db.rows(REVISION))
        except ProgrammingError as error:
            if sqlstate(error) != UNDEFINED_TABLE:
                raise
            raise Misconfigured(await self._why_not_found()) from error

    async def _why_not_found(self) -> str:
        found = await self.db.rows(SCHEMA, {"table": TABLE})
        return TABLES_IN_OTHER_SCHEMA.format(schema=found[0][0]) if found else NOT_MIGRATED

    def _log(self, message: str) -> None:
        if message != self._logged:
            log.warning("Not ready: %s", message)
        self._logged = message
