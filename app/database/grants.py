"""Grants and checks the privileges of roles that serve (`portico db grant`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.base import Base
from app.database.database import connect
from app.database.migration_table import TABLE
from app.database.rights import READ, ROWS, Rights, rights_of
from app.errors import Misconfigured

LOCK = 0x6772616E74  # "grant"
MARKER_TABLE = "audit_events"
AUDIT_PREFIX = "audit_"
# PgQueuer's tables of the job queue begin with this.
QUEUE_PREFIX = "pgqueuer"
# https://www.postgresql.org/docs/15/predefined-roles.html
PREDEFINED_PREFIX = "pg_"
# Privileges on a whole table, and on single columns.
TABLE_PRIVILEGES = ("DELETE", "TRUNCATE", "TRIGGER")
COLUMN_PRIVILEGES = ("INSERT", "UPDATE")

LOCK_GRANTS = text("SELECT pg_advisory_xact_lock(:lock)")
SCHEMA_AND_OWNER = text("""
    SELECT n.nspname AS schema, o.rolname AS owner, current_user,
           pg_has_role(current_user, o.oid, 'USAGE') AS is_owner,
           has_schema_privilege(current_user, n.oid, 'USAGE WITH GRANT OPTION') AS owns_schema
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_roles o ON o.oid = c.relowner
    WHERE c.oid = to_regclass(:marker)
""")
TABLES = text("""
    SELECT relname FROM pg_class
    WHERE relnamespace = to_regnamespace(:schema) AND relkind IN ('r', 'p')
        AND (relname = ANY(:names) OR starts_with(relname::text, :queue))
    ORDER BY 1
""")
SEQUENCES = text("""
    SELECT s.relname FROM pg_class s
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.oid
    JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
    WHERE s.relkind = 'S' AND d.deptype IN ('a', 'i')
        AND t.relnamespace = to_regnamespace(:schema) AND t.relname = ANY(:tables)
    ORDER BY 1
""")
# Triggers run without EXECUTE on their function; functions of extensions are not ours.
FUNCTIONS = text("""
    SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner
    WHERE p.pronamespace = to_regnamespace(:schema) AND o.rolname = :owner
        AND p.prorettype <> 'trigger'::regtype AND NOT p.prosecdef AND p.prokind = 'f'
        AND NOT EXISTS (
            SELECT FROM pg_depend
            WHERE classid = 'pg_proc'::regclass AND objid = p.oid AND deptype = 'e'
        )
    ORDER BY 1
""")
# Roles with INSERT on the events are those that serve.
GRANTED_ROLES = text("""
    SELECT r.rolname, has_table_privilege(r.oid, c.oid, 'DELETE') AS retention
    FROM pg_class c JOIN pg_roles r ON r.oid <> c.relowner AND NOT r.rolsuper
    WHERE c.oid = to_regclass(:marker) AND r.oid IN (
        SELECT grantee FROM aclexplode(c.relacl) WHERE privilege_type = 'INSERT'
        UNION
        SELECT grantee FROM pg_attribute a, aclexplode(a.attacl)
        WHERE a.attrelid = c.oid AND privilege_type = 'INSERT'
    )
    ORDER BY 1
""")
# Roles that can connect and write events, through any memberships, inherited or not.
ROLES_ABLE_TO_WRITE = text("""
    SELECT r.rolname, has_table_privilege(r.oid, c.oid, 'DELETE') AS retention
    FROM pg_class c JOIN pg_roles r ON r.oid <> c.relowner AND NOT r.rolsuper AND r.rolcanlogin
    WHERE c.oid = to_regclass(:marker) AND EXISTS (
        SELECT FROM pg_roles g
        WHERE NOT g.rolsuper AND has_any_column_privilege(g.oid, c.oid, 'INSERT')
            AND pg_has_role(r.oid, g.oid, 'MEMBER')
    )
    ORDER BY 1
