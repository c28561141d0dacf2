"""The table that says which migrations have run, and how databases of before it are taken over."""

from collections.abc import Mapping

from sqlalchemy import Connection, text

from app.errors import MigrationBlocked

TABLE = "portico_migrations"
# Alembic's default, which any other application in the schema may use too. Releases up to revision
# 0011 used it. Its row stays as it is: servers of those releases read it while they are replaced.
# It may be dropped by hand as soon as none of them is left, and by a migration one release later.
FORMER_TABLE = "alembic_version"
# What each revision of before made and later ones keep. 0009 only replaced a function.
MADE: Mapping[str, frozenset[str]] = {
    "0001": frozenset({"users.suspension_reason", "sessions.token_salt"}),
    "0002": frozenset({"audit_events.request_id"}),
    "0003": frozenset({"pgqueuer.dedupe_key", "fn_pgqueuer_changed()"}),
    "0004": frozenset({"one_time_tokens.token_hash"}),
    "0005": frozenset({"statistics users_searched"}),
    "0006": frozenset({"audit_chains.signed_position", "append_audit_event()"}),
    "0007": frozenset({"budgets.over_at", "spend()"}),
    "0008": frozenset({"users.open_to_registration"}),
    "0009": frozenset(),
    "0010": frozenset({"audit_chains.trimmed_position", "check_audit_trim()"}),
    "0011": frozenset({"password_failures.in_a_row", "charge_budgets()"}),
}

SCHEMA_OF = text(
    "SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
    " WHERE c.oid = to_regclass(:table) AND has_table_privilege(c.oid, 'SELECT')"
)
HERE = text("SELECT current_schema()")
THINGS = text("""
    SELECT relname || '.' || attname FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid
    JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = :schema AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT proname || '()' FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace
    WHERE nspname = :schema
    UNION ALL
    SELECT 'statistics ' || stxname FROM pg_statistic_ext
    JOIN pg_namespace n ON n.oid = stxnamespace WHERE nspname = :schema
""")
FORMER = text(f"SELECT version_num FROM {FORMER_TABLE}")  # noqa: S608 - a name of ours
# As Alembic makes it.
MAKE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    version_num varchar(32) NOT NULL CONSTRAINT {TABLE}_pkc PRIMARY KEY
)
"""
BEGIN_AT = (
    f"INSERT INTO {TABLE} (version_num) SELECT '{{revision}}'"  # noqa: S608 - names of ours
    f" WHERE NOT EXISTS (SELECT FROM {TABLE})"
)


def former_revision(connection: Connection) -> str | None:
    """Returns the revision in the former table, if what it describes are the tables of Portico.

    None once the database was taken over, and for the row of any other application: a revision
    counts only if everything is there that it and those before it made.
    """
    schema = connection.scalar(SCHEMA_OF, {"table": FORMER_TABLE})
    if schema is None or connection.scalar(SCHEMA_OF, {"table": TABLE}) is not None:
        return None
    things = frozenset(connection.scalars(THINGS, {"schema": schema}))
    if f"{FORMER_TABLE}.version_num" not in things:
        return None
    revisions = connection.scalars(FORMER).all()
    if len(revisions) != 1 or not _made_up_to(revisions[0]) <= things:
        return None
    return revisions[0] if revisions[0] in MADE else None


def take_over(connection: Connection, revision: str) -> None:
    """Go on in a table of our own from where the former one is."""
    for statement in starting_at(revision):
        connection.exec_driver_sql(statement)


def starting_at(revision: str) -> tuple[str, str]:
    """Returns the SQL that makes the table, at a revision unless it is there already."""
    return MAKE, BEGIN_AT.format(revision=revision)


def check_schema(connection: Connection, table: str) -> None:
    """Return if new tables would be made beside those that are there.

    Raises:
        MigrationBlocked: another schema comes first on the search_path, and would hide them.

    """
    there, here = connection.scalar(SCHEMA_OF, {"table": table}), connection.scalar(HERE)
    if there is not None and there != here:
        raise MigrationBlocked(
            f'The tables of Portico are in the schema "{there}", but this role would make new ones '
            f'in "{here}". Set its search_path: ALTER ROLE … SET search_path = "{there}"'
        )


def _made_up_to(revision: str) -> frozenset[str]:
    return frozenset[str]().union(*(made for each, made in MADE.items() if each <= revision))
