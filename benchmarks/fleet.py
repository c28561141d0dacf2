"""All processes of a production deployment on loopback, configured by the files in `deploy`.

nginx, two `portico serve`, `portico worker`, PgBouncer, PostgreSQL and its streaming replica: each
may be ended and started at any time.
"""

import asyncio
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from client import Client
from database import binaries, server_user
from processes import (
    BenchmarkFailed,
    Child,
    accepts,
    attempt,
    free_port,
    run,
    running,
    wait_until,
)

DEPLOY = Path(__file__).parent.parent / "deploy"
ADMIN = "root@example.com"
LOOPBACK = "127.0.0.1"
# What an operator sets for the files in `deploy`.
BEHIND = {
    "DATABASE_PREPARED_STATEMENTS": "false",
    "JOBS_WORKER": "false",
    "SHUTDOWN_DELAY_SECONDS": "5",
}
# Settings for this run only.
FOR_THE_RUN = {
    "BCRYPT_ROUNDS": "4",
    "THROTTLE_SCALE": "100000",
    "LOG_FORMAT": "json",
    # Shorter than the defaults, so that a minute is enough for a fault.
    "WORKER_TIMEOUT_SECONDS": "10",
    "DATABASE_READ_MAX_LAG_SECONDS": "5",
}
GONE_SECONDS = 30
SUPERVISED_SECONDS = 1


