"""Connections: their host, password and settings, with and without a pooler."""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import literal_column, make_url, select, text

from app.database.database import (
    NO_SESSION_STATE,
    NO_SESSION_STATE_WITH_REFUSED_SETTINGS,
    Database,
    Query,
    connect,
)
from app.database.libpq.database_url import read_database_url
from app.database.libpq.password_file import find_password
from app.errors import NotConnected, Unavailable
from app.jobs.services.worker import Worker
from app.main import create_app
from app.testing.clients import ME, REGISTER, SIGNED_IN, Api, Person
from app.testing.databases import on_server
from app.testing.outbox import Outbox
from app.testing.settings import settings_for
from tests.support.pooler import refusing_pooler
from tests.support.postgres import Postgres, postgres, streaming_replica
from tests.support.servers import free_port, portico

SECRET = "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"
ADA = Person("ada@example.com", "difference engine 1")
VERIFY = f"""
mutation Verify($input: VerifyEmailInput!) {{ verifyEmail(input: $input) {{ {SIGNED_IN} }} }}
"""
IS_STANDBY = text("SELECT pg_is_in_recovery()")
SETTINGS = text(
    "SELECT name, setting FROM pg_settings WHERE name IN "
    "('statement_timeout', 'idle_in_transaction_session_timeout', 'jit', 'TimeZone',"
    " 'application_name', 'search_path')"
)
# Transactions around reads are read-only.
READ_ONLY = Query(select(literal_column("current_setting('transaction_read_only')")))


@pytest.fixture(scope="module")
def primary() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="module")
def standby(primary: Postgres) -> Iterator[Postgres]:
    with streaming_replica(primary) as server:
        yield server


def uri(*ports: int, **parameters: str) -> str:
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"postgresql://postgres@{hosts}/postgres?{query}"


async def is_standby(url: str) -> bool:
    database = Database(connect(url, pool_size=5), pool_size=5)
    try:
        return (await database.rows(IS_STANDBY))[0][0]
    finally:
        await database.close()


async def settings_in(database: Database) -> dict[str, str]:
    async with database.begin() as session:
        rows = (await session.execute(SETTINGS)).all()
    return {row[0]: row[1] for row in rows}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def test_the_next_host_is_used_if_one_is_down_or_silent(
    primary: Postgres, silent_port: int
) -> None:
    url = uri(free_port(), silent_port, primary.port, connect_timeout="1")
    assert await is_standby(url) is False


async def test_an_outage_of_all_hosts_names_each() -> None:
    first, second = free_port(), free_port()
    with pytest.raises(NotConnected) as outage:
        await is_standby(uri(first, second))
    cause = str(outage.value.__cause__)
    assert f"127.0.0.1:{first}: " in cause
    assert f"127.0.0.1:{second}: " in cause


@pytest.mark.parametrize(
    ("attribute", "wanted"),
    [
        ("read-write", False),
        ("primary", False),
        ("read-only", True),
        ("standby", True),
        ("prefer-standby", True),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
async def test_target_session_attrs_select_a_host(
    primary: Postgres, standby: Postgres, attribute: str, *, wanted: bool, reverse: bool
) -> None:
    ports = (standby.port, primary.port) if reverse else (primary.port, standby.port)
    assert await is_standby(uri(*ports, target_session_attrs=attribute)) is wanted


async def test_prefer_standby_uses_the_primary_without_a_standby(primary: Postgres) -> None:
    url = uri(free_port(), primary.port, target_session_attrs="prefer-standby")
    assert await is_standby(url) is False


async def test_no_host_with_the_attribute_is_an_outage(primary: Postgres) -> None:
    with pytest.raises(Unavailable):
        await is_standby(uri(primary.port, target_session_attrs="standby"))


async def test_hosts_in_random_order_are_all_tried(primary: Postgres) -> None:
    url = uri(free_port(), primary.port, load_balance_hosts="random")
    assert [await is_standby(url) for _ in range(5)] == [False] * 5


async def test_required_tls_never_falls_back_to_plain_text(primary: Postgres) -> None:
    with pytest.raises(Unavailable):
        await is_standby(uri(primary.port, sslmode="require"))
    assert await is_standby(uri(primary.port, sslmode="prefer")) is False
    assert await is_standby(uri(primary.port, sslmode="allow")) is False


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"sslmode": "verify-full", "sslrootcert": "/none"}, "sslrootcert: /none cannot be used"),
        ({"sslmode": "verify-ca", "sslrootcert": "{file}"}, "sslrootcert: {file} cannot be used"),
        ({"sslcert": "/none"}, "sslcert or sslkey: /none cannot be used: No such file"),
        ({"sslmode": "require", "sslcrl": "/none"}, "sslcrl: /none cannot be used"),
        ({"sslmode": "verify-full"}, "sslmode=verify-full needs sslrootcert"),
    ],
)
def test_an_unusable_file_is_reported_before_a_connection_is_opened(
    tmp_path: Path, parameters: dict[str, str], error: str
) -> None:
    file = tmp_path / "empty"
    file.touch()
    formatted = {name: value.format(file=file) for name, value in parameters.items()}
    result = portico(
        "db", "upgrade", cwd=tmp_path, DATABASE_URL=uri(1, **formatted), SECRET_KEY=SECRET,
        HOME=str(tmp_path),
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"portico: {error.format(file=file)}")
    assert len(result.stderr.splitlines()) == 1


