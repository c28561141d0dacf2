"""`portico doctor`: a healthy set-up, and each problem that a set-up may have."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from httpx import Response
from sqlalchemy import make_url
from typer.testing import CliRunner

from app.cli.doctor import keys as clocks
from app.cli.doctor import passkeys
from app.cli.doctor.command import CHECKS
from app.cli.doctor.findings import State, checks_of, failed, ok, warning
from app.database import migrations, revisions
from app.database.grants import grant
from app.factors.services.factor_secrets import FactorSecrets
from app.security.keys import Secrets
from app.testing.commands import CLI
from app.testing.databases import on_server
from app.testing.leaks import SECRETS
from tests.accounts.test_breached_passwords import range_service
from tests.database.test_migration_table import found
from tests.database.test_schemas_and_roles import AVAILABLE
from tests.support.postgres import USER, Postgres, postgres, streaming_replica
from tests.support.roles import PASSWORD, role
from tests.support.servers import ROOT, free_port, portico, serving
from tests.support.smtp_server import running_smtp_server

SECRET = "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA"
OTHER_SECRET = "Zx81kQw0Vb5Nn3Mj7Lp2Tr9Yc6Hd4Gf8"
FRONTEND = "https://app.example.com"
WITHOUT_WARNINGS = {"BCRYPT_ROUNDS": "12", "EMAIL_VERIFICATION": "required", "DEBUG": "false"}
# A rule of pg_hba.conf, so that the role needs its password.
ASKS_FOR_PASSWORD = "host all {role} 127.0.0.1/32 scram-sha-256"
COUNTS = "SELECT (SELECT count(*) FROM signing_keys), (SELECT count(*) FROM pgqueuer)"
TABLES = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
FAILED_JOB = "INSERT INTO pgqueuer (priority, status, entrypoint) VALUES (0, 'failed', 'test')"
LATE_JOB = (
    "INSERT INTO pgqueuer (priority, status, entrypoint, execute_after)"
    " VALUES (0, 'queued', 'test', now() - interval '2 hours')"
)
NO_JOBS = "DELETE FROM pgqueuer"
SEALED_FACTOR = (
    (
        "INSERT INTO users (id, email, created_at, updated_at) "
        "SELECT gen_random_uuid(), 'ada@example.com', now(), now()"
    ),
    "INSERT INTO factors (id, user_id, kind, created_at) SELECT id, id, 'TOTP', now() FROM users",
    (
        "INSERT INTO totp_secrets (user_id, factor_id, sealed_secret, sealed_with, last_step) "
        "SELECT id, id, '{text}', '\\x{with}', 0 FROM users"
    ),
    (
        "INSERT INTO recovery_codes (user_id, sealed_key, sealed_with, hashes, created_at) "
        "SELECT id, '{text}', '\\x{with}', '{{}}', now() FROM users"
    ),
)
FOREIGN_PASSKEY = (
    SEALED_FACTOR[0],
    (
        "INSERT INTO factors (id, user_id, kind, created_at) "
        "SELECT id, id, 'PASSKEY', now() FROM users"
    ),
    (
        "INSERT INTO passkeys (factor_id, user_id, credential_id, public_key, sign_count, name, "
        "aaguid, is_backup_eligible, is_backed_up, transports, rp_id) "
        "SELECT id, id, '\\x01', '\\x02', 0, 'Key', '', false, false, '{}', 'example.com' "
        "FROM users"
    ),
)
PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
PGBOUNCER = """
[databases]
* = host=127.0.0.1 port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
ignore_startup_parameters = statement_timeout, idle_in_transaction_session_timeout, jit
"""


class Found(NamedTuple):
    """What one check found."""

    state: str
    text: str
    hint: str | None = None


def doctor(folder: Path, **environment: str) -> dict[str, Found]:
    """Returns what each check found, after comparing it with the exit code."""
    settings = {"DATA_DIR": str(folder / ".data"), "MANAGEMENT_ADDRESS": "off"} | environment
    result = CliRunner().invoke(CLI, ["doctor", "--json"], env=settings)
    assert PASSWORD not in result.output
    findings = json.loads(result.stdout)
    assert [each["name"] for each in findings] == [check.name for check in CHECKS]
    assert result.exit_code == any(each["state"] == State.FAILED for each in findings)
    return {each.pop("name"): Found(**each) for each in findings}


@dataclass(frozen=True)
class Healthy:
    """A set-up with everything that Portico can use, and its findings."""

    folder: Path
    primary: Postgres
    role: str
    environment: dict[str, str]
    findings: Mapping[str, Found]

    def changed(self, **changes: str) -> dict[str, Found]:
        """Returns findings whose state differs with other settings, without dependent checks."""
        now = doctor(self.folder, **(self.environment | changes))
        return {
            name: finding
            for name, finding in now.items()
            if finding.state != self.findings[name].state
            and not finding.text.startswith("depends on: ")
        }


@pytest.fixture(scope="module")
async def healthy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Healthy]:
    folder = tmp_path_factory.mktemp("healthy")
    hashes = folder / "hashes"
    hashes.write_text(sha1(b"x", usedforsecurity=False).hexdigest().upper() + "\n")
    with (
        postgres() as primary,
        streaming_replica(primary) as replica,
        running_smtp_server() as smtp,
        range_service() as (breaches, _),
    ):
        await asyncio.to_thread(migrations.upgrade, primary.url)
        async with role(primary.url) as server:
            await grant(primary.url, [server.name], retention=False)
            primary.admit(ASKS_FOR_PASSWORD.format(role=server.name))
            environment = WITHOUT_WARNINGS | {
                "DATABASE_URL": server.url,
                "DATABASE_READ_URL": replica.url,
                "SECRET_KEY": SECRET,
                "SMTP_URL": f"smtp://127.0.0.1:{smtp.port}",
                "FRONTEND_URL": FRONTEND,
                "CORS_ORIGINS": FRONTEND,
                "BREACHED_PASSWORDS_FILE": str(hashes),
                "BREACHED_PASSWORDS_URL": breaches,
                "MANAGEMENT_ADDRESS": f"127.0.0.1:{free_port()}",
                "JOBS_WORKER": "false",
            }
            # The server runs for all tests of the module.
            with serving(folder, **environment) as running:
                environment["PUBLIC_URL"] = running.url
                findings = await asyncio.to_thread(doctor, folder, **environment)
                yield Healthy(folder, primary, server.name, environment, findings)


async def test_all_checks_of_a_healthy_set_up_are_ok(healthy: Healthy) -> None:
    states = {name: each.state for name, each in healthy.findings.items()}
    # Which server this is does not depend on Portico.
    has_trigrams = bool(await found(healthy.primary.url, AVAILABLE))

    assert {name: state for name, state in states.items() if state != "ok"} == {
        "disk": "not checked",
        **({} if has_trigrams else {"search index": "warning"}),
    }
    assert healthy.findings["role"] == Found(
        "ok", f"{healthy.role} serves, postgres owns the tables."
    )
    assert healthy.findings["migrations"] == Found(
        "ok", f"The database is at revision {revisions.head()}, the newest."
    )


async def test_each_check_is_one_line_and_changes_nothing(healthy: Healthy) -> None:
    before = await found(healthy.primary.url, COUNTS)

    printed = await asyncio.to_thread(portico, "doctor", cwd=healthy.folder, **healthy.environment)

    lines, number = printed.stdout.splitlines(), len(healthy.environment)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert len(lines) == len(CHECKS) + 1
    assert lines[0] == f"ok           settings                    {number} are set."
    assert lines[-1].endswith(" not checked.")
    assert await found(healthy.primary.url, COUNTS) == before


def test_the_checks_of_every_file_are_run() -> None:
    files = (ROOT / "app" / "cli" / "doctor").glob("*.py")
    modules = [import_module(f"app.cli.doctor.{path.stem}") for path in files]
    defined = [each.name for module in modules for each in checks_of(module)]

    assert sorted(defined) == sorted(check.name for check in CHECKS)


def test_the_manual_has_each_check() -> None:
    manual = (ROOT / "docs" / "operators" / "doctor.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| `([a-z ]+)` \|", manual, re.MULTILINE) == [
        check.name for check in CHECKS
    ]


def test_with_invalid_settings_no_other_check_runs(tmp_path: Path) -> None:
    findings = doctor(tmp_path, LOG_LEVEL="LOUD", SECRETKEY=SECRET)

    assert findings.pop("settings") == Found(
        "failed",
        "SECRETKEY is not a setting. Did you mean SECRET_KEY? If it belongs to another program, "
        "add it to UNRELATED_VARIABLES. LOG_LEVEL must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'.",
    )
    assert set(findings.values()) == {Found("not checked", "depends on: settings")}


def test_before_the_first_start_no_database_is_created(tmp_path: Path) -> None:
    findings = doctor(tmp_path)

    assert findings["database"] == Found(
        "not checked", f"There is none in {tmp_path}/.data yet: `portico serve` creates it."
    )
    assert not (tmp_path / ".data").exists()


def test_the_embedded_database_is_checked_with_and_without_a_running_server(tmp_path: Path) -> None:
    with serving(tmp_path):
        with_server = doctor(tmp_path)

    without_server = doctor(tmp_path)

    for findings in (with_server, without_server):
        assert "failed" not in {each.state for each in findings.values()}
        assert findings["encryption"].text == "The database is on this machine, at a socket."
        signing = findings["signing keys"].text
        assert signing.startswith("SECRET_KEY opens the current signing key, which is")


def test_with_a_wrong_password_no_other_check_of_the_database_runs(
    healthy: Healthy,
) -> None:
    url = make_url(healthy.environment["DATABASE_URL"]).set(password="wrong")

    wrong = healthy.changed(DATABASE_URL=url.render_as_string(hide_password=False))

    assert wrong == {
        "database": Found(
            "failed",
            "The server does not accept the user and password in DATABASE_URL. PostgreSQL says: "
            f'password authentication failed for user "{healthy.role}" (28P01)',
        )
    }


async def test_a_database_that_was_not_migrated_is_reported_and_not_changed(
    healthy: Healthy,
) -> None:
    await on_server(healthy.primary.url, "CREATE DATABASE empty")
    url = make_url(healthy.environment["DATABASE_URL"]).set(database="empty")
    text = url.render_as_string(hide_password=False)
    before = await found(str(make_url(healthy.primary.url).set(database="empty")), TABLES)

    wrong = await asyncio.to_thread(healthy.changed, DATABASE_URL=text)

    assert wrong == {
        "migrations": Found(
            "failed", "The database has not been migrated. Run `portico db upgrade`."
        )
    }
    assert await found(str(make_url(healthy.primary.url).set(database="empty")), TABLES) == before


def test_a_role_that_owns_everything_causes_a_warning(healthy: Healthy) -> None:
    assert healthy.changed(DATABASE_URL=healthy.primary.url) == {
        "role": Found(
            "warning",
            "The role postgres is a superuser: it can change the audit.",
            "Run `portico db grant ROLE` and serve as that role.",
        )
    }


async def test_missing_rights_are_reported(healthy: Healthy) -> None:
    async with granted(
        healthy,
        "REVOKE INSERT, DELETE ON users FROM {role}",
        "REVOKE USAGE ON SEQUENCE pgqueuer_id_seq FROM {role}",
    ):
        wrong = await asyncio.to_thread(healthy.changed)

    assert wrong == {
        "rights": Found(
            "failed",
            "The role lacks DELETE on users, INSERT on users, USAGE on pgqueuer_id_seq.",
            "Run `portico db grant ROLE` as the owner of the tables.",
        )
    }


@asynccontextmanager
async def granted(healthy: Healthy, *statements: str) -> AsyncGenerator[None]:
    """Change rights, and grant them all again afterwards."""
    for statement in statements:
        await on_server(healthy.primary.url, statement.format(role=healthy.role))
    try:
        yield
    finally:
        await grant(healthy.primary.url, [healthy.role], retention=False)


async def test_a_table_that_another_schema_hides_is_reported(healthy: Healthy) -> None:
    url = healthy.primary.url
    await on_server(url, f"CREATE SCHEMA {healthy.role} AUTHORIZATION {healthy.role}")
    await on_server(url, f"CREATE TABLE {healthy.role}.budgets (id int)")
    try:
        wrong = await asyncio.to_thread(healthy.changed)
    finally:
        await on_server(url, f"DROP SCHEMA {healthy.role} CASCADE")

    assert wrong["tables"] == Found(
        "failed",
        f"Another table named budgets, in the schema {healthy.role}, comes before the one of "
        "Portico, in public, on the search_path of this role. Set it: ALTER ROLE … SET "
        "search_path = public",
    )
    assert set(wrong) <= {"tables", "rights"}


def test_a_secret_that_does_not_open_the_keys_is_reported(healthy: Healthy) -> None:
    SECRETS.add(OTHER_SECRET)

    wrong = healthy.changed(SECRET_KEY=OTHER_SECRET)

    assert set(wrong) == {"signing keys"}
    assert wrong["signing keys"].state == "failed"
    assert wrong["signing keys"].text.startswith(
        "Other servers seal with a secret that this one lacks ("
    )


async def test_factors_that_are_sealed_with_a_missing_secret_are_reported(healthy: Healthy) -> None:
    SECRETS.add(OTHER_SECRET)
    url = healthy.primary.url
    sealed = FactorSecrets.of(Secrets(OTHER_SECRET)).seal(b"the secret of an app")
    values = {"text": sealed.text, "with": sealed.sealed_with.hex()}
    for statement in SEALED_FACTOR:
        await on_server(url, statement.format(**values))
    try:
        with_one = await asyncio.to_thread(healthy.changed)
        with_both = await asyncio.to_thread(healthy.changed, SECRET_KEY=f"{SECRET},{OTHER_SECRET}")
    finally:
        await on_server(url, "DELETE FROM users WHERE email = 'ada@example.com'")

    assert with_one == {
        "second factors": Found(
            "failed",
            "2 secrets of second factors and recovery codes are sealed with a SECRET_KEY that is "
            "not given here: servers with these settings cannot check the codes of their users.",
            "Add the secret that sealed them to SECRET_KEY, after a comma: within 5 minutes "
            "servers seal them again.",
        )
    }
    assert with_both == {}


async def test_passkeys_of_another_domain_are_reported(healthy: Healthy) -> None:
    url = healthy.primary.url
    for statement in FOREIGN_PASSKEY:
        await on_server(url, statement)
    try:
        wrong = await asyncio.to_thread(healthy.changed)
        right = await asyncio.to_thread(healthy.changed, WEBAUTHN_RP_ID="example.com")
    finally:
        await on_server(url, "DELETE FROM users WHERE email = 'ada@example.com'")

    assert wrong == {
        "passkeys": Found(
            "failed",
            "Passkeys are registered for example.com, and the domain is app.example.com: servers "
            "do not start.",
            "Set WEBAUTHN_RP_ID=example.com, or run `portico passkeys remove --rp-id example.com`.",
        )
    }
    assert right == {}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"FRONTEND_URL": "https://192.0.2.7"},
            (
                "Browsers accept no passkeys for 192.0.2.7, on https://192.0.2.7: they need a "
                "page of the domain with https."
            ),
        ),
        (
            {"FRONTEND_URL": "http://app.example.com"},
            (
                "Browsers accept no passkeys for app.example.com, on http://app.example.com: they "
                "need a page of the domain with https."
            ),
        ),
        (
            {"WEBAUTHN_RP_ID": "other.invalid"},
            (
                f"Browsers accept no passkeys for other.invalid, on {FRONTEND}: they need a page "
                "of the domain with https."
            ),
        ),
        (
            {
                "WEBAUTHN_RP_ID": "app.invalid",
                "WEBAUTHN_ORIGINS": f"https://app.invalid,{FRONTEND}",
            },
            (
                f"{FRONTEND} must be named by https://app.invalid/.well-known/webauthn, which "
                "cannot be reached from here: ConnectError."
            ),
        ),
    ],
    ids=["an IP address", "http", "another domain", "a page elsewhere"],
)
def test_passkeys_that_browsers_do_not_accept_cause_a_warning(
    healthy: Healthy, changes: dict[str, str], text: str
) -> None:
    wrong = healthy.changed(**changes)["passkeys"]

    assert (wrong.state, wrong.text) == ("warning", text)


def test_pages_outside_of_the_domain_need_a_file_that_names_them() -> None:
    pages = ["https://app.example.com", "https://app.example.org"]
    as_json = {"content-type": "application/json; charset=utf-8"}
    named = Response(200, json={"origins": ["https://app.example.org/", *pages[:1]]})

    assert passkeys.unlisted_in(named, pages) == []
    for answer, unlisted in (
        (Response(200, json={"origins": pages[:1]}), pages[1:]),
        (Response(404, json={"origins": pages}), pages),
        (Response(200, text=named.text), pages),
        (Response(200, text="<html>", headers=as_json), pages),
        (Response(200, json=[]), pages),
        (Response(200, json={"origins": None}), pages),
    ):
        assert passkeys.unlisted_in(answer, pages) == unlisted, answer.text


def test_a_promoted_replica_is_reported(healthy: Healthy) -> None:
    assert healthy.changed(DATABASE_READ_URL=healthy.primary.url) == {
        "replica": Found(
            "failed",
            "The server in DATABASE_READ_URL is not a replica (any more).",
            "Its data differs from that of the primary: rebuild it, or use another one.",
        )
    }


def test_a_standby_instead_of_the_primary_is_reported(healthy: Healthy) -> None:
    replica = healthy.environment["DATABASE_READ_URL"]

    wrong = healthy.changed(DATABASE_URL=replica)

    assert wrong["primary"] == Found(
        "failed",
        "The server accepts no changes: it is a standby, or read-only. DATABASE_URL has to name "
        "the primary.",
    )
    assert set(wrong) == {"primary", "role"}


def test_services_that_do_not_answer_are_reported(healthy: Healthy) -> None:
    port = free_port()

    wrong = healthy.changed(
        SMTP_URL=f"smtp://127.0.0.1:{port}",
        PUBLIC_URL=f"http://127.0.0.1:{port}",
        BREACHED_PASSWORDS_URL=f"http://127.0.0.1:{port}/{PASSWORD}",
        DATABASE_READ_URL=f"postgresql://portico:{PASSWORD}@127.0.0.1:{port}/portico",
    )

    assert wrong == {
        "mail": Found(
            "failed",
            f"Cannot connect to 127.0.0.1:{port}: Connection refused.",
            "`portico mail test ADDRESS` sends an email.",
        ),
        "public address": Found(
            "warning",
            f"http://127.0.0.1:{port}/.well-known/jwks.json cannot be reached from here: "
            "ConnectError.",
            "Is a server running, and does this machine resolve its name?",
        ),
        "breached passwords service": Found(
            "warning",
            "127.0.0.1 cannot be reached: ConnectError.",
            "While it does not answer, breached passwords are accepted.",
        ),
        "replica": Found(
            "failed",
            "Nothing listens at the address in DATABASE_READ_URL. Is PostgreSQL running there? "
            f"[Errno 111] Connect call failed ('127.0.0.1', {port})",
        ),
    }


def test_a_public_url_that_leads_elsewhere_is_reported(healthy: Healthy) -> None:
    elsewhere = healthy.environment["BREACHED_PASSWORDS_URL"].removesuffix("/")

    assert healthy.changed(PUBLIC_URL=elsewhere) == {
        "public address": Found(
            "failed",
            f"{elsewhere}/.well-known/jwks.json answers 200 without keys.",
            "PUBLIC_URL must lead to Portico.",
        )
    }


def test_inconsistent_settings_cause_warnings(healthy: Healthy) -> None:
    with taken_port() as port:
        wrong = healthy.changed(
            CORS_ORIGINS="https://other.example.com",
            BREACHED_PASSWORDS_FILE="/nowhere",
            MANAGEMENT_ADDRESS=f"127.0.0.1:{port}",
            DATABASE_PREPARED_STATEMENTS="false",
            DATABASE_POOL_SIZE="200",
            EMAIL_VERIFICATION="off",
        )

    pooler, management = wrong.pop("pooler"), wrong.pop("management")
    connections = wrong.pop("connections")
    assert wrong == {
        "settings": Found(
            "warning",
            "EMAIL_VERIFICATION=off: anybody can register any address, and see if it is taken.",
        ),
        "frontend": Found(
            "warning",
            f"{FRONTEND} of FRONTEND_URL is not in CORS_ORIGINS: "
            "browsers do not let it read answers.",
            "Add it, unless the frontend calls Portico from its own server.",
        ),
        "breached passwords file": Found(
            "failed", "BREACHED_PASSWORDS_FILE: No such file or directory."
        ),
    }
    assert pooler.text == (
        "No pooler in transaction mode was found, and DATABASE_PREPARED_STATEMENTS=false."
    )
    assert management.text.startswith(f"Port {port} is in use by another program.")
    assert connections.text.endswith("a worker takes up to 200 (DATABASE_POOL_SIZE).")
    assert {each.state for each in (pooler, management, connections)} == {"warning"}


@contextmanager
def taken_port() -> Generator[int]:
    """A port with a listener that never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("job", "finding"),
    [
        (
            FAILED_JOB,
            Found("warning", "1 failed, 0 waiting.", "`portico jobs` shows which and why."),
        ),
        (
            LATE_JOB,
            Found(
                "warning",
                "1 waiting, the oldest for 2 hours.",
                "Is a `portico worker` running, or a server with JOBS_WORKER=true?",
            ),
        ),
    ],
    ids=["failed", "late"],
)
async def test_failed_and_late_jobs_are_counted(healthy: Healthy, job: str, finding: Found) -> None:
    await on_server(healthy.primary.url, job)
    try:
        wrong = await asyncio.to_thread(healthy.changed)
    finally:
        await on_server(healthy.primary.url, NO_JOBS)

    assert wrong == {"jobs": finding}


