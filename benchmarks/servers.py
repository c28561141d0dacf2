"""The servers of the comparison: what each consists of, and how it is started."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import BenchmarkFailed, accepts, free_port, running, wait_until
from runtimes import Bun, Go, Node, PorticoPython, Python, Runtime
from stage import Server, Stage

PORTICO = "portico"
POOL_SIZE = 16


@dataclass(frozen=True)
class Peer:
    name: str
    label: str
    runtime: Runtime
    # A script, a program, or the ASGI application of a Python module.
    script: str
    # What its speed depends on: their versions are in the results.
    packages: tuple[str, ...]
    remembers_tokens: bool = False
    # Reads the session of the token from the database on every request, as Portico does.
    asks_sessions: bool = False
    # Does less than a GraphQL server must: what is left for those that do it all.
    is_floor: bool = False
    # Sends recorded answers, whatever the token.
    is_fixed: bool = False


NODE, BUN, PYTHON, PORTICO_PYTHON, GO = Node(), Bun(), Python(), PorticoPython(), Go()
MERCURIUS = ("mercurius", "graphql-jit", "graphql", "fastify", "@fastify/jwt", "pg", "node")
BUN_PACKAGES = ("bun", "graphql-jit", "graphql", "lru-cache")
JWT, PGX = "github.com/golang-jwt/jwt", "github.com/jackc/pgx/v4"
PEERS = (
    Peer(
        "bun-cached",
        "Bun + Bun.SQL + graphql-jit, token cache",
        BUN,
        "server.js",
        BUN_PACKAGES,
        remembers_tokens=True,
        asks_sessions=True,
    ),
    Peer(
        "bun",
        "Bun + Bun.SQL + graphql-jit",
        BUN,
        "server.js",
        BUN_PACKAGES,
        asks_sessions=True,
    ),
    Peer(
        "go",
        "Go, graph-gophers + pgx",
        GO,
        "graphql",
        ("go", "github.com/graph-gophers/graphql-go", PGX, JWT),
        asks_sessions=True,
    ),
    Peer(
        "go-plain",
        "Go, pgx, no GraphQL, token cache",
        GO,
        "plain",
        ("go", PGX, JWT, "github.com/hashicorp/golang-lru"),
        remembers_tokens=True,
        asks_sessions=True,
        is_floor=True,
    ),
    Peer(
        "mercurius-cached",
        "mercurius + graphql-jit, token cache",
        NODE,
        "mercurius.js",
        MERCURIUS,
        remembers_tokens=True,
    ),
    Peer("mercurius", "mercurius + graphql-jit", NODE, "mercurius.js", MERCURIUS),
    Peer("yoga", "GraphQL Yoga", NODE, "yoga.js", ("graphql-yoga", "graphql", "fast-jwt", "pg")),
    Peer(
        "apollo",
        "Apollo Server",
        NODE,
        "apollo.js",
        ("@apollo/server", "graphql", "fastify", "fast-jwt", "pg"),
    ),
    Peer(
        "ariadne",
        "Ariadne",
        PYTHON,
        "ariadne_peer:app",
        ("ariadne", "graphql-core", "uvicorn", "asyncpg"),
    ),
    Peer(
        "strawberry",
        "Strawberry, tutorial style",
        PYTHON,
        "strawberry_peer:app",
        ("strawberry-graphql", "graphql-core", "fastapi", "uvicorn", "sqlalchemy", "asyncpg"),
    ),
    Peer(
        "asgi",
        "bare ASGI application, recorded answers",
        PORTICO_PYTHON,
        "asgi_floor:app",
        ("uvicorn", "uvloop", "httptools"),
        is_floor=True,
        is_fixed=True,
    ),
)


def peer_of(name: str) -> Peer | None:
    """Returns the peer of this name; None for Portico."""
    return next((peer for peer in PEERS if peer.name == name), None)


def label_of(name: str) -> str:
    peer = peer_of(name)
    return peer.label if peer else "Portico"


def is_floor(name: str) -> bool:
    peer = peer_of(name)
    return peer is not None and peer.is_floor


def missing(peers: list[Peer]) -> dict[str, str]:
    """Returns the names of the peers that cannot run here, with what they need."""
    return {peer.name: needed for peer in peers if (needed := peer.runtime.missing())}


def require(peers: list[Peer]) -> None:
    """Check that all these peers can run here.

    Raises:
        BenchmarkFailed: something has to be installed first.

    """
    absent = missing(peers)
    if absent:
        needed = "\n".join(f"  {name} needs {what}" for name, what in absent.items())
        raise BenchmarkFailed(
            f"Not installed:\n{needed}\nInstall it, or leave these out with --peers available."
        )


def install(peers: list[Peer]) -> None:
    """Install what these peers need, once."""
    for runtime in dict.fromkeys(peer.runtime for peer in peers):
        runtime.install()


def versions(peers: list[Peer]) -> dict[str, str]:
    """Returns the exact versions that were compared."""
    return {
        peer.label: ", ".join(f"{name} {peer.runtime.version_of(name)}" for name in peer.packages)
        for peer in peers
    }


@contextmanager
def started(
    peer: Peer, stage: Stage, public_key: Path, answers: Path, *, under: Sequence[str] = ()
) -> Generator[Server]:
    """Run a peer on the core for servers, in production mode, without logs.

    `under` is the command of a program that runs it, for example a profiler.
    """
    port = free_port()
    environment = {
        "DATABASE_URL": stage.database_url,
        "PUBLIC_KEY_FILE": str(public_key),
        "POOL_SIZE": str(POOL_SIZE),
        "PORT": str(port),
        "UVICORN_PORT": str(port),
        "TOKEN_CACHE": "1" if peer.remembers_tokens else "0",
        "ANSWERS": str(answers),
        **peer.runtime.environment,
    }
    with running(
        peer.name,
        [*under, *peer.runtime.command(peer.script)],
        directory=stage.directory,
        environment=environment,
        core=stage.server_core,
    ) as child:
        wait_until(lambda: accepts(port), child)
        yield Server(peer.name, port, child.process.pid)