async def test_settings_apply_from_the_start_of_a_connection(migrated_url: str) -> None:
    options = "-c search_path=pg_catalog -c statement_timeout=1"
    url = make_url(migrated_url).update_query_dict({"options": options})
    rendered = url.render_as_string(hide_password=False).replace("+", "%20")
    database = Database(connect(rendered, pool_size=5, timeout_seconds=7), pool_size=5)
    assert await settings_in(database) == {
        "application_name": "portico",
        "idle_in_transaction_session_timeout": "7000",
        "jit": "off",
        "search_path": "pg_catalog",
        "statement_timeout": "7000",
        "TimeZone": "UTC",
    }
    # A read is one statement and no transaction.
    assert [tuple(row) for row in await database.fetch(READ_ONLY)] == [("off",)]
    await database.close()


@pytest.fixture
async def pooled_url(migrated_url: str) -> AsyncIterator[str]:
    url = read_database_url(migrated_url, os.environ)
    async with refusing_pooler(url.hosts[0]) as port:
        login = f"{url.user}:{url.password}" if url.password else url.user
        yield f"postgresql://{login}@127.0.0.1:{port}/{url.database}"


async def test_behind_a_pooler_that_refuses_settings_each_transaction_sets_them(
    pooled_url: str,
) -> None:
    url = f"{pooled_url}?options=-c%20search_path%3Dpg_catalog,%5C%20public"
    database = Database(connect(url, pool_size=5, timeout_seconds=7), pool_size=5)
    assert await settings_in(database) == {
        "application_name": "portico",
        "idle_in_transaction_session_timeout": "7000",
        "jit": "on",
        "search_path": "pg_catalog, public",
        "statement_timeout": "7000",
        "TimeZone": "UTC",
    }
    assert [tuple(row) for row in await database.fetch(READ_ONLY)] == [("on",)]
    assert await outside_of_transactions(database) == ("0", "0")
    await database.close()


async def outside_of_transactions(database: Database) -> tuple[str, str]:
    """Returns the timeouts that the next client of the server connection would have."""
    async with database.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert driver is not None
        return (
            await driver.fetchval("SHOW statement_timeout"),
            await driver.fetchval("SHOW idle_in_transaction_session_timeout"),
        )


async def test_settings_end_with_their_transaction_even_if_it_fails(pooled_url: str) -> None:
    database = Database(connect(pooled_url, pool_size=5, timeout_seconds=0.5), pool_size=5)
    with pytest.raises(Unavailable):
        await database.rows(text("SELECT pg_sleep(5)"))
    assert await outside_of_transactions(database) == ("0", "0")
    await database.close()


async def test_the_api_and_its_jobs_run_through_a_pooler_that_refuses_settings(
    api: Api, pooled_url: str, outbox: Outbox
) -> None:
    settings = settings_for(pooled_url, email_verification="required")
    app = create_app(settings, mailer=outbox)
    async with app.router.lifespan_context(app), Api.of(app) as guest:
        answer = await guest(REGISTER, input=ADA.registration)
        await app.state.portico.services[Worker].drain()
        verified = await guest(VERIFY, input={"token": outbox.token_for(ADA.email)})
        ada = guest.with_tokens(verified["verifyEmail"])
        assert answer["register"]["__typename"] == "VerificationSent"
        assert await ada(ME) == {"me": {"email": ADA.email}}
    # `api` has a direct connection, and requires no verification.
    assert await (await api.login(ADA))(ME) == {"me": {"email": ADA.email}}


