"""What the role that serves may do in the database: given, renewed, and what it has beyond that."""

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
MARKER = "audit_events"
AUDIT = "audit_"
# The library that keeps the queue names its tables so.
QUEUE = "pgqueuer"
# https://www.postgresql.org/docs/15/predefined-roles.html
PREDEFINED = "pg_"
# What a table can lack or have as a whole, and column by column.
OF_TABLES = ("DELETE", "TRUNCATE", "TRIGGER")
OF_COLUMNS = ("INSERT", "UPDATE")

TAKE_TURNS = text("SELECT pg_advisory_xact_lock(:lock)")
PLACE = text("""
    SELECT n.nspname AS schema, o.rolname AS owner, current_user AS me,
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
# Trigger functions need no right to fire, and what belongs to an extension is not ours.
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
# Nobody else writes events.
GRANTED = text("""
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
# Whoever can connect and write events, through however many memberships, inherited or not.
ABLE = text("""
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
HELD = text("""
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
class Place:
    """Where the tables are, whose they are, and who asks."""

    schema: str
    owner: str
    me: str
    is_owner: bool
    owns_schema: bool

    def named(self, name: str) -> str:
        return f"{quoted(self.schema)}.{quoted(name)}"


@dataclass(frozen=True, slots=True)
class Excess:
    """A role that can do more to the audit than serving takes."""

    role: str
    more: tuple[str, ...]
    # The statement that takes it away, where it is not `portico db grant`.
    mend: str | None = None

    def __str__(self) -> str:
        return f"The role {self.role} {', '.join(self.more)}"


async def grant(url: str, roles: Sequence[str], *, retention: bool) -> list[Excess]:
    """Give roles what serving takes, and nothing else; returns what they have from elsewhere.

    With `retention` they may also remove events that retention has announced.

    Raises:
        Misconfigured: one of them cannot have it, or this role cannot give it. Nothing is given.
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
) -> list[Excess]:
    """Do the same within a transaction."""
    place = await _owned(connection)
    for role in roles:
        await _check(connection, place, role)
    for role in roles:
        await _give(connection, place, role, retention=retention)
    return [
        excess
        for role in roles
        if (excess := await excess_of(connection, role, retention=retention))
    ]


async def renew(connection: AsyncConnection, leave_out: Sequence[str] = ()) -> list[Excess]:
    """Give every role that serves already what serving on the current tables takes.

    Does nothing where the current role does not own the tables: it cannot.
    """
    place = await _place(connection)
    if not place.is_owner:
        return []
    found: list[Excess] = []
    for role, retention in (await connection.execute(GRANTED, {"marker": MARKER})).all():
        if role in leave_out:
            continue
        await _give(connection, place, role, retention=retention)
        excess = await excess_of(connection, role, retention=retention)
        found += [excess] if excess else []
    return found


async def excess_of_granted(connection: AsyncConnection) -> list[Excess]:
    """Returns what roles that can serve can do to the audit beyond serving.

    Superusers and the owner of the tables are left out: they have to be there.
    """
    granted = (await connection.execute(GRANTED, {"marker": MARKER})).all()
    able = (await connection.execute(ABLE, {"marker": MARKER})).all()
    roles = sorted({(role, retention) for role, retention in (*granted, *able)})
    found = [await excess_of(connection, role, retention=retention) for role, retention in roles]
    return [excess for excess in found if excess]


async def excess_of(
    connection: AsyncConnection, role: str | None = None, *, retention: bool
) -> Excess | None:
    """Returns what a role, the current one if none is named, can do to the audit beyond serving."""
    place = await _place(connection)
    found = (await connection.execute(ROLE, {"role": role, "marker": MARKER})).one()
    powers = {
        "is a superuser": found.is_superuser,
        "owns the tables": found.is_owner,
        f"can become {found.owner}, which owns the tables": found.can_be_owner,
        "owns their schema": found.owns_schema,
        "owns the database": found.owns_database,
        f"has CREATEROLE, so it can make itself a member of {found.owner}": found.makes_roles,
        "can set session_replication_role, which stops triggers": found.stops_triggers,
    }
    # Each of them includes all that follow.
    all_of_it = [power for power, has in powers.items() if has][:1]
    if all_of_it:
        return Excess(found.rolname, tuple(all_of_it), _mend_of_owner(found))
    more = await _beyond(connection, place, found.rolname, retention=retention)
    if found.creates:
        more.append(f"may create functions in the schema {place.schema}")
    return Excess(found.rolname, tuple(more), _mend_of_schema(place, found)) if more else None


def _mend_of_owner(found: Row[Any]) -> str | None:
    """Returns what takes a role out of the one that owns the tables, if it is a member of it."""
    if found.is_superuser or found.is_owner or not found.can_be_owner:
        return None
    return f"REVOKE {quoted(found.owner)} FROM {quoted(found.rolname)}"


def _mend_of_schema(place: Place, found: Row[Any]) -> str | None:
    """Returns what takes the right to create functions away: PostgreSQL 14 gave it to everybody."""
    if not found.creates:
        return None
    grantee = "PUBLIC" if found.everybody_creates else quoted(found.rolname)
    return f"REVOKE CREATE ON SCHEMA {quoted(place.schema)} FROM {grantee}"


async def _beyond(
    connection: AsyncConnection, place: Place, role: str, *, retention: bool
) -> list[str]:
    """Returns the privileges on the tables of the audit that serving does not take."""
    tables = {
        name: rights_of(table).of(retention=retention)
        for name, table in Base.metadata.tables.items()
        if name.startswith(AUDIT)
    }
    asked = {
        "role": role,
        "schema": quoted(place.schema),
        "tables": list(tables),
        "of_tables": list(OF_TABLES),
        "of_columns": list(OF_COLUMNS),
    }
    more: dict[str, None] = {}
    for table, privilege, column in await connection.execute(HELD, asked):
        allowed = tables[table].get(privilege)
        if allowed is None or (allowed and column not in allowed):
            more[f"may {privilege} on {table}"] = None
    return list(more)


async def _place(connection: AsyncConnection) -> Place:
    found = (await connection.execute(PLACE, {"marker": MARKER})).one_or_none()
    if found is None:
        raise Misconfigured("The database has not been migrated. Run `portico db upgrade`.")
    return Place(*found)


async def _owned(connection: AsyncConnection) -> Place:
    place = await _place(connection)
    if not place.is_owner:
        raise Misconfigured(
            f"The role {place.me} does not own the tables: let {place.owner}, which does, run this."
        )
    return place


async def _check(connection: AsyncConnection, place: Place, role: str) -> None:
    if role.startswith(PREDEFINED):
        raise Misconfigured(
            f"The role {role} is one that PostgreSQL has made, with members who do not serve: "
            "name a role of your own."
        )
    found = (await connection.execute(ROLE, {"role": role, "marker": MARKER})).one_or_none()
    if found is None:
        raise Misconfigured(
            f"The role {role} does not exist. Create it: CREATE ROLE {quoted(role)}"
        )
    if found.is_superuser:
        raise Misconfigured(f"The role {role} is a superuser: no grant limits what it can do.")
    if found.is_owner:
        raise Misconfigured(f"The role {role} owns the tables: let another role serve.")
    if found.can_be_owner:
        raise Misconfigured(
            f"The role {role} is a member of {found.owner}, which owns the tables. "
            f"Take it out first: REVOKE {quoted(found.owner)} FROM {quoted(role)}"
        )
    if not found.uses_schema and not place.owns_schema:
        raise Misconfigured(
            f"Neither can the role {role} use the schema {place.schema}, nor {place.me} let it. "
            f"Let the owner of the schema run GRANT USAGE ON SCHEMA {quoted(place.schema)} "
            f"TO {quoted(role)}"
        )


async def _give(connection: AsyncConnection, place: Place, role: str, *, retention: bool) -> None:
    # Two that change the privileges of a table at once would fail.
    await connection.execute(TAKE_TURNS, {"lock": LOCK})
    schema = quoted(place.schema)
    names = [*Base.metadata.tables, TABLE]
    asked = {"schema": schema, "names": names, "queue": QUEUE}
    tables = (await connection.execute(TABLES, asked)).scalars().all()
    asked = {"schema": schema, "tables": tables}
    sequences = (await connection.execute(SEQUENCES, asked)).scalars().all()
    asked = {"schema": schema, "owner": place.owner}
    functions = (await connection.execute(FUNCTIONS, asked)).scalars().all()
    given = [
        *_on_schema(place, quoted(role)),
        *_on_tables(place, quoted(role), tables, retention=retention),
        *_on_sequences(place, quoted(role), sequences),
        *(f"GRANT EXECUTE ON FUNCTION {each} TO {quoted(role)}" for each in functions),
    ]
    for statement in given:
        await connection.exec_driver_sql(statement)


def _on_schema(place: Place, role: str) -> Iterator[str]:
    """Give the use of the schema, where it is ours to give: `public` is open to everybody."""
    if place.owns_schema:
        yield f"REVOKE ALL ON SCHEMA {quoted(place.schema)} FROM {role} CASCADE"
        yield f"GRANT USAGE ON SCHEMA {quoted(place.schema)} TO {role}"


def _on_tables(place: Place, role: str, tables: Sequence[str], *, retention: bool) -> Iterator[str]:
    for name in tables:
        table = place.named(name)
        # Those of single columns go with it.
        yield f"REVOKE ALL ON TABLE {table} FROM {role} CASCADE"
        for privilege, columns in _rights(name).of(retention=retention).items():
            only = f" ({', '.join(map(quoted, columns))})" if columns else ""
            yield f"GRANT {privilege}{only} ON TABLE {table} TO {role}"


def _on_sequences(place: Place, role: str, sequences: Sequence[str]) -> Iterator[str]:
    for name in sequences:
        yield f"REVOKE ALL ON SEQUENCE {place.named(name)} FROM {role} CASCADE"
        yield f"GRANT USAGE ON SEQUENCE {place.named(name)} TO {role}"


def _rights(name: str) -> Rights:
    if name == TABLE:
        return READ
    table = Base.metadata.tables.get(name)
    return ROWS if table is None else rights_of(table)
