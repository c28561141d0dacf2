"""Errors of the database, as commands and servers report them: in one line."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.database import migrations
from app.database.readiness import DATABASE_UNUSABLE
from app.main import create_app
from app.testing.clients import Api
from app.testing.databases import on_server
from app.testing.leaks import SECRETS
from app.testing.settings import settings_for
from tests.support.certificates import self_signed
from tests.support.postgres import Postgres, postgres, streaming_replica
from tests.support.servers import free_port, portico

SECRET = "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"
PASSWORD = "battery-staple-7"
PRIVILEGES = (
    "The role in DATABASE_URL lacks a privilege. `portico db upgrade` needs USAGE and CREATE on "
    "the schema and has to own the tables; all other commands need the privileges that "
    "`portico db grant ROLE` grants."
)
ROLE_REFUSED = "The server refuses this role. Check the user in DATABASE_URL and pg_hba.conf."
NOT_WRITABLE = (
    "The server accepts no changes: it is a standby, or read-only. "
    "DATABASE_URL has to name the primary."
)
WRONG_PASSWORD = (
    "The server does not accept the user and password in DATABASE_URL. "
    'PostgreSQL says: password authentication failed for user "locked" (28P01)'
)
ROLES = (
    f"CREATE ROLE locked LOGIN PASSWORD '{PASSWORD}-other'",
    "CREATE ROLE unknown_here LOGIN",
    "CREATE ROLE without_rights LOGIN",
    "CREATE ROLE no_connections LOGIN CONNECTION LIMIT 0",
    "CREATE ROLE reader LOGIN",
    "ALTER ROLE reader SET default_transaction_read_only = on",
    "CREATE ROLE nowhere LOGIN",
    "ALTER ROLE nowhere SET search_path = missing",
)
RULES = (
    "host all locked all scram-sha-256",
    "host all unknown_here all reject",
)
COMMANDS = (
    ("db", "upgrade"),
    ("serve",),
    ("worker",),
    ("jobs",),
    ("jobs", "retry", "--all"),
    ("users", "create-admin", "--promote", "ada@example.com"),
    ("users", "export", "-"),
    ("audit", "verify"),
    ("keys", "rotate"),
)


@pytest.fixture(scope="module")
def own() -> Iterator[Postgres]:
    """A separate server, with roles that it refuses for different reasons."""
    SECRETS.add(PASSWORD)
    with postgres() as server:
        for statement in (*ROLES, "CREATE DATABASE other", "CREATE DATABASE migrated"):
            asyncio.run(on_server(server.url, statement))
        asyncio.run(on_server(url_of(server, database="other"), "CREATE TABLE users (id int)"))
        migrations.upgrade(url_of(server, database="migrated"))
        server.admit(*RULES)
        yield server


def url_of(server: Postgres, user: str = "postgres", database: str = "postgres") -> str:
    url = make_url(server.url).set(username=user, password=PASSWORD, database=database)
    return url.render_as_string(hide_password=False)


def settings_of(url: str) -> dict[str, str]:
    return {"DATABASE_URL": url, "SECRET_KEY": SECRET}


def error_line_of(tmp_path: Path, url: str, *command: str, **environment: str) -> str:
    """Returns the line that a failing command prints."""
    if command == ("serve",):
        command = ("serve", "--port", str(free_port()))
    environment = {"PUBLIC_URL": "https://id.example.com", **environment}
    result = portico(*command, cwd=tmp_path, **settings_of(url), **environment)
    assert (result.returncode, result.stdout) == (1, "")
    assert PASSWORD not in result.stderr
    assert result.stderr.startswith("portico: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("portico: ").removesuffix("\n")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_shows_the_message_of_the_database(
    own: Postgres, tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert error_line_of(tmp_path, url_of(own, "locked"), *command) == WRONG_PASSWORD


REFUSALS = {
    ("nobody", "postgres"): f'{ROLE_REFUSED} PostgreSQL says: role "nobody" does not exist (28000)',
    ("unknown_here", "postgres"): (
        f'{ROLE_REFUSED} PostgreSQL says: pg_hba.conf rejects connection for host "127.0.0.1", '
        'user "unknown_here", database "postgres", no encryption (28000)'
    ),
    ("postgres", "absent"): (
        "The database in DATABASE_URL does not exist. Create it, or correct its name. "
        'PostgreSQL says: database "absent" does not exist (3D000)'
    ),
    ("no_connections", "postgres"): (
        "The server has no connection left for this role. Lower DATABASE_POOL_SIZE or "
        "--workers, raise max_connections, or use a pooler. "
        'PostgreSQL says: too many connections for role "no_connections" (53300)'
    ),
    ("without_rights", "postgres"): (
        f"{PRIVILEGES} PostgreSQL says: permission denied for schema public (42501)"
    ),
    ("postgres", "other"): (
        "An object of this name exists that Portico did not create. Use a separate database or "
        'schema for Portico. PostgreSQL says: relation "users" already exists (42P07)'
    ),
    ("reader", "postgres"): (
        f"{NOT_WRITABLE} "
        "PostgreSQL says: cannot execute CREATE TABLE in a read-only transaction (25006)"
    ),
    ("nowhere", "postgres"): (
        "No schema on the search_path of this role exists. Create one with CREATE SCHEMA, or "
        "set another search_path. "
        "PostgreSQL says: no schema has been selected to create in (3F000)"
    ),
}
NO_DATABASE = {
    "portico@127.0.0.1:1/portico": (
        "Nothing listens at the address in DATABASE_URL. Is PostgreSQL running there? "
        "[Errno 111] Connect call failed ('127.0.0.1', 1)"
    ),
    "portico@host.invalid/portico": "The host in DATABASE_URL was not found. [Errno",
    "portico@/portico?host=/absent": (
        "The socket or a file that DATABASE_URL names does not exist. "
        "[Errno 2] No such file or directory"
    ),
}


@pytest.mark.parametrize(("user", "database"), REFUSALS)
def test_a_refused_upgrade_reports_the_cause(
    own: Postgres, tmp_path: Path, user: str, database: str
) -> None:
    error_line = error_line_of(tmp_path, url_of(own, user, database), "db", "upgrade")

    assert error_line == REFUSALS[user, database]


def test_a_server_without_privileges_names_them(own: Postgres, tmp_path: Path) -> None:
    url = url_of(own, "without_rights", "migrated")

    assert error_line_of(tmp_path, url, "serve") == (
        f"{PRIVILEGES} PostgreSQL says: permission denied for table portico_migrations (42501)"
    )


def test_options_that_the_server_does_not_know_are_named_as_the_cause(
    own: Postgres, tmp_path: Path
) -> None:
    assert error_line_of(tmp_path, f"{url_of(own)}?options=nonsense", "db", "upgrade") == (
        "`options` in DATABASE_URL, or PGOPTIONS, has a setting that this server does not know. "
        "PostgreSQL says: invalid command-line argument for server process: nonsense (42601)"
    )


def test_neither_a_server_nor_a_worker_runs_on_a_standby(tmp_path: Path) -> None:
    with postgres() as primary:
        migrations.upgrade(primary.url)
        signed = portico("keys", "rotate", cwd=tmp_path, **settings_of(primary.url))
        assert signed.returncode == 0
        with streaming_replica(primary) as standby:
            assert error_line_of(tmp_path, standby.url, "serve") == NOT_WRITABLE
            assert error_line_of(tmp_path, standby.url, "worker") == NOT_WRITABLE


@pytest.mark.parametrize("address", NO_DATABASE)
def test_a_missing_database_is_named_as_the_cause(tmp_path: Path, address: str) -> None:
    for command in (("db", "upgrade"), ("jobs",)):
        error_line = error_line_of(tmp_path, f"postgresql://{address}", *command)
        assert error_line.startswith(NO_DATABASE[address])


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Generator[int]:
    """Runs a server that is not PostgreSQL."""
    connections: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for connection in connections:
        connection.close()


def test_a_server_that_never_answers_is_distinguished_from_a_missing_one(
    tmp_path: Path,
) -> None:
    with answering(lambda _: None) as port:
        assert error_line_of(
            tmp_path, f"postgresql://portico@127.0.0.1:{port}/portico", "jobs"
        ) == (
            "The database did not answer in time. Check the address in DATABASE_URL and firewalls."
        )


def test_a_server_that_closes_connections_at_once_is_not_postgresql(tmp_path: Path) -> None:
    with answering(socket.socket.close) as port:
        error_line = error_line_of(
            tmp_path, f"postgresql://portico@127.0.0.1:{port}/portico", "jobs"
        )

    assert error_line.startswith(
        (
            "The connection was refused or broke: is PostgreSQL, or its pooler, at this address?",
            "The database could not be reached. Check the address and sslmode in DATABASE_URL.",
        )
    )


def test_tls_that_the_server_does_not_offer_is_named_as_the_cause(
    own: Postgres, tmp_path: Path
) -> None:
    assert error_line_of(tmp_path, f"{url_of(own)}?sslmode=require", "db", "upgrade") == (
        "The database could not be reached. Check the address and sslmode in DATABASE_URL. "
        f'PostgreSQL server at "127.0.0.1:{own.port}" rejected SSL upgrade'
    )


def test_an_untrusted_certificate_is_named_as_the_cause(tmp_path: Path) -> None:
    certificate = self_signed(tmp_path / "server.pem")
    trusted = self_signed(tmp_path / "trusted.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def offer_tls(connection: socket.socket) -> None:
        connection.recv(8)
        connection.sendall(b"S")
        # The client closes it, in one of several ways.
        with suppress(OSError):
            context.wrap_socket(connection, server_side=True)

    with answering(offer_tls) as port:
        url = f"postgresql://portico@127.0.0.1:{port}/portico"
        error_line = error_line_of(
            tmp_path, f"{url}?sslmode=verify-ca", "db", "upgrade", PGSSLROOTCERT=str(trusted)
        )

    assert error_line.startswith(
        "The TLS certificate of the database server could not be verified. Check sslrootcert, and "
        "that the host in DATABASE_URL is the one in the certificate."
    )
    assert "certificate verify failed" in error_line


def test_debug_shows_the_traceback_and_no_secret(own: Postgres, tmp_path: Path) -> None:
    settings = settings_of(url_of(own, "locked"))

    result = portico("db", "upgrade", cwd=tmp_path, **settings, LOG_LEVEL="DEBUG")

    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.endswith(f"portico: {WRONG_PASSWORD}\n")
    assert PASSWORD not in result.stderr


async def test_the_detail_of_an_error_which_may_quote_rows_is_never_shown(
    empty_url: str, tmp_path: Path
) -> None:
    await asyncio.to_thread(migrations.upgrade, empty_url)
    await on_server(
        empty_url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'no more' USING DETAIL = 'Failing row contains ' || NEW.email; END $$",
    )
    await on_server(
        empty_url,
        "CREATE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    result = await asyncio.to_thread(
        portico,
        "users",
        "create-admin",
        "ada@example.com",
        cwd=tmp_path,
        stdin="difference engine 1\n",
        **settings_of(empty_url),
        LOG_LEVEL="DEBUG",
    )

    assert result.returncode == 1
    assert "ada@example.com" not in result.stderr
    assert result.stderr.endswith(
        "portico: The database reported an error. PostgreSQL says: no more (P0001)\n"
    )


async def test_readiness_shows_less_than_the_log(
    own: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = url_of(own, database="migrated")
    app = create_app(settings_for(url))
    async with app.router.lifespan_context(app), Api.of(app) as api:
        await on_server(url, "ALTER TABLE portico_migrations RENAME version_num TO hidden")
        try:
            answers = [await api.http.get("/health/ready") for _ in range(2)]
        finally:
            await on_server(url, "ALTER TABLE portico_migrations RENAME hidden TO version_num")
        again = await api.http.get("/health/ready")

    expected = {"status": "not ready", "reason": DATABASE_UNUSABLE}
    assert [(answer.status_code, answer.json()) for answer in answers] == [(503, expected)] * 2
    assert again.json() == {"status": "ready"}
    assert caplog.messages.count('Not ready: column "version_num" does not exist (42703)') == 1
