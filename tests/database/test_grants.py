"""`portico db grant`: the rights of the role that serves, and roles with more rights."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.audit.models import ERASABLE_COLUMNS, AuditEvent
from app.database import grants, migrations
from app.database.database import connect
from app.database.errors import server_message
from app.database.grants import AUDIT_PREFIX, QUEUE_PREFIX
from app.database.migration_table import TABLE
from app.errors import Misconfigured
from app.testing.databases import on_server
from tests.database.test_migration_table import found
from tests.database.test_schemas_and_roles import SECRET, command, granted, live
from tests.support.own_tables import OWN_TABLES
from tests.support.roles import TO_SERVE, Role, role
from tests.support.servers import portico, serving

# Commands are processes, which take seconds each to start.
pytestmark = pytest.mark.timeout(180)
COUNTS = "SELECT (SELECT count(*) FROM audit_events), (SELECT count(*) FROM audit_checkpoints)"
ALL_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)
# Between two statements of which the first one prepares the second.
SEPARATOR = ";\n"
EVENT = (
    "INSERT INTO audit_events (id, at, name, details)"
    " VALUES (gen_random_uuid(), {at}, 'session.started', '{{}}')"
)
HAS_PRIVILEGE = "SELECT has_table_privilege('{role}', '{table}', '{privilege}')"
REPLACED = (
    "CREATE OR REPLACE FUNCTION keep_audit_event() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN RETURN OLD; END'"
)
# Ways to bypass a trigger that need more than a privilege on a table.
BYPASSES = (
    "ALTER TABLE audit_events DISABLE TRIGGER keep",
    "DROP TRIGGER keep ON audit_events",
    REPLACED,
    "DROP TABLE audit_events CASCADE",
    "CREATE RULE silent AS ON INSERT TO audit_events DO INSTEAD NOTHING",
    "ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE audit_events OWNER TO CURRENT_USER",
)
REPLICA = "SET session_replication_role = replica"
SCHEMA_OF_ROLE = ("CREATE SCHEMA {role} AUTHORIZATION {role}",)
FORBIDDEN = (
    *(
        f"UPDATE audit_events SET {column.name} = {column.name}"  # noqa: S608 - names of ours
        for column in AuditEvent.__table__.columns
        if column.name not in ERASABLE_COLUMNS
    ),
    "DELETE FROM audit_events",
    (
        "INSERT INTO audit_events (id, at, name, details, chain, position)"
        " VALUES (gen_random_uuid(), now(), 'session.started', '{}', 'x', 1)"
    ),
    "INSERT INTO audit_chains VALUES ('2020-01-01/0', 1, '', 1, 1)",
    "UPDATE audit_chains SET position = position - 1",
    "UPDATE audit_chains SET hash = sha256('x')",
    "UPDATE audit_chains SET trimmed_position = position",
    "DELETE FROM audit_chains",
    "UPDATE audit_checkpoints SET at = now()",
    "DELETE FROM audit_checkpoints",
    "UPDATE audit_verifications SET valid = true",
    "DELETE FROM audit_verifications",
    f"UPDATE {TABLE} SET version_num = '0001'",  # noqa: S608 - a name of ours
    *(f"TRUNCATE {table} CASCADE" for table in OWN_TABLES if table.startswith(AUDIT_PREFIX)),
    *BYPASSES,
    REPLICA,
    # It runs with the privileges of the owner, and must not become a trigger of another table.
    (
        f"CREATE TEMP TABLE mine (LIKE public.audit_events){SEPARATOR}"
        "CREATE TRIGGER moved BEFORE INSERT ON mine FOR EACH ROW"
        " EXECUTE FUNCTION public.append_audit_event()"
    ),
)


async def answers(url: str, statements: Iterable[str]) -> dict[str, str | None]:
    """Run each statement and roll it back; returns why it is refused, or None."""
    refusals: dict[str, str | None] = {}
    engine = connect(url, pool_size=1).engine
    try:
        async with engine.connect() as connection:
            for statement in statements:
                one = await connection.begin_nested()
                refusals[statement] = None
                try:
                    for part in statement.split(SEPARATOR):
                        await connection.execute(text(part))
                except DBAPIError as error:
                    refusals[statement] = server_message(error)
                await one.rollback()
    finally:
        await engine.dispose()
    return refusals


TAKEN_OVER = "LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''taken over''; END'"
# Functions that PostgreSQL prefers to its own for arguments of other types.
OVERLOADED_FUNCTIONS = (
    f"CREATE FUNCTION public.convert_to(text, text) RETURNS bytea {TAKEN_OVER}",
    f"CREATE FUNCTION public.joined(integer, text) RETURNS text {TAKEN_OVER}",
    f"CREATE FUNCTION public.joined(text, integer) RETURNS text {TAKEN_OVER}",
    f"CREATE FUNCTION public.multiplied(numeric, integer) RETURNS numeric {TAKEN_OVER}",
    f"CREATE FUNCTION public.audit_part(uuid) RETURNS text {TAKEN_OVER}",
    f"CREATE FUNCTION public.audit_part(varchar) RETURNS text {TAKEN_OVER}",
    "CREATE OPERATOR public.|| (FUNCTION = public.joined, LEFTARG = integer, RIGHTARG = text)",
    "CREATE OPERATOR public.|| (FUNCTION = public.joined, LEFTARG = text, RIGHTARG = integer)",
    (
        "CREATE OPERATOR public.*"
        " (FUNCTION = public.multiplied, LEFTARG = numeric, RIGHTARG = integer)"
    ),
)


async def may(url: str, statement: str) -> bool:
    return (await answers(url, [statement]))[statement] is None


async def not_refused(url: str) -> dict[str, str | None]:
    """Returns the forbidden statements that are not refused for lack of a privilege."""
    return {
        statement: why
        for statement, why in (await answers(url, FORBIDDEN)).items()
        if "(42501)" not in (why or "")
    }


async def refusal(url: str, *roles: str) -> str:
    """Returns why these roles cannot be granted anything."""
    with pytest.raises(Misconfigured) as refused:
        await grants.grant(url, roles, retention=False)
    return str(refused.value)


@pytest.fixture
async def migrated(empty_url: str) -> str:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    return empty_url


@pytest.fixture
async def server(migrated: str, tmp_path: Path) -> AsyncIterator[Role]:
    """A role that serves with `portico db grant` alone, and has served."""
    async with role(migrated) as made:
        await granted(made, tmp_path)
        await live(made.url)
        yield made


async def test_the_role_that_serves_can_neither_change_nor_remove_an_event(
    server: Role, tmp_path: Path
) -> None:
    before = await found(server.admin_url, COUNTS)

    assert await not_refused(server.url) == {}

    assert await found(server.admin_url, COUNTS) == before
    verified = await asyncio.to_thread(command, server.url, tmp_path, "audit", "verify")
    assert verified.endswith("valid.\n")


async def test_the_owner_bypasses_triggers_and_a_superuser_disables_them_all(
    empty_url: str,
) -> None:
    async with role(empty_url, SCHEMA_OF_ROLE) as owner:
        await asyncio.to_thread(migrations.upgrade, owner.url)

        by_owner = await answers(owner.url, (*BYPASSES, REPLICA))
        search_path = f"SET search_path = {owner.name}{SEPARATOR}"
        by_superuser = await answers(
            empty_url, (search_path + each for each in (*BYPASSES, REPLICA))
        )

    assert by_owner == dict.fromkeys(BYPASSES) | {
        REPLICA: 'permission denied to set parameter "session_replication_role" (42501)'
    }
    assert set(by_superuser.values()) == {None}


async def test_every_table_is_granted_to_the_role_that_serves(server: Role) -> None:
    tables = {row[0] for row in await found(server.admin_url, ALL_TABLES)}
    read = {
        table
        for table in tables
        if (
            await found(
                server.admin_url,
                HAS_PRIVILEGE.format(role=server.name, table=table, privilege="SELECT"),
            )
        )[0][0]
    }

    assert read == tables
    assert {each for each in tables if not each.startswith(QUEUE_PREFIX)} == {
        *OWN_TABLES,
        TABLE,
    }


async def test_a_role_with_more_privileges_keeps_those_that_serving_needs(
    migrated: str, tmp_path: Path
) -> None:
    async with role(migrated) as made:
        await made.administer(*TO_SERVE, "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")

        await granted(made, tmp_path)

        await live(made.url)
        assert await not_refused(made.url) == {}


async def test_roles_are_granted_by_the_upgrade_and_renewed_by_the_next(
    migrated: str, tmp_path: Path
) -> None:
    async with role(migrated) as one, role(migrated) as former, role(migrated) as reader:
        await former.administer(*TO_SERVE)
        await reader.administer("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        first = await asyncio.to_thread(
            command, migrated, tmp_path, "db", "upgrade", "--grant", one.name
        )
        for each in (one, former):
            await each.administer(
                "REVOKE ALL ON sessions FROM {role}", "GRANT TRUNCATE ON audit_events TO {role}"
            )

        second = await asyncio.to_thread(command, migrated, tmp_path, "db", "upgrade")

        assert f"{one.name} can serve.\n" in first
        assert "Warning" not in second
        await live(one.url)
        for each in (one, former):
            assert await may(each.url, "SELECT 1 FROM sessions")
            assert not await may(each.url, "TRUNCATE audit_events")
        # It could remove events, and a server with AUDIT_KEEP_DAYS may do so.
        assert await may(former.url, "DELETE FROM audit_events WHERE false")
        assert not await may(one.url, "DELETE FROM audit_events WHERE false")
        assert not await may(reader.url, "INSERT INTO users DEFAULT VALUES")


async def test_retention_is_a_separate_privilege(migrated: str, tmp_path: Path) -> None:
    async with role(migrated) as made:
        await granted(made, tmp_path, "--audit-retention")
        assert await may(made.url, "DELETE FROM audit_events WHERE false")

        await granted(made, tmp_path)

        assert not await may(made.url, "DELETE FROM audit_events WHERE false")


async def test_names_are_quoted(migrated: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as gone, role(migrated) as made:
        odd_name = f'{made.name} "Ünïque"; --'
        await made.administer(f"ALTER ROLE {{role}} RENAME TO {quote(odd_name)}")
        gone.push_async_callback(
            made.administer, f"ALTER ROLE {quote(odd_name)} RENAME TO {{role}}"
        )
        printed = await asyncio.to_thread(command, migrated, tmp_path, "db", "grant", odd_name)
        await made.administer(f"ALTER ROLE {quote(odd_name)} RENAME TO {{role}}")
        gone.pop_all()

        assert printed == f"{odd_name} can serve.\n"
        assert await may(made.url, "SELECT 1 FROM sessions")


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


async def test_roles_that_must_not_serve_are_refused(migrated: str) -> None:
    async with role(migrated) as owner, role(migrated) as member, role(migrated) as other:
        await member.administer(f"GRANT {owner.name} TO {{role}}")
        await other.administer("ALTER ROLE {role} SUPERUSER")
        superuser = await refusal(migrated, other.name)
        await other.administer("ALTER ROLE {role} NOSUPERUSER")
        unknown = await refusal(migrated, other.name, "no such role")
        public = await refusal(migrated, "public")
        for table in OWN_TABLES:
            await owner.administer(f"ALTER TABLE {table} OWNER TO {{role}}")

        assert superuser == (
            f"The role {other.name} is a superuser, which no grant limits: use another role."
        )
        assert unknown == (
            'The role no such role does not exist. Create it: CREATE ROLE "no such role"'
        )
        assert public == 'The role public does not exist. Create it: CREATE ROLE "public"'
        assert await refusal(migrated, owner.name) == (
            f"The role {owner.name} owns the tables: use another role."
        )
        assert await refusal(migrated, member.name) == (
            f"The role {member.name} is a member of {owner.name}, which owns the tables. "
            f'Remove it first: REVOKE "{owner.name}" FROM "{member.name}"'
        )
        assert await refusal(other.url, member.name) == (
            f"The role {other.name} does not own the tables: run this as {owner.name}."
        )
        assert not await may(other.url, "SELECT 1 FROM users")


async def test_privileges_from_another_role_are_named(migrated: str, tmp_path: Path) -> None:
    async with role(migrated) as group, role(migrated) as made:
        await group.administer("GRANT UPDATE, DELETE ON audit_events TO {role}")
        await made.administer(f"GRANT {group.name} TO {{role}}")

        done = await asyncio.to_thread(
            portico,
            "db",
            "grant",
            made.name,
            cwd=tmp_path,
            DATABASE_URL=migrated,
            SECRET_KEY=SECRET,
        )

        assert (done.returncode, done.stdout) == (1, f"{made.name} can serve.\n")
        assert done.stderr == (
            f"portico: The role {made.name} may DELETE on audit_events, may UPDATE on "
            "audit_events, which `portico db grant` cannot revoke.\n"
        )
        assert await may(made.url, "SELECT 1 FROM sessions")


async def warnings(
    url: str, cwd: Path, naming: str = "`portico db grant", **environment: str
) -> list[str]:
    """Returns the warnings of a starting server about its role."""

    def start() -> str:
        cwd.mkdir()
        with serving(
            cwd, DATABASE_URL=url, SECRET_KEY=SECRET, PUBLIC_URL="http://127.0.0.1", **environment
        ) as server:
            return server.output

    lines = (await asyncio.to_thread(start)).splitlines()
    return [line for line in lines if line.startswith("Warning") and naming in line]


async def test_a_server_whose_role_can_change_the_audit_says_so(
    server: Role, tmp_path: Path
) -> None:
    own = (await found(server.admin_url, "SELECT current_user"))[0][0]

    (of_superuser,) = await warnings(server.admin_url, tmp_path / "superuser")
    (of_retention,) = await warnings(server.url, tmp_path / "retention", AUDIT_KEEP_DAYS="30")

    assert of_superuser == (
        f"Warning   The role {own} is a superuser: an attacker who controls this server can change "
        "the audit. As the owner of the tables, run "
        "`portico db grant ROLE`, and serve as that role."
    )
    assert of_retention == (
        "Warning   AUDIT_KEEP_DAYS is set, but this role may not remove events. The owner of the "
        "tables has to run `portico db grant ROLE --audit-retention`."
    )
    assert await warnings(server.url, tmp_path / "granted") == []


async def test_functions_that_others_create_in_the_schema_are_never_called(
    server: Role, tmp_path: Path
) -> None:
    await server.administer("GRANT CREATE ON SCHEMA {schema} TO PUBLIC")
    before = await found(server.admin_url, COUNTS)
    for statement in OVERLOADED_FUNCTIONS:
        await on_server(server.url, statement)
    power = f"The role {server.name} may create functions in the schema public"
    remedy = 'Run REVOKE CREATE ON SCHEMA "public" FROM PUBLIC.'

    await on_server(server.url, EVENT.format(at="now()"))

    assert (await found(server.admin_url, COUNTS))[0][0] == before[0][0] + 1
    done = await asyncio.to_thread(
        portico, "db", "grant", server.name, cwd=tmp_path, DATABASE_URL=server.admin_url
    )
    assert (done.returncode, done.stderr) == (
        1,
        f"portico: {power}, which `portico db grant` cannot revoke. {remedy}\n",
    )
    with_role = await warnings(server.url, tmp_path / "serving", naming="REVOKE CREATE")
    assert with_role == [
        f"Warning   {power}: an attacker who controls this server can change the audit. {remedy}"
    ]


IMPOSSIBLE = ("'294000-01-01'", "'0044-03-15 BC'", "'infinity'", "'-infinity'")
CHECKPOINT = (
    "INSERT INTO audit_checkpoints (number, at, previous_hash, heads, sealed_public_key, signature)"
    " SELECT max(number) + {after}, {at}, '', '{{}}', '', '' FROM audit_checkpoints"
)
VERIFICATION = (
    "INSERT INTO audit_verifications (id, at, valid, events, checkpoints, latest_event_at,"
    " mac) VALUES (gen_random_uuid(), {at}, true, 0, 0, {latest}, '')"
)


async def test_times_out_of_range_are_refused(server: Role) -> None:
    before = await found(server.admin_url, COUNTS)
    statements = [
        statement
        for at in IMPOSSIBLE
        for statement in (
            EVENT.format(at=at),
            CHECKPOINT.format(at=at, after=1),
            VERIFICATION.format(at=at, latest="NULL"),
            VERIFICATION.format(at="now()", latest=at),
        )
    ]

    codes = [(why or "")[-7:] for why in (await answers(server.url, statements)).values()]

    assert codes == ["(22008)", "(22008)", "(23514)", "(23514)"] * len(IMPOSSIBLE)
    assert await found(server.admin_url, COUNTS) == before


async def test_a_checkpoint_that_does_not_follow_the_last_one_is_refused(server: Role) -> None:
    statements = [CHECKPOINT.format(at="now()", after=after) for after in (0, 2)]

    messages = (await answers(server.url, statements)).values()

    assert list(messages) == [
        f"checkpoint {number} does not follow the last one (42501)" for number in (1, 3)
    ]


async def test_the_verification_warns_of_members_of_the_owner(server: Role, tmp_path: Path) -> None:
    async with role(server.admin_url) as owner, role(server.admin_url) as member:
        await owner.administer(*(f"ALTER TABLE {table} OWNER TO {{role}}" for table in OWN_TABLES))
        await member.administer(f"GRANT {owner.name} TO {{role}}", "ALTER ROLE {role} NOINHERIT")

        printed = await asyncio.to_thread(
            portico,
            "audit",
            "verify",
            cwd=tmp_path,
            DATABASE_URL=server.admin_url,
            SECRET_KEY=SECRET,
        )

        lines = [line for line in printed.stdout.splitlines() if line.startswith("Warning")]
        assert lines == [
            (
                f"Warning   The role {member.name} can become {owner.name}, which owns the tables. "
                f'To revoke it: REVOKE "{owner.name}" FROM "{member.name}".'
            )
        ]


async def test_the_verification_warns_of_members_of_a_role_that_serves(
    server: Role, tmp_path: Path
) -> None:
    async with role(server.admin_url) as member:
        await member.administer(
            f"GRANT {server.name} TO {{role}}", "GRANT TRUNCATE ON audit_events TO {role}"
        )

        printed = await asyncio.to_thread(command, server.admin_url, tmp_path, "audit", "verify")

        assert printed.splitlines()[0] == (
            f"Warning   The role {member.name} may TRUNCATE on audit_events. "
            f"`portico db grant {member.name}` revokes the rights that it was given."
        )


async def test_predefined_roles_of_postgresql_are_refused(migrated: str) -> None:
    assert await refusal(migrated, "pg_read_all_data") == (
        "The role pg_read_all_data is predefined by PostgreSQL and may have members that do not "
        "serve: use a role of your own."
    )
    assert await found(
        migrated,
        HAS_PRIVILEGE.format(role="pg_read_all_data", table="audit_events", privilege="INSERT"),
    ) == [(False,)]
