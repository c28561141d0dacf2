"""Changes to tables in use, for migrations: writers do not wait for them (online DDL)."""

from collections.abc import Sequence

from sqlalchemy import TextClause, text

from alembic import op

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

    An interrupted migration is run again from its beginning, since its revision is recorded at the
    end: everything before this call must be repeatable too.
    """
    migration = op.get_context()
    # An interrupted build leaves an invalid index, which IF NOT EXISTS would accept.
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
    """Drop an index while others read and write. Commits what the migration has done before."""
    with op.get_context().autocommit_block():
        _drop(name, table)


def _drop(name: str, table: str) -> None:
    op.drop_index(name, table, if_exists=True, postgresql_concurrently=True)
