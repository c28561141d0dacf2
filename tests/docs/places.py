"""Where a page is run: a copy of the repository, ports of its own, and the programs it names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from app.config.sources import secret_files
from app.modules import MODULES, settings_class
from tests.support.postgres import BINARIES, Postgres
from tests.support.servers import free_port

ROOT = Path(__file__).parent.parent.parent
# What a developer's shell says for another purpose. What a page needs, it says itself.
OTHERS = ("PG", "OTEL_", "VIRTUAL_ENV", "PYTHON", "PYTEST_", "UV_RUN_", "COVERAGE_")


class Place:
    """A page's own place.

    The addresses that documents print are taken on many a machine, so others stand for them:
    `here` and `as_printed` translate.
    """

    def __init__(self, scratch: Path, postgres: Postgres | None = None) -> None:
        self.scratch = scratch
        self.checkout = scratch / "portico"
        _copy_repository(self.checkout)
        self.port, management = free_port(), free_port()
        self._addresses = {
            "127.0.0.1:8000": f"127.0.0.1:{self.port}",
            "localhost:8000": f"localhost:{self.port}",
            "127.0.0.1:9464": f"127.0.0.1:{management}",
        }
        if postgres is not None:
            self._addresses["db.example"] = f"127.0.0.1:{postgres.port}"
        self.management = f"127.0.0.1:{management}"
        self.environment = _environment(self._programs(), postgres) | {
            "MANAGEMENT_ADDRESS": self.management,
            "OUTPUT": str(self.output),
            "PYTHON": sys.executable,
            # `npm create` asks whether it may install what it runs.
            "npm_config_yes": "true",
            "RUN_OF_DOCS": str(scratch),
        }

    @property
    def output(self) -> Path:
        """The file with what the last block printed."""
        return self.scratch / "output"

    def here(self, text: str) -> str:
        for printed, ours in self._addresses.items():
            text = text.replace(printed, ours)
        return text

    def as_printed(self, text: str) -> str:
        for printed, ours in self._addresses.items():
            text = text.replace(ours, printed)
        return text

    def _programs(self) -> str:
        """Returns a PATH with `portico` and PostgreSQL, and without the environment of the tests.

        What `python3` and `pip` are is what they are for a reader.
        """
        folder = self.scratch / "programs"
        folder.mkdir()
        environment = Path(sys.executable).parent
        (folder / "portico").symlink_to(environment / "portico")
        places = os.environ["PATH"].split(os.pathsep)
        others = [place for place in places if Path(place) != environment]
        return os.pathsep.join((str(folder), str(BINARIES), *others, "/usr/sbin"))


def _environment(path: str, postgres: Postgres | None) -> dict[str, str]:
    kind = settings_class(MODULES)
    settings = {name.upper() for name in (*kind.model_fields, *secret_files(kind).values())}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in settings and not name.startswith(OTHERS)
    }
    return kept | {"PATH": path, "LANG": "C.UTF-8"} | _server(postgres)


def _server(postgres: Postgres | None) -> dict[str, str]:
    if postgres is None:
        return {}
    return {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port)}


def _copy_repository(folder: Path) -> None:
    listed = subprocess.run(
        ["/usr/bin/env", "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    # Which versions a developer has is in a file that is not tracked.
    for name in (*listed.stdout.rstrip("\0").split("\0"), "uv.lock"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def documents() -> list[str]:
    """Returns the names of all documents whose blocks are run."""
    pages = (ROOT / "docs").rglob("*.md")
    return ["README.md", "CONTRIBUTING.md", *sorted(str(page.relative_to(ROOT)) for page in pages)]
