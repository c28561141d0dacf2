"""Changes to tables that are in use, for migrations: nobody who writes has to wait for them."""

from collections.abc import Sequence

from sqlalchemy import TextClause, text

from alembic import op

# Whoever waits for a lock on a table keeps all who come later waiting too, so a migration gives up
# soon and tries again. Not sooner: after `deadlock_timeout`, a second, PostgreSQL lets a vacuum
# make way, and whoever waits for less never gets past one.
LOCK_TIMEOUT = "1500ms"
# In a transaction a statement keeps others out for as long as it runs. What takes longer on a big
# table belongs outside of one, where it keeps nobody out.
STATEMENT_TIMEOUT = "5s"
LIMITS = (
    f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'",
    f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'",
)
INVALID = text("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


def create_index(
    name: str,
    table: str,
    columns: Sequence[str | TextClause],
    *,
    where: str | None = None,
    using: str | None = None,
    unique: bool = False,
) -> None:
    """Build an index while others write. Commits what the migration has done before.

    Interrupted, it can be run again, and so must be able to be whatever stands before it: the
    revision is noted at the end only.
    """
    migration = op.get_context()
    # An interrupted build leaves an index that passes for one and is not.
    invalid = not migration.as_sql and op.get_bind().scalar(INVALID, {"name": name})
    with migration.autocommit_block():
        if invalid:
            _drop(name, table)
        op.create_index(
            name,
            table,
            columns,
            unique=unique,
            if_not_exists=True,
            postgresql_concurrently=True,
            postgresql_where=where,
            postgresql_using=using,
        )


def drop_index(name: str, table: str) -> None:
    """Remove an index while others read and write. Commits what was done before."""
    with op.get_context().autocommit_block():
        _drop(name, table)


def _drop(name: str, table: str) -> None:
    op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
