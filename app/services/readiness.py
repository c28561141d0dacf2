"""Whether the database is there and has the tables that this code expects."""

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.db import Database
from app.errors import Unavailable
from app.migrations import head, known
from app.outages import sqlstate

NO_SUCH_TABLE = "42P01"

UNREACHABLE = "The database does not answer. Check DATABASE_URL and that PostgreSQL runs."
UNMIGRATED = "The database has not been migrated. Run `portico db upgrade`."
REVISION = text("SELECT version_num FROM alembic_version")


async def unready(db: Database) -> str | None:
    """Say in one sentence why no request can be served now; None where all is well."""
    try:
        rows = await db.rows(REVISION)
    except Unavailable:
        return UNREACHABLE
    except SQLAlchemyError as error:
        return UNMIGRATED if sqlstate(error) == NO_SUCH_TABLE else UNREACHABLE
    # A revision that this code does not know is a newer one: during a rolling upgrade the old
    # release goes on serving on tables that the new one has already migrated.
    older = known() - {head()}
    return UNMIGRATED if not rows or any(row[0] in older for row in rows) else None


async def newer_revision(db: Database) -> str | None:
    """Give the revision of a ready database if it is one that only a newer release knows."""
    rows = await db.rows(REVISION)
    return next((row[0] for row in rows if row[0] not in known()), None)
