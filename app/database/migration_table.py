"""The table of the migrations that have run, and the switch to it from the former one."""

from collections.abc import Mapping

from sqlalchemy import Connection, text

from app.errors import MigrationBlocked

TABLE = "portico_migrations"
# Alembic's default, which other applications in the schema may use too. Releases up to revision
# 0011 used it. Its row stays: servers of those releases read it until they are replaced. It may be
# dropped by hand once none of them is left, and by a migration one release later.
FORMER_TABLE = "alembic_version"
# Objects that each former revision created and later ones keep. 0009 only replaced a function.
OBJECTS_OF_REVISIONS: Mapping[str, frozenset[str]] = {
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
CURRENT_SCHEMA = text("SELECT current_schema()")
OBJECTS = text("""
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
FORMER_REVISION = text(f"SELECT version_num FROM {FORMER_TABLE}")  # noqa: S608 - a name of ours
# As Alembic makes it.
CREATE_TABLE = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    version_num varchar(32) NOT NULL CONSTRAINT {TABLE}_pkc PRIMARY KEY
)
"""
INSERT_REVISION = (
    f"INSERT INTO {TABLE} (version_num) SELECT '{{revision}}'"  # noqa: S608 - names of ours
    f" WHERE NOT EXISTS (SELECT FROM {TABLE})"
)


def former_revision(connection: Connection) -> str | None:
    """Returns the revision in the former table, if it is one of Portico.

    None if the new table exists, and for a row of another application: a revision counts only if
    all objects exist that it and those before it created.
    """
    schema = connection.scalar(SCHEMA_OF, {"table": FORMER_TABLE})
    if schema is None or connection.scalar(SCHEMA_OF, {"table": TABLE}) is not None:
        return None
    objects = frozenset(connection.scalars(OBJECTS, {"schema": schema}))
    if f"{FORMER_TABLE}.version_num" not in objects:
        return None
    revisions = connection.scalars(FORMER_REVISION).all()
    if len(revisions) != 1 or not _objects_up_to(revisions[0]) <= objects:
        return None
    return revisions[0] if revisions[0] in OBJECTS_OF_REVISIONS else None


def adopt_former_revision(connection: Connection, revision: str) -> None:
    """Create the new table, at the revision of the former one."""
    for statement in statements_to_start_at(revision):
        connection.exec_driver_sql(statement)


def statements_to_start_at(revision: str) -> tuple[str, str]:
    """Returns the SQL that creates the table, at a revision if it is empty."""
    return CREATE_TABLE, INSERT_REVISION.format(revision=revision)


def check_schema(connection: Connection, table: str) -> None:
    """Check that new tables would be created in the schema of the existing ones.

    Raises:
        MigrationBlocked: another schema comes first on the search_path: new tables would hide
            them.

    """
    there, current = (
        connection.scalar(SCHEMA_OF, {"table": table}),
        connection.scalar(CURRENT_SCHEMA),
    )
    if there is not None and there != current:
        raise MigrationBlocked(
            f'The tables of Portico are in the schema "{there}", but this role would make new ones '
            f'in "{current}". Set its search_path: ALTER ROLE … SET search_path = "{there}"'
        )


def _objects_up_to(revision: str) -> frozenset[str]:
    return frozenset[str]().union(
        *(created for each, created in OBJECTS_OF_REVISIONS.items() if each <= revision)
    )
