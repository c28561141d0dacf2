"""Runs the previous version beside the new one, on the new tables: a rolling upgrade.

The former code is BASE_REF, or what there was before the newest migration was added. It makes the
database, the new code migrates it, and both serve. Fails where the new code does not go on from
what the former one made, where that does not start afterwards, or where what a person does with
both of them goes wrong.
"""

import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from app.database import revisions
from tests.support.postgres import postgres
from tests.support.servers import free_port

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.lock"
START_SECONDS = 40
SETTINGS = {
    "SECRET_KEY": "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA",
    "BCRYPT_ROUNDS": "4",
    "MANAGEMENT_ADDRESS": "off",
    # Both servers have the same issuer.
    "PUBLIC_URL": "http://127.0.0.1",
    "FIRST_ADMIN_EMAIL": "root@example.com",
    "FIRST_ADMIN_PASSWORD": "nanoseconds of wire",
}
PORTICO = (
    "import sys; from app.cli import main; sys.argv[0] = 'portico'; getattr(main, 'main', main)()"
)

SIGNED_IN = "__typename ... on SignedIn { tokens { accessToken refreshToken } }"
REGISTER = f"mutation($input: RegisterInput!) {{ done: register(input: $input) {{ {SIGNED_IN} }} }}"
LOGIN = f"mutation($input: LoginInput!) {{ done: login(input: $input) {{ {SIGNED_IN} }} }}"
REFRESH = (
    "mutation($input: RefreshSessionInput!) "
    f"{{ done: refreshSession(input: $input) {{ {SIGNED_IN} }} }}"
)
LOGOUT = "mutation { logout { sessionsEnded } }"
ME = "{ me { email } }"
USERS = "{ users { totalCount nodes { email role isActive lastLoginAt } } }"
EVENTS = "{ auditEvents { nodes { name } } }"
ADA = {"email": "ada@example.com", "password": "difference engine 1"}
ROOT_ADMIN = {
    "email": SETTINGS["FIRST_ADMIN_EMAIL"],
    "password": SETTINGS["FIRST_ADMIN_PASSWORD"],
}


def git(*arguments: str) -> bytes | None:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    return run.stdout if run.returncode == 0 else None


def former_code() -> str:
    named = os.environ.get("BASE_REF")
    if named:
        return named
    # A migration that was changed before its release is still the same step of an upgrade.
    newest = git("log", "-1", "--format=%H", "--diff-filter=A", "--", "alembic/versions")
    if not newest:
        sys.exit("No commit has added a migration: is this a whole clone?")
    return f"{newest.decode().strip()}~1"


def check_out(base: str, folder: Path) -> None:
    archive = git("archive", base)
    if archive is None:
        sys.exit(f"git cannot archive {base}")
    with tarfile.open(fileobj=BytesIO(archive)) as files:
        files.extractall(folder, filter="data")


def python_of(folder: Path) -> Path:
    """Returns our Python if both have the same libraries, or else one with the previous lock."""
    lock = folder / LOCK
    if lock.exists() and lock.read_bytes() == (ROOT / LOCK).read_bytes():
        return Path(sys.executable)
    # `uv run` sets the path of its environment.
    uv, venv = os.environ.get("UV", "uv"), folder / ".venv"
    subprocess.run([uv, "venv", "-q", venv], check=True)
    # `uv pip install` would apply the current constraints to the previous version.
    subprocess.run(
        [uv, "pip", "sync", "-q", "--python", venv, "--require-hashes", lock], check=True
    )
    # It reads its own version.
    subprocess.run([uv, "pip", "install", "-q", "--python", venv, "--no-deps", folder], check=True)
    return venv / "bin" / "python"


def environment_of(code: Path, database: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(code),
        "DATABASE_URL": database,
        **SETTINGS,
    }


def migrate(python: Path, code: Path, database: str) -> None:
    """Run `portico db upgrade` of the code in a folder, from an empty working directory."""
    with TemporaryDirectory() as cwd:
        subprocess.run(
            [python, "-c", PORTICO, "db", "upgrade"],
            cwd=cwd,
            env=environment_of(code, database),
            check=True,
        )


@contextmanager
def serving(name: str, python: Path, code: Path, database: str) -> Generator["Client"]:
    """Serve the code in a folder, from an empty working directory: no `.env` is read."""
    port = free_port()
    environment = environment_of(code, database)
    with TemporaryDirectory() as cwd, (Path(cwd) / "log").open("w") as log:
        server = subprocess.Popen(
            [python, "-c", PORTICO, "serve", "--port", str(port)],
            cwd=cwd,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            client = Client(name, f"http://127.0.0.1:{port}")
            client.wait_until_ready(server)
            yield client
        except BaseException:
            print(f"-- {name} said:\n{Path(log.name).read_text()}")
            raise
        finally:
            server.terminate()
            server.wait()


class Client:
    """A client of one of the servers."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url

    def wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and server.poll() is None:
            try:
                if httpx.get(f"{self.url}/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        sys.exit(f"{self.name} does not serve on the new tables")

    def ask(self, query: str, bearer: str | None = None, **variables: Any) -> Any:
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.url}/graphql", json=body, headers=headers).json()
        if "errors" in answer:
            sys.exit(f"{self.name} answers {query}\n{answer['errors']}")
        return answer["data"]

    def tokens(self, mutation: str, **given: str) -> dict[str, str]:
        done = self.ask(mutation, input=given)["done"]
        if done["__typename"] != "SignedIn":
            sys.exit(f"{self.name} answers {mutation}\n{done}")
        return done["tokens"]


def use_both(one: Client, other: Client) -> None:
    """Start a session at one server, and continue it at the other."""
    email = f"{one.name}@example.com"
    one.tokens(REGISTER, email=email, password=ADA["password"])
    tokens = other.tokens(LOGIN, email=email, password=ADA["password"])
    tokens = one.tokens(REFRESH, refreshToken=tokens["refreshToken"])
    for client in (one, other):
        me = client.ask(ME, tokens["accessToken"])
        if me != {"me": {"email": email}}:
            sys.exit(f"{client.name} takes {email} for {me}")
    other.ask(LOGOUT, tokens["accessToken"])
    admin = one.tokens(LOGIN, **ROOT_ADMIN)["accessToken"]
    for client in (one, other):
        emails = {user["email"] for user in client.ask(USERS, admin)["users"]["nodes"]}
        if not emails >= {email, ROOT_ADMIN["email"]}:
            sys.exit(f"{client.name} lists only {emails}")
        client.ask(EVENTS, admin)


def main() -> None:
    base = former_code()
    with TemporaryDirectory() as folder, postgres() as server, ExitStack() as servers:
        former = Path(folder)
        check_out(base, former)
        python = python_of(former)
        migrate(python, former, server.url)
        migrate(Path(sys.executable), ROOT, server.url)
        new = servers.enter_context(serving("new", Path(sys.executable), ROOT, server.url))
        old = servers.enter_context(serving("old", python, former, server.url))
        use_both(old, new)
        use_both(new, old)
    print(f"{base[:12]} and the new code have served side by side on revision {revisions.head()}")


main()
