"""Whether the database is there and has the tables that this code expects."""

import logging
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError, SQLAlchemyError

from app.database.base import Base
from app.database.database import Database
from app.database.errors import STANDBY, server_message, sqlstate
from app.database.grants import Excess, excess_of
from app.database.migration_table import TABLE
from app.database.migrations import Branches, heads, known
from app.errors import Misconfigured, Unavailable

NO_SUCH_TABLE = "42P01"

# What anybody may read at /health/ready: nothing that the database said.
UNUSABLE = "The database cannot be used now. The log says why."
UNMIGRATED = "The database has not been migrated. Run `portico db upgrade`."
ELSEWHERE = (
    "The tables of Portico are in the schema {schema}, which is not on the search_path of this "
    "role. Set it: ALTER ROLE … SET search_path = {schema}"
)
REVISION = text(f"SELECT version_num FROM {TABLE}")  # noqa: S608 - a name of ours
SCHEMA = text(
    "SELECT quote_ident(nspname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
    " WHERE relname = :table AND relkind = 'r' ORDER BY 1 LIMIT 1"
)

HIDDEN = (
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
    """Asks the database; what it says when it cannot be used is logged once, not at each probe."""

    db: Database
    branches: Branches
    _logged: str | None = None

    async def check(self) -> None:
        """Return if requests can be served on this database.

        A revision that this code does not know is a newer one: during a rolling upgrade the former
        release goes on serving on tables that the new one has already migrated.

        Raises:
            Misconfigured: it was not migrated for this release; says what to do.
            Unavailable: it does not answer, or cannot do it now.
            SQLAlchemyError: it refuses.

        """
        revisions = await self._revisions()
        newest = heads(self.branches)
        newer = revisions - known(self.branches)
        # Of a branch that is at none of our revisions, a newer release must have been there.
        if not revisions or len(newest - revisions) > len(newer) or not revisions <= newest | newer:
            raise Misconfigured(UNMIGRATED)

    async def check_schema(self) -> None:
        """Return if every table that is found by its name is the one of Portico.

        Raises:
            Misconfigured: names a table that another schema hides.

        """
        names = {"tables": sorted(Base.metadata.tables), "ours": TABLE}
        for table, there, here in await self.db.rows(HIDDEN_TABLES, names):
            raise Misconfigured(HIDDEN.format(table=table, there=there, here=here))

    async def check_writable(self) -> None:
        """Return if the database accepts changes: nobody can sign in on a standby.

        Raises:
            Misconfigured: says what DATABASE_URL has to name.

        """
        if (await self.db.rows(READ_ONLY))[0][0]:
            raise Misconfigured(STANDBY)

    async def excess(self, *, retention: bool) -> Excess | None:
        """Returns what this role can do to the audit beyond serving, where it can do more."""
        async with self.db.begin() as session:
            return await excess_of(await session.connection(), retention=retention)

    async def reason(self) -> str | None:
        """Say in one public sentence why no request can be served now; None if they can."""
        try:
            await self.check()
        except Misconfigured:
            return UNMIGRATED
        except (Unavailable, SQLAlchemyError) as error:
            self._log(server_message(error) or type(error).__name__)
            return UNUSABLE
        self._logged = None
        return None

    async def newer_revision(self) -> str | None:
        """Returns the revision of a ready database if only a newer release knows it."""
        return next(iter(await self._revisions() - known(self.branches)), None)

    async def _revisions(self) -> frozenset[str]:
        try:
            return frozenset(row[0] for row in await self.db.rows(REVISION))
        except ProgrammingError as error:
            if sqlstate(error) != NO_SUCH_TABLE:
                raise
            raise Misconfigured(await self._where_it_is()) from error

    async def _where_it_is(self) -> str:
        found = await self.db.rows(SCHEMA, {"table": TABLE})
        return ELSEWHERE.format(schema=found[0][0]) if found else UNMIGRATED

    def _log(self, heard: str) -> None:
        if heard != self._logged:
            log.warning("Not ready: %s", heard)
        self._logged = heard
