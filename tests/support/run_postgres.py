"""The PostgreSQL of a test run: one for all its processes, started by the first that needs it.

Its files are a copy of those in pytest's cache, which hold a migrated database and are made anew
whenever a migration changes. TEST_DATABASE_URL names a server to use in its place.

The process that was started as `pytest` holds a pipe to a shell, which stops the server and deletes
its files as soon as the pipe closes: at the end of the run, and also after Ctrl-C or a crash.
"""

import asyncio
import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from app.database import migrations, revisions
from app.database.libpq.database_url import read_database_url
from app.database.libpq.hosts import SOCKET_NAME, Host
from app.testing.databases import temporary_database
from tests.support.postgres import BINARIES, USER, Cluster

NAMED = "TEST_DATABASE_URL"
RUN = pytest.StashKey["RunPostgres"]()
# A migrated database on the server of the run.
TEMPLATE = "portico_template"
CACHED = "postgres-"
CONNECT_SECONDS = 10
GONE = "The PostgreSQL of the tests has stopped: the run ends here."
STOP = f"""
cat
if [ -e "$1/data/postmaster.pid" ]; then '{BINARIES}/pg_ctl' -D "$1/data" -m immediate stop; fi
rm -rf "$1"
"""


class SocketCluster(Cluster):
    """A cluster on a Unix socket in its directory, with connections for many processes."""

    def __init__(self, directory: Path) -> None:
        self.url = f"postgresql://postgres@/postgres?host={directory}"
        super().__init__(directory, f"-h '' -k {directory} -c max_connections=300")

    @property
    def is_started(self) -> bool:
        return (self.directory / "postmaster.pid").exists()


class RunPostgres:
    """`url()` starts it if no process of the run has done so; the run deletes it at its end."""

    def __init__(self, directory: Path, cache: pytest.Cache) -> None:
        self.directory = directory
        self._cache = cache
        self._server = SocketCluster(directory / "data")
        self._hosts: list[Host] = []

    def url(self) -> str:
        url = os.environ.get(NAMED) or self._started()
        self._hosts = [*read_database_url(url, {}).hosts]
        return url

    @property
    def is_gone(self) -> bool:
        """Whether this process has used it and it no longer listens."""
        return bool(self._hosts) and not any(_listens(host) for host in self._hosts)

    def _started(self) -> str:
        with self._lock():
            if not self._server.is_started:
                self._copy_files()
                self._server.start()
        return self._server.url

    @contextmanager
    def _lock(self) -> Generator[None]:
        with (self.directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _copy_files(self) -> None:
        directory = self._server.directory
        cached = self._cached()
        if cached.exists():
            shutil.copytree(cached, directory)
            _change_owner(directory)
            return
        directory.mkdir(mode=0o700)
        _change_owner(directory)
        _make_migrated(self._server)
        self._keep(cached)

    def _keep(self, cached: Path) -> None:
        for former in cached.parent.glob(f"{CACHED}*"):
            shutil.rmtree(former, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as drafts:
            draft = shutil.copytree(self._server.directory, Path(drafts) / "data")
            # Another run may have created it meanwhile.
            with suppress(OSError):
                draft.rename(cached)

    def _cached(self) -> Path:
        return self._cache.mkdir("portico") / f"{CACHED}{_version()}"


def _version() -> str:
    """Returns a version of the files, which depends on the migrations and on PostgreSQL."""
    digest = sha256(str(BINARIES).encode())
    for path in sorted(_sources()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    """Returns the sources of migrations: their scripts, and the package that runs them."""
    yield from revisions.SCRIPTS.rglob("*.py")
    yield from Path(migrations.__file__).parent.glob("*.py")
    yield Path(__file__)


def _make_migrated(server: SocketCluster) -> None:
    server.create()
    server.start()
    server.run("createdb", "-h", str(server.directory), "-U", "postgres", TEMPLATE)
    migrations.upgrade(make_url(server.url).set(database=TEMPLATE).render_as_string())
    server.stop()


def _change_owner(directory: Path) -> None:
    """Make the user that runs PostgreSQL the owner of the files."""
    if USER is not None:
        for path in (directory, *directory.rglob("*")):
            shutil.chown(path, USER)


def _listens(host: Host) -> bool:
    try:
        _connect(host).close()
    except OSError:
        return False
    return True


def _connect(host: Host) -> socket.socket:
    if not host.is_socket:
        return socket.create_connection((host.address, host.port), CONNECT_SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(CONNECT_SECONDS)
    connection.connect(host.address + SOCKET_NAME.format(port=host.port))
    return connection


def pytest_configure(config: pytest.Config) -> None:
    assert config.cache is not None
    directory = _directory_of_the_controller(config) or _new_directory(config)
    config.stash[RUN] = RunPostgres(directory, config.cache)


def _directory_of_the_controller(config: pytest.Config) -> Path | None:
    """Returns the directory of the controller if this is a worker of pytest-xdist."""
    worker_input: dict[str, str] | None = getattr(config, "workerinput", None)
    return Path(worker_input["postgres"]) if worker_input else None


def _new_directory(config: pytest.Config) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="portico-tests-"))
    _change_owner(directory)
    # A session of its own: Ctrl-C must reach only the processes of pytest.
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", STOP, "sh", directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        user=USER,
        start_new_session=True,
    )
    config.add_cleanup(lambda: _end(keeper))
    return directory


def _end(keeper: subprocess.Popen[bytes]) -> None:
    """Close its pipe, and wait until the server is stopped and its files are gone."""
    keeper.communicate()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["postgres"] = str(node.config.stash[RUN].directory)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """End the run if the database is gone: every test would fail for that alone."""
    report = yield
    if report.failed and item.config.stash[RUN].is_gone:
        report.longrepr = GONE
        item.session.shouldfail = GONE
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count interrupted tests separately, since failures are printed in full."""
    return ("interrupted", "", "") if report.longrepr == GONE else None


@pytest.fixture(scope="session")
async def template(server_url: str) -> AsyncIterator[str]:
    """Returns the name of a migrated database, which others are copied from."""
    if NAMED not in os.environ:
        yield TEMPLATE
        return
    async with temporary_database(server_url) as url:
        await asyncio.to_thread(migrations.upgrade, url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def server_url(pytestconfig: pytest.Config) -> str:
    """Returns the URL of the PostgreSQL of the run, as its owner."""
    return pytestconfig.stash[RUN].url()