@dataclass
class Part:
    """One process of the fleet, which may be ended and started any number of times."""

    name: str
    command: Sequence[str]
    directory: Path
    ready: Callable[["Part"], bool]
    # Read at each start, so that changes apply from then on.
    environment: Callable[[], Mapping[str, str]] = dict[str, str]
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    starts: int = 0
    # Whether it should run: if it ends by itself, it is started again.
    wanted: bool = False
    _child: Child | None = None
    _end: ExitStack = field(default_factory=ExitStack)

    @property
    def child(self) -> Child:
        if self._child is None:
            raise BenchmarkFailed(f"{self.name} has not been started")
        return self._child

    @property
    def pid(self) -> int:
        return self.child.process.pid

    def begin(self) -> None:
        """Start it without waiting until it is ready."""
        self.starts += 1
        self.wanted = True
        self._end = ExitStack()
        self._child = self._end.enter_context(
            running(
                f"{self.name}-{self.starts}",
                self.command,
                directory=self.directory,
                environment=self.environment(),
                user=self.user,
                stop_signal=self.stop_signal,
            )
        )

    def start(self) -> None:
        self.begin()
        wait_until(lambda: self.ready(self), self.child)

    def stop(self, how: signal.Signals | None = None) -> None:
        """Stop it, and wait until it has ended."""
        self.wanted = False
        self.child.process.send_signal(how or self.stop_signal)
        try:
            self.child.process.wait(GONE_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchmarkFailed(f"{self.name} did not end:\n{self.child.log_tail()}") from None
        self.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        self.wanted = False
        self._end.close()

    def supervise(self) -> None:
        """Start it again if it has ended by itself."""
        if self.wanted and self.child.process.poll() is not None:
            self.close()
            self.begin()

    def logs(self) -> str:
        """Returns the output of all its starts."""
        files = (self.directory / f"{self.name}-{number + 1}.log" for number in range(self.starts))
        return "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


@dataclass(frozen=True)
class Ports:
    primary: int = field(default_factory=free_port)
    replica: int = field(default_factory=free_port)
    pooler: int = field(default_factory=free_port)
    portico_1: int = field(default_factory=free_port)
    portico_2: int = field(default_factory=free_port)
    proxy: int = field(default_factory=free_port)
    management_1: int = field(default_factory=free_port)
    management_2: int = field(default_factory=free_port)
    management_worker: int = field(default_factory=free_port)


@dataclass
class Fleet:
    """All processes and their credentials. `secret_key` is for processes started from now on."""

    directory: Path
    primary_data: Path | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    # The address at which nginx reaches Portico.
    network: str = LOOPBACK
    ports: Ports = field(default_factory=Ports)
    password: str = field(default_factory=lambda: f"fleet {secrets.token_urlsafe(12)}")
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    database_password: str = field(default_factory=lambda: secrets.token_urlsafe(15))
    parts: dict[str, Part] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def __getitem__(self, name: str) -> Part:
        return self.parts[name]

    def url(
        self, *, user: str = "portico_a", port: int | None = None, name: str = "portico"
    ) -> str:
        """Returns the URL of a database, by default of the primary itself."""
        port = port or self.ports.primary
        return f"postgresql://{user}:{self.database_password}@127.0.0.1:{port}/{name}"

    @property
    def direct(self) -> dict[str, str]:
        """Returns the settings of `portico worker` and commands, for PostgreSQL itself."""
        return {
            "DATABASE_URL": self.url(),
            "SECRET_KEY": self.secret_key,
            "SMTP_URL": "console:",
            "PUBLIC_URL": f"http://127.0.0.1:{self.ports.proxy}",
            "MANAGEMENT_ADDRESS": "off",
            **FOR_THE_RUN,
            **self.extra,
        }

    @property
    def behind(self) -> dict[str, str]:
        """Returns the settings of the two servers."""
        pooler = self.ports.pooler
        return {
            **self.direct,
            "DATABASE_URL": self.url(port=pooler),
            "DATABASE_READ_URL": self.url(port=pooler, name="portico_read"),
            "FIRST_ADMIN_EMAIL": ADMIN,
            "FIRST_ADMIN_PASSWORD": self.password,
            "TRUSTED_PROXIES": self.network,
            **BEHIND,
        }

    @property
    def owner(self) -> dict[str, str]:
        """Returns the settings of the command that migrates."""
        return {"DATABASE_URL": self.url(user="portico_owner")}

    def portico(self, *arguments: str) -> str:
        """Run a command of Portico to its end."""
        return self._command(arguments, self.direct)

    def tried(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the settings of a server and others, whether it fails or not.

        Raises:
            BenchmarkFailed: it takes longer than a minute.

        """
        return attempt(
            [portico_command(), *arguments],
            seconds=60,
            cwd=self.directory,
            env={**self.behind, **changes},
        )

    def fetch(self, sql: str, *, url: str | None = None) -> list[asyncpg.Record]:
        """Ask PostgreSQL itself."""
        return asyncio.run(_fetch(url or self.url(user="postgres"), sql))

    def start(self) -> None:
        self._start_databases()
        self._start_pooler()
        for number in (1, 2):
            self._add(_portico(self, number)).start()
        self._add(_worker(self)).start()
        self._start_proxy()
        threading.Thread(target=self._supervise, daemon=True).start()

    def stop(self) -> None:
        self._over.set()
        for part in reversed(self.parts.values()):
            part.close()

    def _supervise(self) -> None:
        """Restart processes that have ended, as systemd, Docker and Kubernetes do."""
        while not self._over.wait(SUPERVISED_SECONDS):
            for part in self.parts.values():
                part.supervise()

    def _add(self, part: Part) -> Part:
        self.parts[part.name] = part
        return part

    def _start_databases(self) -> None:
        user = server_user()
        for path in (self.directory, *([self.primary_data] if self.primary_data else [])):
            shutil.chown(path, user) if user else None
        password = self._write("password", self.database_password)
        data = (self.primary_data or self.directory) / "primary"
        _run_tool("initdb", "-D", str(data), "-U", "postgres", "-E", "UTF8", "--locale=C",
                  "-A", "scram-sha-256", f"--pwfile={password}",
                  f"--waldir={self.directory / 'wal'}")  # fmt: skip
        self._add(_postgres(self, "primary", data, self.ports.primary)).start()
        for statement in _statements(DEPLOY / "postgres" / "roles.sql"):
            self.fetch(statement, url=self.url(user="postgres", name="postgres"))
        for role in ("portico_owner", "portico_a"):
            self.fetch(f"ALTER ROLE {role} PASSWORD '{self.database_password}'")
        self._command(("db", "upgrade", "--grant", "portico_server"), self.owner)
        copy = self.directory / "replica"
        _run_tool("pg_basebackup", "-d", self.url(user="postgres"), "-D", str(copy), "-R",
                  "-c", "fast")  # fmt: skip
        self._add(_postgres(self, "replica", copy, self.ports.replica)).start()

    def _start_pooler(self) -> None:
        users = self._write("userlist.txt", f'"portico_a" "{self.database_password}"\n')
        text = replaced(DEPLOY / "pgbouncer.ini", {
            "host=postgres port=5432": f"host=127.0.0.1 port={self.ports.primary}",
            "host=replica port=5432": f"host=127.0.0.1 port={self.ports.replica}",
            "listen_addr = *": "listen_addr = 127.0.0.1",
            "listen_port = 6432": f"listen_port = {self.ports.pooler}",
            "/etc/pgbouncer/userlist.txt": str(users),
        })  # fmt: skip
        command = [_tool("pgbouncer"), str(self._write("pgbouncer.ini", text))]
        accepting = _accepting(self.ports.pooler)
        self._add(Part("pgbouncer", command, self.directory, accepting, user=server_user(),
                       stop_signal=signal.SIGINT))  # fmt: skip
        self["pgbouncer"].start()

    def _start_proxy(self) -> None:
        text = replaced(DEPLOY / "nginx.conf", {
            "portico-1:8000": f"{self.network}:{self.ports.portico_1}",
            "portico-2:8000": f"{self.network}:{self.ports.portico_2}",
            "listen 8080": f"listen 127.0.0.1:{self.ports.proxy}",
            "/tmp/nginx": f"{self.directory}/nginx",  # noqa: S108 - in a container of its own
        })  # fmt: skip
        command = [_tool("nginx"), "-c", str(self._write("nginx.conf", text)),
                   "-p", str(self.directory), "-e", "stderr", "-g", "daemon off;"]  # fmt: skip
        self._add(Part("nginx", command, self.directory, _accepting(self.ports.proxy)))
        self["nginx"].start()

    def _command(self, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
        return run(
            [portico_command(), *arguments], seconds=120, cwd=self.directory, env=environment
        )

    def _write(self, name: str, text: str) -> Path:
        """Write a file that only PostgreSQL's user can read."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        user = server_user()
        if user:
            shutil.chown(path, user)
        return path


@contextmanager
def fleet(
    extra: Mapping[str, str] | None = None,
    *,
    primary_data: Path | None = None,
    network: str = LOOPBACK,
) -> Generator[Fleet]:
    """Run all of it until the block ends.

    The primary's tables may lie on a disk of their own, and `network` may be an address by which
    nginx reaches Portico over a network that is slower than loopback.
    """
    directory = Path(tempfile.mkdtemp(prefix="portico-fleet-"))
    directory.chmod(0o755)
    whole = Fleet(directory, primary_data, extra or {}, network)
    try:
        whole.start()
        yield whole
    finally:
        whole.stop()
        shutil.rmtree(directory, ignore_errors=True)


def replaced(path: Path, values: Mapping[str, str]) -> str:
    """Returns a file of `deploy` with other hosts, ports and paths; each must occur in it."""
    text = path.read_text(encoding="utf-8")
    for old, new in values.items():
        if old not in text:
            raise BenchmarkFailed(f"{path.name} no longer contains {old!r}")
        text = text.replace(old, new)
    return text


def portico_command() -> str:
    return str(Path(sys.executable).parent / "portico")


def is_ready(port: int) -> bool:
    try:
        return Client(port).send("GET", "/health/ready", None)[0] == 200
    except (OSError, BenchmarkFailed):
        return False


def wait_for(happened: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Returns the seconds that it took.

    Raises:
        BenchmarkFailed: longer than that.

    """
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if happened():
            return time.monotonic() - began
        time.sleep(0.02)
    raise BenchmarkFailed(f"not within {seconds:.0f} s: {what}")


def _portico(whole: Fleet, number: int) -> Part:
    port = (whole.ports.portico_1, whole.ports.portico_2)[number - 1]
    # One with a single process and one with two: they stop and replace workers in different ways.
    host = LOOPBACK if whole.network == LOOPBACK else "0.0.0.0"  # noqa: S104 - in a namespace
    command = [portico_command(), "serve", "--port", str(port), "--workers", str(number),
               "--host", host]  # fmt: skip
    management = (whole.ports.management_1, whole.ports.management_2)[number - 1]
    return Part(f"portico-{number}", command, whole.directory, lambda _: is_ready(port),
                lambda: {**whole.behind, **_managed(management)})  # fmt: skip


def _worker(whole: Fleet) -> Part:
    return Part("worker", [portico_command(), "worker"], whole.directory, _works,
                lambda: {**whole.direct, **_managed(whole.ports.management_worker)})  # fmt: skip


def _managed(port: int) -> dict[str, str]:
    return {"MANAGEMENT_ADDRESS": f"127.0.0.1:{port}"}


def _postgres(whole: Fleet, name: str, data: Path, port: int) -> Part:
    command = [_tool("postgres"), "-D", str(data), "-p", str(port)]
    for setting in (
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "shared_buffers=64MB",
        "log_line_prefix=%m [%p] ",
    ):
        command += ["-c", setting]

    def ready(part: Part) -> bool:
        return accepts(port) and "ready to accept" in part.child.log_tail()

    # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to disconnect.
    return Part(name, command, whole.directory, ready, user=server_user(),
                stop_signal=signal.SIGINT)  # fmt: skip


def _statements(path: Path) -> list[str]:
    """Returns the statements of a file that has neither quoted semicolons nor commands of psql."""
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return [each.strip() for each in text.split(";") if each.strip()]


def _accepting(port: int) -> Callable[[Part], bool]:
    return lambda _: accepts(port)


def _works(part: Part) -> bool:
    return "Running jobs" in part.child.log_tail()


def _tool(name: str) -> str:
    for folder in (binaries(), Path("/usr/sbin"), Path("/usr/bin")):
        if (folder / name).exists():
            return str(folder / name)
    raise BenchmarkFailed(f"{name} is needed: apt-get install postgresql pgbouncer nginx-light wrk")


def _run_tool(name: str, *arguments: str) -> None:
    run([_tool(name), *arguments], seconds=60, cwd=Path("/"), user=server_user())


async def _fetch(url: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetch(sql, timeout=20)
    finally:
        await connection.close()