def test_a_database_that_hangs_is_reported_in_time(healthy: Healthy) -> None:
    with healthy.primary.hanging():
        wrong = healthy.changed()

    assert wrong["database"].state == "failed"
    assert set(wrong) <= {"database", "management"}


@pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed")
@pytest.mark.parametrize(
    ("mode", "prepared", "finding"),
    [
        ("session", "true", Found("ok", "A pooler, probably in session mode.")),
        (
            "transaction",
            "true",
            Found(
                "failed",
                "A pooler in transaction mode that loses prepared statements.",
                "A pooler in transaction mode needs DATABASE_PREPARED_STATEMENTS=false.",
            ),
        ),
        (
            "transaction",
            "false",
            Found("ok", "A pooler in transaction mode; statements are not prepared."),
        ),
    ],
)
def test_a_pooler_is_detected_with_its_mode(
    healthy: Healthy, mode: str, prepared: str, finding: Found
) -> None:
    with pgbouncer(healthy.primary, mode) as port:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        findings = doctor(
            healthy.folder,
            **(
                healthy.environment
                | {"DATABASE_URL": url, "DATABASE_PREPARED_STATEMENTS": prepared}
            ),
        )

    assert findings["pooler"] == finding


@contextmanager
def pgbouncer(server: Postgres, mode: str) -> Generator[int]:
    """Run PgBouncer in front of a server, without prepared statements, with any parameters."""
    # It runs as the user of PostgreSQL, whose directory only that user can read.
    folder = server.directory
    port = free_port()
    file = folder / "pgbouncer.ini"
    file.write_text(PGBOUNCER.format(port=server.port, listen=port, mode=mode))
    with (folder / "pgbouncer.log").open("w") as log:
        process = subprocess.Popen([str(PROGRAM), file], user=USER, stdout=log, stderr=log)
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_for(port: int) -> None:
    for _ in range(200):
        with suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("apart", "verdict"),
    [
        (timedelta(seconds=1), ok("This machine and the database have the same time.")),
        (
            timedelta(seconds=5),
            warning("This machine is 5 seconds ahead of the database.", "Let NTP set both clocks."),
        ),
        (
            -timedelta(hours=2),
            failed("This machine is 2 hours behind the database.", "Let NTP set both clocks."),
        ),
    ],
)
def test_clocks_that_differ_are_reported(apart: timedelta, verdict: Any) -> None:
    theirs = datetime(2026, 12, 1, tzinfo=UTC)

    assert clocks.compared(theirs + apart, theirs, theirs + apart) == verdict


def test_a_slow_answer_is_not_a_difference_of_clocks() -> None:
    theirs = datetime(2026, 12, 1, tzinfo=UTC)
    slow = timedelta(seconds=10)

    assert clocks.compared(theirs - slow, theirs, theirs + slow).state is State.OK


def test_a_clock_in_the_past_is_reported() -> None:
    long_ago = datetime(1970, 1, 1, tzinfo=UTC)

    assert clocks.compared(long_ago, long_ago, long_ago) == failed(
        "This machine has 1970-01-01, which is in the past.", "Set its clock."
    )
