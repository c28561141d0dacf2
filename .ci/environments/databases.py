"""Databases as hosts offer them: PostgreSQL 15 with TLS, and a pooler that cannot be configured.

Portico is served through each form of DATABASE_URL that hosts hand out, and walked from the first
migration to an export. PgBouncer is in transaction mode, ignores no start-up parameter, and takes
the next server for each transaction, so that whatever needs a session shows.
"""

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import asyncpg
import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from app.database.database import connect
from app.errors import NotConnected

BINARIES = Path("/usr/lib/postgresql/15/bin")
PORTICO = Path(sys.executable).parent / "portico"
# PostgreSQL and PgBouncer refuse to run as root.
USER = "postgres" if os.geteuid() == 0 else None
PASSWORD = "p@ss/w:rd?#"  # noqa: S105 - made up; each of its signs has a meaning in a URL
CREDENTIALS = f"portico:{quote(PASSWORD, safe='')}"
ADMIN = {"email": "root@example.com", "password": "correct horse battery staple"}
MEMBER = {"email": "ada@example.com", "password": "difference engine 1"}
IMPORTED = {"email": "grace@example.com", "displayName": "Grace Hopper"}
START_SECONDS = 60
STATEMENT_SECONDS = 1
SERVERS = 4
AT_ONCE = 2

HBA = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
PGBOUNCER = """\
[databases]
statement = host=localhost port={server} pool_mode=statement
* = host=localhost port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/userlist.txt
pool_mode = transaction
server_round_robin = 1
min_pool_size = {servers}
default_pool_size = {servers}
client_tls_sslmode = require
client_tls_cert_file = {directory}/server.crt
client_tls_key_file = {directory}/server.key
server_tls_sslmode = verify-full
server_tls_ca_file = {directory}/ca.crt
"""
TOKENS = "{ __typename ... on SignedIn { tokens { accessToken refreshToken } } }"
REGISTER = f"mutation($input: RegisterInput!) {{ register(input: $input) {TOKENS} }}"
LOGIN = f"mutation($input: LoginInput!) {{ login(input: $input) {TOKENS} }}"
REFRESH = f"mutation($input: RefreshSessionInput!) {{ refreshSession(input: $input) {TOKENS} }}"
LOGOUT = "mutation { logout { __typename } }"
RESET = """
mutation($input: EmailInput!) { requestPasswordReset(input: $input) { __typename } }
"""
ME = "{ me { email } }"
USERS = '{ users(first: 10, filter: {search: "example"}) { totalCount nodes { email } } }'
# What a session could leave behind for the next client of its server connection.
LEFT_BEHIND = """
SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('jit'),
                 current_setting('idle_in_transaction_session_timeout'),
                 (SELECT count(*) FROM pg_listening_channels()),
                 (SELECT count(*) FROM pg_class WHERE relpersistence = 't'))
"""
HAS_INDEX = (
    "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('ix_users_search') AND indisvalid"
)
STATEMENT_MODE = "portico: A pooler in statement mode cannot serve Portico"
REFUSED = "portico: This command needs a temporary table"


class Form(NamedTuple):
    """A form of DATABASE_URL, and the error of a command that needs a session of its own."""

    name: str
    description: str
    url: str
    refused: bool = False


@dataclass(frozen=True)
class World:
    directory: Path
    port: int
    pooler: int

    def url(self, database: str, *hosts: int) -> str:
        places = ",".join(f"localhost:{port}" for port in hosts or (self.port,))
        root = quote(str(self.directory / "ca.crt"), safe="")
        return (
            f"postgresql://{CREDENTIALS}@{places}/{database}"
            f"?sslmode=verify-full&sslrootcert={root}&channel_binding=require"
        )

    async def connect(self, port: int, database: str) -> Any:
        trusted = ssl.create_default_context(cafile=str(self.directory / "ca.crt"))
        return await asyncpg.connect(
            host="localhost",
            port=port,
            user="portico",
            password=PASSWORD,
            database=database,
            ssl=trusted,
            statement_cache_size=0,
        )

    def forms(self) -> Iterator[Form]:
        yield Form("verified", "TLS, verified, channel_binding=require", self.url("verified"))
        yield Form(
            "several",
            "two hosts of which one is down, and what a managed database adds",
            self.url("several", free_port(), self.port)
            + "&target_session_attrs=read-write&connect_timeout=3&keepalives=1&keepalives_idle=30"
            "&gssencmode=disable&application_name=walk&options=-c%20search_path%3Dpublic",
        )
        yield Form(
            "unix",
            "a socket, percent-encoded, white space around it",
            f" postgresql+psycopg://portico@{quote(str(self.directory), safe='')}:{self.port}"
            "/unix\n",
        )
        yield Form(
            "pooled",
            "PgBouncer in transaction mode that ignores nothing",
            self.url("pooled", self.pooler) + "&options=-c%20search_path%3Dpublic",
            refused=True,
        )


