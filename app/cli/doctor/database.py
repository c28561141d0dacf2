"""Checks of the database: the server, the role, the tables, and its load."""

from datetime import timedelta

from sqlalchemy import text

from app.cli.doctor.environment import SetUp
from app.cli.doctor.findings import Verdict, check, failed, not_checked, ok, warning
from app.cli.sizes import in_bytes, in_largest_unit
from app.database.after_upgrade import IS_AVAILABLE, IS_VALID, NOT_AVAILABLE, SCHEMA_OF_EXTENSION
from app.database.libpq.hosts import Host
from app.database.migration_table import TABLE
from app.database.readiness import Readiness
from app.database.revisions import head
from app.database.rights import ROWS, Rights, rights_of
from app.text.hosts import is_loopback
from app.users.models import User

OLDEST_VERSION = 150_000
# Migrations wait for such a transaction, and vacuum keeps the rows that it may still see.
LONG_TRANSACTION = timedelta(minutes=15)
HELD_BACK_BYTES = 1024**3
NEARLY_ALL = 0.9
LATE = timedelta(minutes=5)
QUEUE = ("pgqueuer", "pgqueuer_log")

SERVER = text("""
    SELECT current_setting('server_version') AS version,
        current_setting('server_version_num')::int AS number,
        current_setting('server_encoding') AS encoding,
        current_database() AS database, current_user AS role
""")
ENCRYPTION = text("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl")
OWNER = text("""
    SELECT current_user AS name, o.rolname AS owner
    FROM pg_class c JOIN pg_roles o ON o.oid = c.relowner
    WHERE c.oid = to_regclass(CAST(:table AS text))
""")
# PostgreSQL checks privileges on the whole table, or on any of its columns.
MISSING_RIGHTS = text("""
    SELECT wanted.privilege || ' on ' || wanted.name
    FROM unnest(CAST(:names AS text[]), CAST(:privileges AS text[])) AS wanted(name, privilege)
    WHERE to_regclass(wanted.name) IS NOT NULL
        AND NOT has_table_privilege(to_regclass(wanted.name)::oid, wanted.privilege)
        AND NOT (wanted.privilege <> 'DELETE'
            AND has_any_column_privilege(to_regclass(wanted.name)::oid, wanted.privilege))
    UNION ALL
    SELECT 'USAGE on ' || s.relname FROM unnest(CAST(:queue AS text[])) AS name
    JOIN pg_depend d ON d.refobjid = to_regclass(name)::oid AND d.deptype IN ('a', 'i')
    JOIN pg_class s ON s.oid = d.objid
    WHERE CASE s.relkind WHEN 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE') END
    ORDER BY 1
""")
# Other roles cannot see `backend_type`; the server's own processes have no user.
CONNECTIONS = text("""
    SELECT least(
            current_setting('max_connections')::int
                - current_setting('superuser_reserved_connections')::int
                - coalesce(current_setting('reserved_connections', true)::int, 0),
            nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1)) AS most,
        (SELECT count(*) FROM pg_stat_activity WHERE usesysid IS NOT NULL
            AND datid IS NOT NULL) AS used
    FROM pg_roles r, pg_database d
    WHERE r.rolname = current_user AND d.datname = current_database()
""")
SIZE = text("SELECT pg_database_size(current_database())")
OLDEST_TRANSACTION = text("""
    SELECT pid, usename AS role, clock_timestamp() - xact_start AS age FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
        AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
    ORDER BY xact_start LIMIT 1
""")
SLOT = text("""
    SELECT slot_name AS name, wal_status,
        pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS bytes
    FROM pg_replication_slots WHERE restart_lsn IS NOT NULL OR wal_status = 'lost'
    ORDER BY wal_status = 'lost' DESC, bytes DESC LIMIT 1
""")
JOBS = text("""
    SELECT count(*) FILTER (WHERE status = 'failed') AS failed,
        count(*) FILTER (WHERE status = 'queued') AS waiting,
        clock_timestamp() - min(execute_after)
            FILTER (WHERE status = 'queued' AND execute_after < clock_timestamp()) AS oldest
    FROM pgqueuer
""")


@check("database")
async def database(setup: SetUp) -> Verdict:
    if setup.database is None:
        return not_checked(
            f"There is none in {setup.given.data_dir} yet: `portico serve` creates it."
        )
    [server] = await setup.db.rows(SERVER)
    places = ",".join(_place(host) for host in setup.address.hosts)
    text = (
        f"PostgreSQL {server.version} at {places}: database {server.database}, "
        f"{server.encoding}, role {server.role}."
    )
    if server.number < OLDEST_VERSION:
        return failed(text, "Portico needs PostgreSQL 15 or later.")
    return ok(text)


@check("encryption", needs=database)
async def encryption(setup: SetUp) -> Verdict:
    """Whether the connection is encrypted; behind a pooler, the one from the pooler on."""
    hosts = setup.address.hosts
    if all(host.is_socket for host in hosts):
        return ok("The database is on this machine, at a socket.")
    found = await setup.db.rows(ENCRYPTION)
    if found:
        return ok(f"{found[0].version} to the database.")
    if all(host.is_socket or is_loopback(host.address) for host in hosts):
        return ok("No TLS, to a database on this machine.")
    return warning(
        "No TLS to the database: others on the network can read the traffic.",
        "Set sslmode=verify-full in DATABASE_URL, unless the network is encrypted.",
    )


@check("primary", needs=database)
async def primary(setup: SetUp) -> Verdict:
    await Readiness(setup.db, setup.branches).check_writable()
    return ok("The database accepts changes.")