""")
ROLE = text("""
    SELECT r.rolname, r.rolsuper AS is_superuser, r.oid = c.relowner AS is_owner,
           pg_has_role(r.oid, c.relowner, 'MEMBER') AS can_be_owner, o.rolname AS owner,
           pg_has_role(r.oid, n.nspowner, 'MEMBER') AS owns_schema,
           pg_has_role(r.oid, d.datdba, 'MEMBER') AS owns_database,
           r.rolcreaterole AND current_setting('server_version_num')::int < 160000 AS makes_roles,
           has_parameter_privilege(r.oid, 'session_replication_role', 'SET') AS stops_triggers,
           has_schema_privilege(r.oid, n.oid, 'USAGE') AS uses_schema,
           has_schema_privilege(r.oid, n.oid, 'CREATE') AS creates,
           has_schema_privilege('public', n.oid, 'CREATE') AS everybody_creates
    FROM pg_roles r, pg_database d, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_roles o ON o.oid = c.relowner
    WHERE r.rolname = coalesce(CAST(:role AS text), current_user) AND d.datname = current_database()
        AND c.oid = to_regclass(:marker)
""")
PRIVILEGES_HELD = text("""
    SELECT t.relname AS table, p.name AS privilege, NULL AS column
    FROM pg_class t, unnest(CAST(:of_tables AS text[])) AS p(name)
    WHERE t.relnamespace = to_regnamespace(:schema) AND t.relname = ANY(:tables)
        AND has_table_privilege(CAST(:role AS name), t.oid, p.name)
    UNION ALL
    SELECT t.relname, p.name, a.attname
    FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0,
         unnest(CAST(:of_columns AS text[])) AS p(name)
    WHERE t.relnamespace = to_regnamespace(:schema) AND t.relname = ANY(:tables)
        AND NOT a.attisdropped
        AND has_column_privilege(CAST(:role AS name), t.oid, a.attnum, p.name)
    ORDER BY 1, 2, 3
""")

quoted = postgresql.dialect().identifier_preparer.quote_identifier


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The schema of the tables, their owner, and what the current role is to both."""

    schema: str
    owner: str
    current_user: str
    is_owner: bool
    owns_schema: bool

    def qualified(self, name: str) -> str:
        return f"{quoted(self.schema)}.{quoted(name)}"


@dataclass(frozen=True, slots=True)
class ExcessPrivileges:
    """Privileges of a role on the audit that serving does not need."""

    role: str
    more: tuple[str, ...]
    # The statement that revokes them, if `portico db grant` does not.
    remedy: str | None = None

    def __str__(self) -> str:
        return f"The role {self.role} {', '.join(self.more)}"


async def grant(url: str, roles: Sequence[str], *, retention: bool) -> list[ExcessPrivileges]:
    """Grant roles exactly the privileges that serving needs; returns excess ones that remain.

    With `retention` they may also remove events that retention has announced.

    Raises:
        Misconfigured: a role cannot get them, or this role cannot grant them. Nothing is granted.
        Unavailable: the database does not answer.
        DBAPIError: the database refuses.

    """
    engine = connect(url, pool_size=1).engine
    try:
        async with engine.begin() as connection:
            return await grant_on(connection, roles, retention=retention)
    finally:
        await engine.dispose()


async def grant_on(
    connection: AsyncConnection, roles: Sequence[str], *, retention: bool
) -> list[ExcessPrivileges]:
    """Grant within a transaction, as `grant` does."""
    table_schema = await _check_ownership(connection)
    for role in roles:
        await _check_role(connection, table_schema, role)
    for role in roles:
        await _grant(connection, table_schema, role, retention=retention)
    return [
        excess
        for role in roles
        if (excess := await excess_privileges(connection, role, retention=retention))
    ]


async def renew_grants(
    connection: AsyncConnection, leave_out: Sequence[str] = ()
) -> list[ExcessPrivileges]:
    """Grant the roles that serve already the privileges that serving on the current tables needs.

    Does nothing if the current role does not own the tables.
    """
    table_schema = await _table_schema(connection)
    if not table_schema.is_owner:
        return []
    found: list[ExcessPrivileges] = []
    for role, retention in (
        await connection.execute(GRANTED_ROLES, {"marker": MARKER_TABLE})
    ).all():
        if role in leave_out:
            continue
        await _grant(connection, table_schema, role, retention=retention)
        excess = await excess_privileges(connection, role, retention=retention)
        found += [excess] if excess else []
    return found


