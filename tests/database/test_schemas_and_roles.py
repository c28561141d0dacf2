"""Schemas other than public, roles with few rights, and servers without pg_trgm."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.audit.services.checkpoints import Checkpoints
from app.database import migrations, revisions
from app.database.after_upgrade import NO_SEARCH_INDEX, NOT_AVAILABLE
from app.database.database import connect
from app.errors import MigrationBlocked
from app.jobs.services.worker import Worker
from app.main import create_app
from app.testing.clients import ME, Api, Person
from app.testing.databases import on_server
from app.testing.outbox import Outbox
from app.testing.settings import settings_for
from tests.database.test_migration_table import OURS, found
from tests.support.periodic import tidy
from tests.support.roles import TO_SERVE, Role, role
from tests.support.servers import free_port, portico

SECRET = "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"
ADA = Person("ada@example.com", "difference engine 1")
OWN_SCHEMA = (
    'CREATE SCHEMA "my people" AUTHORIZATION {role}',
    'ALTER ROLE {role} SET search_path = "my people"',
)
IN_PUBLIC = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
AVAILABLE = "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'"
INDEX = "SELECT pg_get_indexdef('ix_users_search'::regclass)"
EVENTS = "SELECT count(*) FROM audit_events"
# Shadows the table in which the trigger looks up how far a chain has been trimmed.
SHADOW = (
    (
        "CREATE TEMP TABLE audit_chains AS"
        " SELECT chain, 9223372036854775807 AS trimmed_position FROM public.audit_chains"
    ),
    "DELETE FROM public.audit_events",
)
CHANGE = (
    "mutation($input: RequestEmailChangeInput!) {"
    " requestEmailChange(input: $input) { __typename } }"
)
# To the new address, and to the former one.
MESSAGES = 2
EXTENSIONS = (
    "CREATE SCHEMA extensions",
    "CREATE EXTENSION pg_trgm SCHEMA extensions",
)


def command(url: str, cwd: Path, *arguments: str) -> str:
    """Returns the output of a command that succeeds."""
    done = portico(*arguments, cwd=cwd, DATABASE_URL=url, SECRET_KEY=SECRET)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def granted(server: Role, cwd: Path, *arguments: str) -> str:
    """Grant a role the rights for serving; returns the output of `portico db grant`."""
    return await asyncio.to_thread(
        command, server.admin_url, cwd, "db", "grant", server.name, *arguments
    )


async def live(url: str) -> None:
    """Register, sign in, change an address, and run jobs and periodic tasks."""
    outbox = Outbox()
    app = create_app(settings_for(url), mailer=outbox)
    async with app.router.lifespan_context(app), Api.of(app) as api:
        await api.register(ADA)
        ada = await api.login(ADA)
        assert await ada(ME) == {"me": {"email": ADA.email}}
        changed = await ada(CHANGE, input={"newEmail": "ada@example.org", "password": ADA.password})
        assert changed == {"requestEmailChange": {"__typename": "RequestAccepted"}}
        await app.state.portico.services[Worker].drain()
        assert len(outbox.messages) == MESSAGES
        await app.state.portico.services[Checkpoints].sign()
        await tidy(app.state.portico)
        assert (await api.http.get("/health/ready")).json() == {"status": "ready"}


@pytest.fixture
async def with_trigrams(empty_url: str) -> str:
    """A database on a server that has the extension, though not in the database."""
    if not await found(empty_url, AVAILABLE):
        pytest.skip("the server has no pg_trgm")
    return empty_url


async def test_everything_is_in_the_schema_of_the_role(empty_url: str, tmp_path: Path) -> None:
    before = await found(empty_url, IN_PUBLIC)
    async with role(empty_url, OWN_SCHEMA) as owner:
        printed = await asyncio.to_thread(command, owner.url, tmp_path, "db", "upgrade")
        await live(owner.url)
        verified = await asyncio.to_thread(command, owner.url, tmp_path, "audit", "verify")

        assert printed.startswith(f"The database is at revision {revisions.head()}, the newest.\n")
        assert verified.endswith("valid.\n")
        assert await found(owner.url, OURS) == [(revisions.head(),)]
        assert await found(empty_url, IN_PUBLIC) == before


async def test_a_role_that_owns_nothing_serves_with_grants_alone(
    empty_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    async with role(empty_url) as server:
        assert await granted(server, tmp_path) == f"{server.name} can serve.\n"

        await live(server.url)


async def test_a_role_that_owns_nothing_imports_users(empty_url: str, tmp_path: Path) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    (tmp_path / "people.jsonl").write_text('{"email": "eve@example.com"}\n')
    async with role(empty_url) as server:
        await granted(server, tmp_path)

        printed = await asyncio.to_thread(
            command, server.url, tmp_path, "users", "import", "people.jsonl"
        )

    assert printed == "1 user added, 0 existed already, 0 lines skipped.\n"


@pytest.mark.parametrize(
    "arguments",
    [("keys", "rotate"), ("jobs",), ("users", "export", "-"), ("audit", "verify")],
    ids=" ".join,
)
async def test_a_role_that_owns_nothing_runs_commands(
    empty_url: str, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    async with role(empty_url) as server:
        await granted(server, tmp_path)

        await asyncio.to_thread(command, server.url, tmp_path, *arguments)


async def test_an_upgrade_that_has_nothing_to_do_needs_no_privileges(
    empty_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    async with role(empty_url) as server:
        await granted(server, tmp_path)

        await asyncio.to_thread(command, server.url, tmp_path, "db", "upgrade")


async def test_a_temporary_table_does_not_allow_deleting_events(
    empty_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    async with role(empty_url) as server:
        await server.administer(*TO_SERVE)
        await live(server.url)
        before = await found(empty_url, EVENTS)

        with pytest.raises(DBAPIError, match="what happened stays"):
            await in_one_transaction(server, *SHADOW)

        assert await found(empty_url, EVENTS) == before
        await asyncio.to_thread(command, server.url, tmp_path, "audit", "verify")


async def in_one_transaction(by: Role, *statements: str) -> None:
    engine = connect(by.url, pool_size=1).engine
    try:
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))
    finally:
        await engine.dispose()


async def test_tables_are_not_created_again_in_a_schema_that_hides_them(
    empty_url: str,
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    async with role(empty_url, ("CREATE SCHEMA {role} AUTHORIZATION {role}",)) as owner:
        await owner.administer(*TO_SERVE)

        with pytest.raises(
            MigrationBlocked, match=f'are in the schema "public", .* in "{owner.name}"'
        ):
            await asyncio.to_thread(migrations.upgrade, owner.url)

        hidden = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        assert await found(owner.url, hidden) == []


async def test_a_server_whose_search_path_lacks_the_tables_reports_where_they_are(
    empty_url: str, tmp_path: Path
) -> None:
    async with role(empty_url, OWN_SCHEMA) as owner, role(empty_url) as server:
        await asyncio.to_thread(migrations.upgrade, owner.url)
        await server.administer(*TO_SERVE, schema='"my people"')

        refused = await asyncio.to_thread(
            portico, "jobs", cwd=tmp_path, DATABASE_URL=server.url, SECRET_KEY=SECRET
        )

    assert refused.returncode == 1
    assert refused.stderr == (
        'portico: The tables of Portico are in the schema "my people", which is not on the '
        'search_path of this role. Set it: ALTER ROLE … SET search_path = "my people"\n'
    )


@pytest.mark.parametrize("hidden", ["users", "sessions"])
@pytest.mark.parametrize(
    "arguments",
    [("serve", "--port", "{port}"), ("worker",), ("jobs",), ("users", "export", "-")],
    ids=lambda arguments: arguments[0],
)
async def test_a_foreign_table_that_hides_one_of_portico_is_reported(
    empty_url: str, tmp_path: Path, arguments: tuple[str, ...], hidden: str
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    hiding = ("CREATE SCHEMA {role} AUTHORIZATION {role}",)
    async with role(empty_url, hiding) as server:
        await server.administer(*TO_SERVE)
        await server.administer(f"CREATE TABLE {{role}}.{hidden} (id int)")
        words = [word.format(port=free_port()) for word in arguments]

        refused = await asyncio.to_thread(
            portico,
            *words,
            cwd=tmp_path,
            DATABASE_URL=server.url,
            SECRET_KEY=SECRET,
            PUBLIC_URL="https://id.example.com",
        )

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"portico: Another table named {hidden}, in the schema {server.name}, comes before the one "
        "of Portico, in public, on the search_path of this role. Set it: ALTER ROLE … SET "
        "search_path = public\n"
    )


async def test_an_upgrade_without_pg_trgm_warns_of_slower_searches(
    empty_url: str, tmp_path: Path
) -> None:
    if await found(empty_url, AVAILABLE):
        pytest.skip("the server has pg_trgm")

    printed = await asyncio.to_thread(command, empty_url, tmp_path, "db", "upgrade")

    assert printed == (
        f"The database is at revision {revisions.head()}, the newest.\n"
        f"{NO_SEARCH_INDEX.format(reason=NOT_AVAILABLE)}\n"
    )


async def test_the_extension_may_be_in_a_schema_that_is_not_on_the_search_path(
    with_trigrams: str,
) -> None:
    async with role(with_trigrams, (*OWN_SCHEMA, *EXTENSIONS)) as owner:
        await owner.administer("GRANT USAGE ON SCHEMA extensions TO {role}")

        upgraded = await asyncio.to_thread(migrations.upgrade, owner.url)
        await live(owner.url)

        assert upgraded == migrations.Upgraded(newest=True)
        assert "extensions.gin_trgm_ops" in (await found(owner.url, INDEX))[0][0]


async def test_the_index_is_created_by_the_next_upgrade_with_pg_trgm(with_trigrams: str) -> None:
    async with role(with_trigrams, OWN_SCHEMA) as owner:
        notes = [await note(owner)]
        await owner.administer(*EXTENSIONS)
        notes.append(await note(owner))
        await owner.administer("GRANT USAGE ON SCHEMA extensions TO {role}")
        notes.append(await note(owner))
        definition = (await found(owner.url, INDEX))[0][0]

    assert notes == [
        NO_SEARCH_INDEX.format(
            reason='PostgreSQL says: permission denied to create extension "pg_trgm" (42501). '
            "Let an administrator of the database run CREATE EXTENSION pg_trgm."
        ),
        NO_SEARCH_INDEX.format(
            reason="PostgreSQL says: permission denied for schema extensions (42501). "
            "Grant the missing privilege."
        ),
        None,
    ]
    assert "USING gin" in definition


async def note(owner: Role) -> str | None:
    return (await asyncio.to_thread(migrations.upgrade, owner.url)).note


async def test_a_role_that_may_create_extensions_creates_pg_trgm(with_trigrams: str) -> None:
    async with role(with_trigrams, OWN_SCHEMA) as owner:
        await on_server(with_trigrams, await grant_create(owner))

        assert await note(owner) is None
        assert "gin_trgm_ops" in (await found(owner.url, INDEX))[0][0]


async def grant_create(owner: Role) -> str:
    name = (await found(owner.admin_url, "SELECT quote_ident(current_database())"))[0][0]
    return f"GRANT CREATE ON DATABASE {name} TO {owner.name}"