class Proofs:
    """What TLS must verify in each sslmode, for a server with the certificate of an authority."""

    def __init__(self, world: World) -> None:
        self.world = world

    def run(self) -> None:
        root = f"sslrootcert={self.world.directory / 'ca.crt'}"
        other = f"sslrootcert={self.world.directory / 'other.crt'}"
        self.connects("localhost", "sslmode=require")
        self.connects("localhost", "sslmode=prefer")
        self.connects("localhost", "sslmode=allow")
        self.connects("127.0.0.1", f"sslmode=verify-ca&{root}")
        self.connects("localhost", f"sslmode=verify-full&{root}&ssl_min_protocol_version=TLSv1.3")
        self.connects("localhost", f"sslmode=require&channel_binding=require&{root}")
        self.fails("localhost", "sslmode=disable")
        self.fails("127.0.0.1", f"sslmode=verify-full&{root}")
        self.fails("localhost", f"sslmode=verify-ca&{other}")
        self.fails("localhost", f"sslmode=require&{other}")
        # The system does not trust the server's authority, and channel binding is not available.
        self.fails("localhost", "sslmode=require&channel_binding=require")
        self.fails("localhost", "sslrootcert=system")

    def connects(self, host: str, query: str) -> None:
        same(asyncio.run(self.connection_error(host, query)), None)

    def fails(self, host: str, query: str) -> None:
        holds(
            asyncio.run(self.connection_error(host, query)) is not None, f"{query} does not connect"
        )

    async def connection_error(self, host: str, query: str) -> str | None:
        """Returns the error of Portico's own connection; None if it succeeds."""
        url = f"postgresql://{CREDENTIALS}@{host}:{self.world.port}/postgres?{query}"
        engine = connect(url, pool_size=5).engine
        try:
            async with engine.connect():
                return None
        except NotConnected as error:
            return str(error)
        finally:
            await engine.dispose()


