"""The set-up of every benchmark: PostgreSQL with users, access tokens, and a running Portico."""

import asyncio
import os
import platform
import secrets
import shutil
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from client import Client
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from database import address, password_hash_of, postgres, seed, version_of
from jwt import PyJWK
from processes import (
    BenchmarkFailed,
    accepts,
    free_port,
    idle_share,
    run,
    running,
    wait_until,
)

RESULTS = Path(__file__).parent / "results"
ADMIN = "first.administrator@example.com"
MEMBERS, ADMINISTRATORS = 64, 8
SERVER_CORE, OTHER_CORE = 0, 1
# Longer than every run; the default is 15 minutes.
TOKEN_MINUTES = 24 * 60
QUIET = 0.9
UNTHROTTLED = {"THROTTLE_SCALE": "100000"}
# The issuer of tokens, for the server that issues them and the one that is measured.
PUBLIC_URL = "http://127.0.0.1:8000"
# Issuing tokens is not measured: the server that issues them uses cheap hashes.
CHEAP_HASHES = {"BCRYPT_ROUNDS": "4"}


@dataclass(frozen=True)
class Server:
    """A server on loopback, which may still be starting."""

    name: str
    port: int
    pid: int


@dataclass(frozen=True)
class Stage:
    """A database full of users, and what is needed to serve them."""

    directory: Path
    database_url: str
    secret_key: str
    password: str
    people: int
    pinned: bool
    idle_before: float

    @property
    def server_core(self) -> int | None:
        return SERVER_CORE if self.pinned else None

    @property
    def other_core(self) -> int | None:
        return OTHER_CORE if self.pinned else None

    @contextmanager
    def portico(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        name: str = "portico",
        under: Sequence[str] = (),
    ) -> Generator[Server]:
        """Run one worker of Portico as `portico serve` does in production.

        `under` is the command of a program that runs it, for example a profiler.
        """
        port = free_port()
        environment = {
            "DATABASE_URL": self.database_url,
            "SECRET_KEY": self.secret_key,
            "PUBLIC_URL": PUBLIC_URL,
            # Its default port may be that of another Portico on this machine.
            "MANAGEMENT_ADDRESS": f"127.0.0.1:{free_port()}",
            "DEBUG": "false",
            "ACCESS_TOKEN_EXPIRE_MINUTES": str(TOKEN_MINUTES),
            **(settings or {}),
        }
        command = [*under, sys.executable, _portico(), "serve", "--port", str(port)]
        with running(
            name,
            command,
            directory=self.directory,
            environment=environment,
            core=self.server_core,
        ) as child:
            wait_until(lambda: accepts(port), child)
            yield Server(name, port, child.process.pid)

    def tokens(self, server: Server, numbers: range) -> list[str]:
        """Sign in as these users over HTTP."""
        client = Client(server.port)
        tokens = [client.login(address(number), self.password) for number in numbers]
        return [token for token in tokens if token]

    def members(self, server: Server) -> list[str]:
        return self.tokens(server, range(1, min(MEMBERS, self.people - ADMINISTRATORS) + 1))

    def administrators(self, server: Server) -> list[str]:
        return self.tokens(server, range(self.people - ADMINISTRATORS + 1, self.people + 1))

    def write_public_key(self, server: Server) -> Path:
        """Export the key that verifies access tokens, as other services would get it."""
        keys = Client(server.port).get("/.well-known/jwks.json")["keys"]
        public = PyJWK.from_dict(keys[0]).key
        path = self.directory / "public.pem"
        path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return path


@contextmanager
def stage(people: int, *, rounds: int | None = None, pinned: bool = True) -> Generator[Stage]:
    """Start PostgreSQL, migrate it and fill it. `rounds` is the bcrypt cost of its passwords."""
    if pinned and (os.cpu_count() or 1) <= OTHER_CORE:
        raise BenchmarkFailed("Two cores are needed: one for the server, one for everything else.")
    idle = idle_share(seconds=1)
    if idle < QUIET:
        say(f"The machine is busy ({idle:.0%} idle): ratios still mean something, figures less.")
    directory = Path(tempfile.mkdtemp(prefix="portico-benchmark-"))
    # PostgreSQL does not run as root, and its user must be able to traverse this directory.
    directory.chmod(0o755)
    try:
        say(f"PostgreSQL with {people:,} people …")
        with postgres(directory, core=OTHER_CORE if pinned else None) as url:
            set_up = Stage(
                directory=directory,
                database_url=url,
                secret_key=secrets.token_urlsafe(48),
                password=f"benchmark {secrets.token_urlsafe(12)}",
                people=people,
                pinned=pinned,
                idle_before=idle,
            )
            _fill(set_up, {"BCRYPT_ROUNDS": str(rounds)} if rounds else CHEAP_HASHES)
            yield set_up
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def pin_this_script() -> None:
    """Keep this script off the core of the server, if it is the client itself."""
    os.sched_setaffinity(0, {OTHER_CORE})


def machine(stage: Stage) -> dict[str, str]:
    """Returns the properties of the machine that results depend on."""
    return {
        "taken": taken(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "postgresql": asyncio.run(version_of(stage.database_url)),
        "portico": version("portico"),
        "idle before": f"{stage.idle_before:.0%}",
    }


def taken() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def write_result(name: str, text: str) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    say(f"Written: benchmarks/results/{name}")
    return path


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fill(stage: Stage, hashing: Mapping[str, str]) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": stage.database_url,
        "SECRET_KEY": stage.secret_key,
    }
    run([_portico(), "db", "upgrade"], seconds=60, env=environment, cwd=stage.directory)
    first = {"FIRST_ADMIN_EMAIL": ADMIN, "FIRST_ADMIN_PASSWORD": stage.password}
    with stage.portico({**hashing, **first}, name="portico-first-start"):
        pass
    password_hash = asyncio.run(password_hash_of(stage.database_url, ADMIN))
    asyncio.run(
        seed(
            stage.database_url,
            stage.people,
            password_hash=password_hash,
            administrators=ADMINISTRATORS,
        )
    )


def _portico() -> str:
    return str(Path(sys.executable).parent / "portico")