async def excess_privileges_of_granted_roles(connection: AsyncConnection) -> list[ExcessPrivileges]:
    """Returns the excess privileges of all roles that can serve.

    Superusers and the owner of the tables are left out: every database has them.
    """
    granted = (await connection.execute(GRANTED_ROLES, {"marker": MARKER_TABLE})).all()
    able = (await connection.execute(ROLES_ABLE_TO_WRITE, {"marker": MARKER_TABLE})).all()
    roles = sorted({(role, retention) for role, retention in (*granted, *able)})
    found = [
        await excess_privileges(connection, role, retention=retention) for role, retention in roles
    ]
    return [excess for excess in found if excess]


async def excess_privileges(
    connection: AsyncConnection, role: str | None = None, *, retention: bool
) -> ExcessPrivileges | None:
    """Returns the excess privileges of a role, by default the current one."""
    table_schema = await _table_schema(connection)
    found = (await connection.execute(ROLE, {"role": role, "marker": MARKER_TABLE})).one()
    powers = {
        "is a superuser": found.is_superuser,
        "owns the tables": found.is_owner,
        f"can become {found.owner}, which owns the tables": found.can_be_owner,
        "owns their schema": found.owns_schema,
        "owns the database": found.owns_database,
        f"has CREATEROLE, so it can make itself a member of {found.owner}": found.makes_roles,
        "can set session_replication_role, which stops triggers": found.stops_triggers,
    }
    # Each of them implies the following ones.
    strongest = [power for power, has in powers.items() if has][:1]
    if strongest:
        return ExcessPrivileges(found.rolname, tuple(strongest), _revoke_membership(found))
    more = await _excess_table_privileges(
        connection, table_schema, found.rolname, retention=retention
    )
    if found.creates:
        more.append(f"may create functions in the schema {table_schema.schema}")
    return (
        ExcessPrivileges(found.rolname, tuple(more), _revoke_create(table_schema, found))
        if more
        else None
    )


def _revoke_membership(found: Row[Any]) -> str | None:
    """Returns the statement that ends a membership in the owner of the tables, if there is one."""
    if found.is_superuser or found.is_owner or not found.can_be_owner:
        return None
    return f"REVOKE {quoted(found.owner)} FROM {quoted(found.rolname)}"


def _revoke_create(table_schema: TableSchema, found: Row[Any]) -> str | None:
    """Returns the statement that revokes CREATE, which PUBLIC has in databases from before 15."""
    if not found.creates:
        return None
    grantee = "PUBLIC" if found.everybody_creates else quoted(found.rolname)
    return f"REVOKE CREATE ON SCHEMA {quoted(table_schema.schema)} FROM {grantee}"


async def _excess_table_privileges(
    connection: AsyncConnection, table_schema: TableSchema, role: str, *, retention: bool
) -> list[str]:
    """Returns the privileges on the tables of the audit that serving does not need."""
    tables = {
        name: rights_of(table).of(retention=retention)
        for name, table in Base.metadata.tables.items()
        if name.startswith(AUDIT_PREFIX)
    }
    parameters = {
        "role": role,
        "schema": quoted(table_schema.schema),
        "tables": list(tables),
        "of_tables": list(TABLE_PRIVILEGES),
        "of_columns": list(COLUMN_PRIVILEGES),
    }
    more: dict[str, None] = {}
    for table, privilege, column in await connection.execute(PRIVILEGES_HELD, parameters):
        allowed = tables[table].get(privilege)
        if allowed is None or (allowed and column not in allowed):
            more[f"may {privilege} on {table}"] = None
    return list(more)


async def _table_schema(connection: AsyncConnection) -> TableSchema:
    found = (await connection.execute(SCHEMA_AND_OWNER, {"marker": MARKER_TABLE})).one_or_none()
    if found is None:
        raise Misconfigured("The database has not been migrated. Run `portico db upgrade`.")
    return TableSchema(*found)


async def _check_ownership(connection: AsyncConnection) -> TableSchema:
    table_schema = await _table_schema(connection)
    if not table_schema.is_owner:
        raise Misconfigured(
            f"The role {table_schema.current_user} does not own the tables: "
            f"run this as {table_schema.owner}."
        )
    return table_schema