@check("migrations", needs=database)
async def migrations(setup: SetUp) -> Verdict:
    readiness = Readiness(setup.db, setup.branches)
    await readiness.check()
    newer = await readiness.newer_revision()
    if newer:
        return warning(
            f"The database is at revision {newer}, of a newer release.",
            "Upgrade to that release.",
        )
    return ok(f"The database is at revision {head()}, the newest.")


@check("tables", needs=migrations)
async def tables(setup: SetUp) -> Verdict:
    await Readiness(setup.db, setup.branches).check_schema()
    return ok("No table of Portico is hidden by another one.")


@check("role", needs=migrations)
async def role(setup: SetUp) -> Verdict:
    """Whether the database keeps this role from changing the audit."""
    [role] = await setup.db.rows(OWNER, {"table": TABLE})
    if setup.given.embedded:
        return ok(f"{role.name}, owner of the embedded database.")
    excess = await Readiness(setup.db, setup.branches).excess(retention=_removes_events(setup))
    if excess is None:
        return ok(f"{role.name} serves, {role.owner} owns the tables.")
    return warning(
        f"{excess}: it can change the audit.",
        f"Run {excess.remedy}."
        if excess.remedy
        else "Run `portico db grant ROLE` and serve as that role.",
    )


def _removes_events(setup: SetUp) -> bool:
    return setup.given.audit_keep_days is not None


@check("rights", needs=migrations)
async def rights(setup: SetUp) -> Verdict:
    retention = _removes_events(setup)
    wanted = [
        (table, privilege)
        for table, rights in _rights().items()
        for privilege in rights.of(retention=retention)
    ]
    names, privileges = zip(*wanted, strict=True)
    values = {"names": list(names), "privileges": list(privileges), "queue": list(QUEUE)}
    missing = [row[0] for row in await setup.db.rows(MISSING_RIGHTS, values)]
    if missing:
        return failed(
            f"The role lacks {', '.join(missing)}.",
            "Run `portico db grant ROLE` as the owner of the tables.",
        )
    return ok("The role has all privileges that it needs.")


def _rights() -> dict[str, Rights]:
    """Returns the rights that `portico db grant` gives on each table."""
    ours = {name: rights_of(table) for name, table in sorted(User.metadata.tables.items())}
    return ours | dict.fromkeys(QUEUE, ROWS)


@check("search index", needs=migrations)
async def search_index(setup: SetUp) -> Verdict:
    schema = (await setup.db.rows(SCHEMA_OF_EXTENSION) or [[None]])[0][0]
    is_valid = (await setup.db.rows(IS_VALID) or [[False]])[0][0]
    if schema and is_valid:
        return ok(f"pg_trgm is in the schema {schema}, and the index is built.")
    slow = "Searches for users read the whole table: there is no index."
    if schema:
        return warning(slow, "Run `portico db upgrade`.")
    if (await setup.db.rows(IS_AVAILABLE))[0][0]:
        return warning(
            slow, "Run CREATE EXTENSION pg_trgm as an administrator, then `portico db upgrade`."
        )
    return warning(f"{slow} {NOT_AVAILABLE[0].upper()}{NOT_AVAILABLE[1:]}")


@check("connections", needs=database)
async def connections(setup: SetUp) -> Verdict:
    [row] = await setup.db.rows(CONNECTIONS)
    size = setup.given.database_pool_size
    text = f"{row.used} of {row.most} are in use; a worker takes up to {size} (DATABASE_POOL_SIZE)."
    if size > row.most or row.used > NEARLY_ALL * row.most:
        return warning(
            text, "Lower DATABASE_POOL_SIZE or --workers, raise max_connections, or use a pooler."
        )
    return ok(text)


@check("database size", needs=database)
async def size(setup: SetUp) -> Verdict:
    return ok(f"{in_bytes((await setup.db.rows(SIZE))[0][0])}.")


@check("transactions", needs=database)
async def transactions(setup: SetUp) -> Verdict:
    """Checks the oldest visible transaction: of this role, or of all with pg_read_all_stats."""
    oldest = next(iter(await setup.db.rows(OLDEST_TRANSACTION)), None)
    if oldest is None or oldest.age < LONG_TRANSACTION:
        return ok(f"None has been open for {in_largest_unit(LONG_TRANSACTION)}.")
    return warning(
        f"One has been open for {in_largest_unit(oldest.age)}: process {oldest.pid}, "
        f"role {oldest.role}.",
        f"Migrations wait for it. SELECT pg_terminate_backend({oldest.pid}) ends it.",
    )


@check("replication slots", needs=primary)
async def replication_slots(setup: SetUp) -> Verdict:
    found = await setup.db.rows(SLOT)
    if not found:
        return ok("There are none.")
    [slot] = found
    if slot.wal_status == "lost":
        return warning(
            f"The WAL that the slot {slot.name} needs has been removed.",
            "Rebuild its replica, or drop the slot: SELECT pg_drop_replication_slot(…).",
        )
    text = f"The slot {slot.name} holds back {in_bytes(slot.bytes)} of WAL."
    if slot.bytes > HELD_BACK_BYTES:
        return warning(text, "If its replica is gone, drop the slot before the disk is full.")
    return ok(text)


@check("jobs", needs=migrations)
async def jobs(setup: SetUp) -> Verdict:
    [row] = await setup.db.rows(JOBS)
    if row.failed:
        return warning(
            f"{row.failed} failed, {row.waiting} waiting.", "`portico jobs` shows which and why."
        )
    if row.oldest and row.oldest > LATE:
        return warning(
            f"{row.waiting} waiting, the oldest for {in_largest_unit(row.oldest)}.",
            "Is a `portico worker` running, or a server with JOBS_WORKER=true?",
        )
    return ok(f"{row.waiting} waiting, none failed.")


def _place(host: Host) -> str:
    if host.is_socket:
        return host.address
    return f"[{host.name}]:{host.port}" if ":" in host.name else f"{host.name}:{host.port}"