class Client:
    """A frontend."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=20)

    def __call__(self, document: str, token: str | None = None, **given: str) -> dict[str, Any]:
        """Returns the data of an answer without errors."""
        answer = self.answer(document, token, **given)
        if "errors" in answer:
            raise AssertionError(json.dumps(answer))
        return answer["data"]

    def answer(self, document: str, token: str | None = None, **given: str) -> dict[str, Any]:
        body = {"query": document, "variables": {"input": given}}
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self._http.post("/graphql", json=body, headers=headers).json()

    def tokens(self, document: str, **given: str) -> dict[str, str]:
        [result] = self(document, **given).values()
        same(result["__typename"], "SignedIn")
        return result["tokens"]


class Walk:
    """Uses Portico through one form of DATABASE_URL."""

    def __init__(self, world: World, form: Form, folder: Path) -> None:
        self.world, self.form, self.folder = world, form, folder
        self.own = world.url(form.name)
        self.environment = {
            "DATABASE_URL": form.url,
            "SECRET_KEY": "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA",
            "DATABASE_TIMEOUT_SECONDS": str(STATEMENT_SECONDS),
            "BCRYPT_ROUNDS": "4",
            "MANAGEMENT_ADDRESS": "off",
            "SMTP_URL": "console:",
            "FIRST_ADMIN_EMAIL": ADMIN["email"],
            "FIRST_ADMIN_PASSWORD": ADMIN["password"],
        }

    def run(self) -> None:
        self.migrates()
        with self.serving() as (ask, said):
            self.imports()
            self.people_come_and_go(ask)
            self.emails_leave(ask, said)
            self.timeouts_hold(ask)
        self.exports()
        self.leaves_nothing_behind()

    def migrates(self) -> None:
        same(self.portico("db", "upgrade")[:28], "The database is at revision ")
        same(asyncio.run(self.valid_indexes()), 1)

    async def valid_indexes(self) -> int:
        connection = await self.world.connect(self.world.port, self.form.name)
        found = await connection.fetchval(HAS_INDEX)
        await connection.close()
        return found

    def says_that_statement_mode_is_none(self) -> None:
        for command in (("db", "upgrade"), ("jobs",)):
            said = self.portico(*command, code=1)
            same(said.splitlines()[-1][: len(STATEMENT_MODE)], STATEMENT_MODE)

    def imports(self) -> None:
        file = self.folder / "people.ndjson"
        file.write_text(json.dumps(IMPORTED) + "\n", encoding="utf-8")
        if self.form.refused:
            said = self.portico("users", "import", str(file), code=1)
            same(said.splitlines()[-1].partition(",")[0], REFUSED)
        said = self.portico("users", "import", str(file), DATABASE_URL=self.own)
        same(said.splitlines()[-1], "1 user added, 0 existed already, 0 lines skipped.")

    def people_come_and_go(self, ask: Client) -> None:
        ask.tokens(REGISTER, **MEMBER)
        tokens = ask.tokens(LOGIN, **MEMBER)
        same(ask(ME, tokens["accessToken"]), {"me": {"email": MEMBER["email"]}})
        tokens = ask.tokens(REFRESH, refreshToken=tokens["refreshToken"])
        root = ask.tokens(LOGIN, **ADMIN)["accessToken"]
        page = ask(USERS, root)["users"]
        same(page["totalCount"], 3)
        emails = {each["email"] for each in page["nodes"]}
        same(emails, {ADMIN["email"], MEMBER["email"], IMPORTED["email"]})
        ask(LOGOUT, tokens["accessToken"])
        same(refused(ask.answer(ME, tokens["accessToken"])), "UNAUTHENTICATED")

    def emails_leave(self, ask: Client, said: Path) -> None:
        ask(RESET, email=MEMBER["email"])
        wait_for(lambda: f"To: {MEMBER['email']}" in said.read_text(), "an email")

    def timeouts_hold(self, ask: Client) -> None:
        """A statement that waits too long is cancelled by PostgreSQL, not only by Portico."""
        answer = asyncio.run(self.blocked(lambda: ask.answer(LOGIN, **MEMBER)))
        same(refused(answer), "SERVICE_UNAVAILABLE")
        log = (self.world.directory / "log").read_text(encoding="utf-8")
        ended = f"{self.form.name} ERROR:  canceling statement due to statement timeout"
        holds(ended in log, "the statement timeout holds")

    async def blocked(self, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Send a request while another transaction has locked the table of users."""
        connection = await self.world.connect(self.world.port, self.form.name)
        async with connection.transaction():
            await connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            answer = await asyncio.to_thread(ask)
        await connection.close()
        return answer

    def exports(self) -> None:
        lines = self.portico("users", "export", "-").splitlines()
        same(len([json.loads(line) for line in lines]), 3)

    def leaves_nothing_behind(self) -> None:
        """The next client of a server connection of the pooler finds it in its initial state."""
        if self.form.refused:
            [new] = asyncio.run(self.states(self.world.port, 1))
            same(asyncio.run(self.states(self.world.pooler, 2 * SERVERS)), [new] * 2 * SERVERS)

    async def states(self, port: int, times: int) -> list[str]:
        connection = await self.world.connect(port, self.form.name)
        found: list[str] = []
        for _ in range(times):
            async with connection.transaction():
                found.append(await connection.fetchval(LEFT_BEHIND))
        await connection.close()
        return found

    def portico(self, *arguments: str, code: int = 0, **changes: str) -> str:
        """Run a command; returns its output, or standard error if it fails."""
        result = subprocess.run(
            [PORTICO, *arguments],
            cwd=self.folder,
            env=os.environ | self.environment | changes,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if result.returncode != code:
            raise AssertionError(f"{arguments} ended with {result.returncode}: {result.stderr}")
        return (result.stderr if code else result.stdout).strip()

    @contextmanager
    def serving(self) -> Generator[tuple[Client, Path]]:
        port, said = free_port(), self.folder / "said"
        with said.open("w") as out:
            server = subprocess.Popen(
                [PORTICO, "serve", "--port", str(port)],
                cwd=self.folder,
                env=os.environ | self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(lambda: is_ready(url, server), "`portico serve`")
            yield Client(url), said
        except BaseException:
            print(said.read_text())
            raise
        finally:
            server.terminate()
            server.wait(START_SECONDS)
        if "Traceback" in said.read_text():
            raise AssertionError(said.read_text())


@contextmanager
def world() -> Generator[World]:
    directory = Path(tempfile.mkdtemp(prefix="portico-world-"))
    made = World(directory, free_port(), free_port())
    try:
        make_certificates(directory)
        write(directory / "pg_hba.conf", HBA)
        write(directory / "userlist.txt", f'"portico" "{PASSWORD}"\n')
        places = {"server": made.port, "port": made.pooler, "directory": directory}
        write(directory / "pgbouncer.ini", PGBOUNCER.format(**places, servers=SERVERS))
        with postgres(made), pgbouncer(made):
            yield made
    finally:
        shutil.rmtree(directory)


@contextmanager
def postgres(made: World) -> Generator[None]:
    data = str(made.directory / "data")
    if USER:
        shutil.chown(made.directory, USER)
    run(BINARIES / "initdb", "-D", data, "-U", "postgres", "-E", "utf8", "-A", "trust", "--no-sync")
    options = {
        "listen_addresses": "127.0.0.1",
        "port": made.port,
        "unix_socket_directories": made.directory,
        "fsync": "off",
        "log_line_prefix": "%d\\ ",
        "hba_file": made.directory / "pg_hba.conf",
        "ssl": "on",
        "ssl_cert_file": made.directory / "server.crt",
        "ssl_key_file": made.directory / "server.key",
    }
    server_options = " ".join(f"-c {name}={value}" for name, value in options.items())
    log = str(made.directory / "log")
    run(BINARIES / "pg_ctl", "-w", "-D", data, "-l", log, "-o", server_options, "start")
    try:
        psql(made, f"CREATE ROLE portico LOGIN PASSWORD '{PASSWORD}'")
        yield
    finally:
        run(BINARIES / "pg_ctl", "-D", data, "-m", "immediate", "stop")


@contextmanager
def pgbouncer(made: World) -> Generator[None]:
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    holds(program is not None, "pgbouncer is installed")
    log = (made.directory / "pgbouncer.log").open("w")
    command = [program or "", "-q", str(made.directory / "pgbouncer.ini")]
    with log, subprocess.Popen(command, user=USER, stdout=log, stderr=log) as process:
        try:
            wait_for(lambda: accepts(made.pooler), "PgBouncer")
            yield
        finally:
            process.terminate()


def make_certificates(directory: Path) -> None:
    """Create an authority with a certificate for localhost, and another authority."""
    authority, other, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of one check")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    is_authority = x509.BasicConstraints(ca=True, path_length=None)
    root = certificate(issuer, issuer, authority, authority, is_authority)
    strange = certificate(issuer, issuer, other, other, is_authority)
    own = certificate(subject, issuer, server, authority, names)
    key = server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write(directory / "ca.crt", root.public_bytes(Encoding.PEM).decode())
    write(directory / "other.crt", strange.public_bytes(Encoding.PEM).decode())
    write(directory / "server.crt", own.public_bytes(Encoding.PEM).decode())
    write(directory / "server.key", key.decode())


def certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(extension, critical=True)
        .sign(signer, hashes.SHA256())
    )


def write(path: Path, text: str) -> None:
    """Write a file that only PostgreSQL's user can read."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    if USER:
        shutil.chown(path, USER)


def run(program: Path, *arguments: str) -> None:
    subprocess.run(
        [program, *arguments],
        cwd="/",
        user=USER,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=START_SECONDS,
    )


def psql(made: World, statement: str) -> None:
    place = ("-h", str(made.directory), "-p", str(made.port), "-U", "postgres")
    run(BINARIES / "psql", "-qX", *place, "-v", "ON_ERROR_STOP=1", "-c", statement)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def refused(answer: dict[str, Any]) -> str:
    """Returns the code of the first error of an answer."""
    return answer["errors"][0]["extensions"]["code"]


def is_ready(url: str, server: subprocess.Popen[bytes]) -> bool:
    holds(server.poll() is None, "`portico serve` runs")
    try:
        return httpx.get(f"{url}/health/ready").is_success
    except httpx.TransportError:
        return False


def wait_for(ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        holds(time.monotonic() < deadline, f"{what} came within {START_SECONDS} s")
        time.sleep(0.05)


def same(found: object, wanted: object) -> None:
    holds(found == wanted, f"found {found!r}, not {wanted!r}")


def holds(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(what)


def walk(made: World, form: Form) -> None:
    psql(made, f"CREATE DATABASE {form.name} OWNER portico")
    with tempfile.TemporaryDirectory() as folder:
        Walk(made, form, Path(folder)).run()


def refuse_statement_mode(made: World) -> None:
    """Portico neither migrates nor serves if transactions are limited to one statement."""
    psql(made, "CREATE DATABASE statement OWNER portico")
    form = Form("statement", "PgBouncer in statement mode", made.url("statement", made.pooler))
    with tempfile.TemporaryDirectory() as folder:
        Walk(made, form, Path(folder)).says_that_statement_mode_is_none()


def main() -> None:
    began = time.monotonic()
    with world() as made, ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        Proofs(made).run()
        print(
            f"{time.monotonic() - began:6.1f} s  TLS verifies what each sslmode requires",
            flush=True,
        )
        refuse_statement_mode(made)
        walks = {pool.submit(walk, made, form): form for form in made.forms()}
        for done in as_completed(walks):
            done.result()
            print(f"{time.monotonic() - began:6.1f} s  {walks[done].description}", flush=True)


if __name__ == "__main__":
    main()