async def _check_role(connection: AsyncConnection, table_schema: TableSchema, role: str) -> None:
    if role.startswith(PREDEFINED_PREFIX):
        raise Misconfigured(
            f"The role {role} is predefined by PostgreSQL and may have members that do not serve: "
            "use a role of your own."
        )
    found = (await connection.execute(ROLE, {"role": role, "marker": MARKER_TABLE})).one_or_none()
    if found is None:
        raise Misconfigured(
            f"The role {role} does not exist. Create it: CREATE ROLE {quoted(role)}"
        )
    if found.is_superuser:
        raise Misconfigured(
            f"The role {role} is a superuser, which no grant limits: use another role."
        )
    if found.is_owner:
        raise Misconfigured(f"The role {role} owns the tables: use another role.")
    if found.can_be_owner:
        raise Misconfigured(
            f"The role {role} is a member of {found.owner}, which owns the tables. "
            f"Remove it first: REVOKE {quoted(found.owner)} FROM {quoted(role)}"
        )
    if not found.uses_schema and not table_schema.owns_schema:
        raise Misconfigured(
            f"The role {role} lacks USAGE on the schema {table_schema.schema}, and "
            f"{table_schema.current_user} cannot grant it. "
            f"As the owner of the schema, run GRANT USAGE ON SCHEMA {quoted(table_schema.schema)} "
            f"TO {quoted(role)}"
        )


async def _grant(
    connection: AsyncConnection, table_schema: TableSchema, role: str, *, retention: bool
) -> None:
    # Two transactions that change the privileges of a table at once would fail.
    await connection.execute(LOCK_GRANTS, {"lock": LOCK})
    schema = quoted(table_schema.schema)
    names = [*Base.metadata.tables, TABLE]
    parameters = {"schema": schema, "names": names, "queue": QUEUE_PREFIX}
    tables = (await connection.execute(TABLES, parameters)).scalars().all()
    parameters = {"schema": schema, "tables": tables}
    sequences = (await connection.execute(SEQUENCES, parameters)).scalars().all()
    parameters = {"schema": schema, "owner": table_schema.owner}
    functions = (await connection.execute(FUNCTIONS, parameters)).scalars().all()
    statements = [
        *_schema_statements(table_schema, quoted(role)),
        *_table_statements(table_schema, quoted(role), tables, retention=retention),
        *_sequence_statements(table_schema, quoted(role), sequences),
        *(f"GRANT EXECUTE ON FUNCTION {each} TO {quoted(role)}" for each in functions),
    ]
    for statement in statements:
        await connection.exec_driver_sql(statement)


def _schema_statements(table_schema: TableSchema, role: str) -> Iterator[str]:
    """Grant USAGE on the schema, if this role can: on `public` everybody has it."""
    if table_schema.owns_schema:
        yield f"REVOKE ALL ON SCHEMA {quoted(table_schema.schema)} FROM {role} CASCADE"
        yield f"GRANT USAGE ON SCHEMA {quoted(table_schema.schema)} TO {role}"


def _table_statements(
    table_schema: TableSchema, role: str, tables: Sequence[str], *, retention: bool
) -> Iterator[str]:
    for name in tables:
        table = table_schema.qualified(name)
        # This also revokes the privileges on single columns.
        yield f"REVOKE ALL ON TABLE {table} FROM {role} CASCADE"
        for privilege, columns in _rights(name).of(retention=retention).items():
            only = f" ({', '.join(map(quoted, columns))})" if columns else ""
            yield f"GRANT {privilege}{only} ON TABLE {table} TO {role}"


def _sequence_statements(
    table_schema: TableSchema, role: str, sequences: Sequence[str]
) -> Iterator[str]:
    for name in sequences:
        yield f"REVOKE ALL ON SEQUENCE {table_schema.qualified(name)} FROM {role} CASCADE"
        yield f"GRANT USAGE ON SEQUENCE {table_schema.qualified(name)} TO {role}"


def _rights(name: str) -> Rights:
    if name == TABLE:
        return READ
    table = Base.metadata.tables.get(name)
    return ROWS if table is None else rights_of(table)
