"""The servers of the comparison: how each is installed, started and called."""

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import accepts, free_port, run, running, wait_until
from stage import Server, Stage, say

HERE = Path(__file__).parent
NODE, PYTHON = HERE / "peers" / "node", HERE / "peers" / "python"
CACHE = HERE / ".cache"
POOL_SIZE = 16
INSTALL_SECONDS = 600


@dataclass(frozen=True)
class Peer:
    name: str
    label: str
    package: str
    # A Node script, or the ASGI application of a Python module.
    script: str
    # Other versions that its speed depends on.
    beside: tuple[str, ...]
    remembers_tokens: bool = False

    @property
    def in_node(self) -> bool:
        return self.script.endswith(".js")


PORTICO = "portico"
MERCURIUS_WITH = ("graphql-jit", "graphql", "fastify", "@fastify/jwt", "pg")
PEERS = (
    Peer("mercurius", "mercurius + graphql-jit", "mercurius", "mercurius.js", MERCURIUS_WITH),
    Peer(
        "mercurius-cached",
        "mercurius + graphql-jit, token cache",
        "mercurius",
        "mercurius.js",
        MERCURIUS_WITH,
        remembers_tokens=True,
    ),
    Peer("yoga", "GraphQL Yoga", "graphql-yoga", "yoga.js", ("graphql", "fast-jwt", "pg")),
    Peer(
        "apollo",
        "Apollo Server",
        "@apollo/server",
        "apollo.js",
        ("graphql", "fastify", "fast-jwt", "pg"),
    ),
    Peer(
        "ariadne", "Ariadne", "ariadne", "ariadne_peer:app", ("graphql-core", "uvicorn", "asyncpg")
    ),
    Peer(
        "strawberry",
        "Strawberry, tutorial style",
        "strawberry-graphql",
        "strawberry_peer:app",
        ("graphql-core", "fastapi", "uvicorn", "sqlalchemy", "asyncpg"),
    ),
)


def installed(peers: list[Peer]) -> list[Peer]:
    """Install what these peers need, once, without the Node peers if Node is not installed."""
    node = shutil.which("node") is not None and shutil.which("npm") is not None
    if not node and any(peer.in_node for peer in peers):
        say("Node is not installed: its servers are left out.")
    kept = [peer for peer in peers if node or not peer.in_node]
    if any(peer.in_node for peer in kept):
        _install_node()
    if any(not peer.in_node for peer in kept):
        _install_python()
    return kept


def label_of(name: str) -> str:
    return next((peer.label for peer in PEERS if peer.name == name), "Portico")


def versions(peers: list[Peer]) -> dict[str, str]:
    """Returns the exact versions that were compared, from the lock files."""
    found: dict[str, str] = {}
    if any(peer.in_node for peer in peers):
        found["node"] = run(["node", "--version"], seconds=10).strip().removeprefix("v")
    for peer in peers:
        names = (peer.package, *peer.beside)
        found[peer.label] = ", ".join(f"{name} {_version(peer, name)}" for name in names)
    return found


def _version(peer: Peer, name: str) -> str:
    if peer.in_node:
        lock = json.loads((NODE / "package-lock.json").read_text(encoding="utf-8"))
        return str(lock["packages"][f"node_modules/{name}"]["version"])
    pins = (PYTHON / "requirements.txt").read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(name)}==(\S+)", pins, re.MULTILINE)
    return found[1] if found else "?"


@contextmanager
def started(peer: Peer, stage: Stage, public_key: Path) -> Generator[Server]:
    """Run a peer on the core for servers, in production mode, without logs."""
    port = free_port()
    environment = {
        "DATABASE_URL": stage.database_url,
        "PUBLIC_KEY_FILE": str(public_key),
        "POOL_SIZE": str(POOL_SIZE),
        "PORT": str(port),
        "NODE_ENV": "production",
        "TOKEN_CACHE": "1" if peer.remembers_tokens else "0",
        "PYTHONPATH": str(PYTHON),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with running(
        peer.name,
        _command(peer, port),
        directory=stage.directory,
        environment=environment,
        core=stage.server_core,
    ) as child:
        wait_until(lambda: accepts(port), child)
        yield Server(peer.name, port, child.process.pid)


def _command(peer: Peer, port: int) -> list[str]:
    if peer.in_node:
        return ["node", str(NODE / peer.script)]
    uvicorn = [str(CACHE / "python" / "bin" / "uvicorn"), peer.script, "--port", str(port)]
    return [*uvicorn, "--no-access-log", "--log-level", "warning"]


def _install_node() -> None:
    lock = NODE / "package-lock.json"
    if _is_current(NODE / "node_modules" / ".installed", lock):
        return
    say("Installing the Node peers …")
    run(["npm", "ci", "--ignore-scripts"], seconds=INSTALL_SECONDS, cwd=NODE)
    _note(NODE / "node_modules" / ".installed", lock)


def _install_python() -> None:
    pins, home = PYTHON / "requirements.txt", CACHE / "python"
    if _is_current(home / ".installed", pins):
        return
    say("Installing the Python peers …")
    CACHE.mkdir(exist_ok=True)
    run([sys.executable, "-m", "venv", "--clear", str(home)], seconds=INSTALL_SECONDS)
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    run([*pip, "--require-hashes", "-r", str(pins)], seconds=INSTALL_SECONDS)
    _note(home / ".installed", pins)


def _is_current(mark: Path, pins: Path) -> bool:
    return mark.exists() and mark.read_text(encoding="ascii") == _digest(pins)


def _note(mark: Path, pins: Path) -> None:
    mark.write_text(_digest(pins), encoding="ascii")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