async def test_an_import_through_a_pooler_is_refused_and_changes_nothing(
    api: Api, pooled_url: str, tmp_path: Path, db: Database
) -> None:
    (tmp_path / "people.ndjson").write_text('{"email": "eve@example.com"}\n')
    result = await asyncio.to_thread(
        portico,
        *("users", "import", "people.ndjson"),
        cwd=tmp_path,
        DATABASE_URL=pooled_url,
        SECRET_KEY=SECRET,
    )
    assert (result.returncode, result.stdout) == (1, "")
    names = "statement_timeout, idle_in_transaction_session_timeout, jit"
    assert (
        result.stderr.splitlines()[-1]
        == f"portico: {NO_SESSION_STATE_WITH_REFUSED_SETTINGS.format(names=names)}"
    )
    assert await db.rows(text("SELECT count(*) FROM users")) == [(0,)]
    assert api.errors == []


async def test_an_import_with_a_configured_pooler_names_the_setting_to_unset(
    api: Api, migrated_url: str, tmp_path: Path, db: Database
) -> None:
    (tmp_path / "people.ndjson").write_text('{"email": "eve@example.com"}\n')
    result = await asyncio.to_thread(
        portico,
        *("users", "import", "people.ndjson"),
        cwd=tmp_path,
        DATABASE_URL=migrated_url,
        DATABASE_PREPARED_STATEMENTS="false",
        SECRET_KEY=SECRET,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == f"portico: {NO_SESSION_STATE}"
    assert await db.rows(text("SELECT count(*) FROM users")) == [(0,)]
    assert api.errors == []


async def test_an_upgrade_through_a_pooler_does_the_same_as_a_direct_one(
    empty_url: str, tmp_path: Path
) -> None:
    url = read_database_url(empty_url, os.environ)
    login = f"{url.user}:{url.password}" if url.password else url.user
    async with refusing_pooler(url.hosts[0]) as port:
        pooled = f"postgresql://{login}@127.0.0.1:{port}/{url.database}"
        results = [
            await asyncio.to_thread(
                portico, "db", "upgrade", cwd=tmp_path, DATABASE_URL=url_used, SECRET_KEY=SECRET
            )
            for url_used in (pooled, empty_url)
        ]
    assert [result.returncode for result in results] == [0, 0]
    assert results[0].stdout == results[1].stdout
    assert results[0].stdout.startswith("The database is at revision ")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
@pytest.mark.parametrize("command", [("db", "upgrade"), ("serve", "--port", "{port}")])
async def test_a_database_that_is_not_utf_8_is_refused_in_one_line(
    server_url: str, tmp_path: Path, encoding: str, command: tuple[str, ...]
) -> None:
    name = f"portico_test_{uuid.uuid4().hex[:12]}"
    how = f"TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    await on_server(server_url, f'CREATE DATABASE "{name}" {how}')
    url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
    words = [word.format(port=free_port()) for word in command]
    result = await asyncio.to_thread(
        portico, *words, cwd=tmp_path, DATABASE_URL=url, SECRET_KEY=SECRET
    )
    await on_server(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"portico: The database {name} has the encoding {encoding}, and Portico needs UTF8: make"
        " one with `createdb -T template0 -E UTF8 …`.\n"
    )


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("h:5432:d:u:plain", "plain"),
        ("*:*:*:*:any", "any"),
        (r"h:5432:d:u:a\:b\\c", r"a:b\c"),
        ("h:5432:d:u:until:here", "until"),
        ("other:5432:d:u:no\nh:5432:d:u:second", "second"),
        ("# h:5432:d:u:no", None),
        ("h:5433:d:u:no", None),
        ("h:5432:d", None),
        ("", None),
    ],
)
def test_a_password_file_is_read_as_libpq_reads_it(
    tmp_path: Path, line: str, found: str | None
) -> None:
    file = tmp_path / "passwords"
    file.write_text(f"{line}\n")
    file.chmod(0o600)
    assert find_password(file, "h", 5432, "d", "u") == found


def test_a_password_file_that_others_may_read_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "passwords"
    file.write_text("*:*:*:*:any\n")
    file.chmod(0o640)
    assert find_password(file, "h", 5432, "d", "u") is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_without_a_password_file_there_is_no_password(tmp_path: Path) -> None:
    assert find_password(tmp_path / "none", "h", 5432, "d", "u") is None
