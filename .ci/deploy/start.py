"""Starts all of deploy/compose.yaml without Docker, uses it, and stops it.

The same commands with the same settings as the same users in the same networks: see containers.py.
Called by check.sh as root, after image.py, in a mount and a network namespace of its own.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import yaml
from aiosmtpd.controller import Controller
from composing import composed
from containers import PATIENCE_SECONDS, Container, Image, Networks, run
from dockerfiles import stages

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
HERE = Path(__file__).resolve().parent
POSTGRES = "/usr/lib/postgresql/15"
REGISTER = """mutation ($email: String!, $password: String!) {
  register(input: {email: $email, password: $password}) { __typename }
}"""
LOGIN = """mutation ($email: String!, $password: String!) {
  login(input: {email: $email, password: $password}) { __typename }
}"""
VERIFY = """mutation ($token: String!) {
  verifyEmail(input: {token: $token}) {
    __typename ... on SignedIn { tokens { accessToken } }
  }
}"""
ME = "{ me { email } }"
WITHOUT = (
    "portico: DATABASE_URL is not set, "
    "and the embedded database is not part of this installation.\n"
)
# Only /tmp is writable, code is compiled, migrations shadow nothing, and there are no
# capabilities.
CONFINED = """
touch /tmp/x
grep -q '^[^ ]* / tmpfs ro,' /proc/self/mounts
grep -q '^[^ ]* /srv [^ ]* ro,' /proc/self/mounts
test -e portico/lib/python3*/site-packages/app/__pycache__/main.*.pyc
test -e portico/lib/python3*/site-packages/app/alembic/env.py
id -u
grep CapBnd /proc/self/status
"""
# Several processes combine their metrics in files, which need a writable directory.
SEVERAL = """
portico serve --workers 2 --port 8001 >/tmp/log 2>&1 &
for _ in $(seq 100); do
  sleep 0.5
  python -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:8001/health/ready')" \
    2>/dev/null && break
done
python -c "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:9465/metrics').read())"
kill $!
wait $!
"""
SUPERUSERS = """
SELECT usename FROM pg_stat_activity JOIN pg_roles ON rolname = usename
WHERE rolsuper AND backend_type = 'client backend'
"""
OWNERS = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
SERVING = """
SELECT DISTINCT usename FROM pg_stat_activity
WHERE datname = 'portico' AND usename IN ('portico_owner', 'portico_a', 'portico_b')
"""
END_PORTICO_A = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'portico_a'"
# What the database must refuse to the role of servers.
REFUSED = {
    "ALTER TABLE audit_events DISABLE TRIGGER ALL": "must be owner of table audit_events",
    "DROP TABLE audit_events": "must be owner of table audit_events",
    "CREATE TABLE mine ()": "permission denied for schema public",
}
ADA = {"email": "ada@example.com", "password": "difference engine 1"}
VARIABLES = {
    "PUBLIC_URL": "https://id.example.com",
    "FRONTEND_URL": "https://app.example.com",
    "MAIL_FROM": "Example <no-reply@example.com>",
    "FIRST_ADMIN_EMAIL": "you@example.com",
}
SMTP_URL = "smtp://mail.example:1025?tls=none"


class Post:
    """Where emails arrive."""

    def __init__(self, address: str) -> None:
        self.emails: list[bytes] = []
        self._arrived = threading.Event()
        self._controller = Controller(self, hostname=address, port=1025)
        self._controller.start()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.emails.append(envelope.content)
        self._arrived.set()
        return "250 OK"

    def token(self) -> str:
        """Wait for an email, and return its token."""
        expect(self._arrived.wait(20), "an email, from the worker")
        email = message_from_bytes(self.emails[-1], policy=policy.default)
        body = email.get_body(("plain",))
        found = re.search(r"#token=([\w-]+)", body.get_content() if body else "")
        expect(found is not None, f"a link in the email: {email}")
        return found.group(1) if found else ""

    def close(self) -> None:
        self._controller.stop()


class Secrets:
    """The secrets that `secrets.sh` creates, and the one that the operator writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.script("make")
        (path / "smtp_url").write_text(SMTP_URL)
        (path / "smtp_url").chmod(0o644)

    def script(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [DEPLOY / "secrets.sh", *arguments],
            env={**os.environ, "SECRETS_DIRECTORY": str(self.path)},
            capture_output=True,
            text=True,
            check=False,
        )

    def __getitem__(self, name: str) -> str:
        return (self.path / name).read_text()


class Composition:
    """All services, started in the order of their conditions."""

    def __init__(self, scratch: Path) -> None:
        self.secrets = Secrets(scratch / "secrets")
        file = composed(
            DEPLOY / "compose.yaml", {**VARIABLES, "SECRETS_DIRECTORY": str(self.secrets.path)}
        )
        self.services: dict[str, Any] = file["services"]
        self.networks = Networks(file["networks"], self.services)
        images = _images()
        self.containers = {
            name: Container(name, service, images[name], file["secrets"], scratch)
            for name, service in self.services.items()
        }
        self.bearer = ""
        self._ended: dict[str, int] = {}
        self._started: list[str] = []

    def start(self) -> None:
        for name in self.services:
            self._start(name)
        wait_until(self._all_healthy, "all services healthy")

    def _start(self, name: str) -> None:
        if name in self._started:
            return
        self._started.append(name)
        for other, wanted in self.services[name].get("depends_on", {}).items():
            self._start(other)
            self._wait_for(other, wanted["condition"])
        container = self.containers[name]
        self.networks.connect(name, container.pid)
        container.start(self.networks.hosts(name))

    def _wait_for(self, name: str, condition: str) -> None:
        container = self.containers[name]
        if condition == "service_healthy":
            wait_until(container.is_healthy, f"{name} healthy")
        elif name not in self._ended:
            self._ended[name] = container.wait()
            expect(self._ended[name] == 0, f"{name} succeeds: {container.log.read_text()}")

    def _all_healthy(self) -> bool:
        return all(each.is_healthy() for each in self.running if each.health)

    @property
    def running(self) -> list[Container]:
        return [each for name, each in self.containers.items() if name not in self._ended]

    def remove(self) -> None:
        for container in self.containers.values():
            container.remove()

    def logs(self) -> str:
        return "".join(
            f"--- {each.name}\n{each.log.read_text()}"
            for each in self.containers.values()
            if each.log.exists()
        )


def main(scratch: Path) -> None:
    run("mount", "--bind", str(scratch / "srv"), "/srv")
    if not sys.base_prefix.startswith("/usr"):
        run("mount", "--bind", sys.base_prefix, "/usr/local")
    composition = Composition(scratch)
    post = Post(composition.networks.gateway("outside"))
    try:
        composition.start()
        for check in CHECKS:
            began = time.monotonic()
            check(composition, post)
            print(f"{check.__name__}: {check.__doc__} ({time.monotonic() - began:.1f} s)")
    except BaseException:
        print(composition.logs(), file=sys.stderr)
        raise
    finally:
        post.close()
        composition.remove()


def people(them: Composition, post: Post) -> None:
    """A user registers through the proxy, opens the link in the email, and can use all servers."""
    proxy, one, two = (at(them, name) for name in ("proxy", "portico-1", "portico-2"))
    registered = ask(proxy, REGISTER, **ADA)["register"]
    expect(registered == {"__typename": "VerificationSent"}, f"an email: {registered}")
    verified = ask(two, VERIFY, token=post.token())["verifyEmail"]
    expect(verified["__typename"] == "SignedIn", f"signed in: {verified}")
    them.bearer = verified["tokens"]["accessToken"]
    for server in (proxy, one, two):
        me = ask(server, ME, bearer=them.bearer)
        expect(me == {"me": {"email": ADA["email"]}}, f"{server} knows them: {me}")


def metrics(them: Composition, _post: Post) -> None:
    """Metrics are served in their own network only."""
    for name, figure in (("portico-1", "portico_requests_total"), ("worker", "portico_jobs")):
        own = them.networks.address(name, "metrics")
        expect(figure in httpx.get(f"http://{own}:9464/metrics").text, f"metrics of {name}")
    expect(httpx.get(f"{at(them, 'proxy')}/metrics").status_code == 404, "none at the proxy")
    for network in ("edge", "data", "outside"):
        expect(is_closed(them.networks.address("portico-1", network), 9464), f"not in {network}")


def addresses(them: Composition, _post: Post) -> None:
    """The address of a client is the one that the proxy saw, not the one that it claims."""
    claim = {"x-forwarded-for": "203.0.113.7"}
    refused = {"email": "ada@example.com", "password": "wrong"}
    for server in (at(them, "proxy"), at(them, "portico-1")):
        ask(server, LOGIN, headers=claim, **refused)
    seen = sql(them, "SELECT ip_address FROM audit_events WHERE name = 'session.refused'")
    expect(
        set(seen.split()) == {them.networks.gateway("public"), them.networks.gateway("edge")},
        f"the addresses of who asked: {seen}",
    )


def replica(them: Composition, _post: Post) -> None:
    """The replica follows the primary."""
    state = sql(them, "SELECT state || usename FROM pg_stat_replication", user="postgres")
    expect(state == "streamingreplicator", f"a replica that streams: {state}")


def roles(them: Composition, _post: Post) -> None:
    """Nothing connects as a superuser, and servers own no tables and cannot change the audit."""
    supers = sql(them, SUPERUSERS)
    expect(supers == "", f"no connection of a superuser: {supers}")
    owners = sql(them, OWNERS)
    expect(owners == "portico_owner", f"one owner of all tables: {owners}")
    serving = sql(them, SERVING, user="postgres")
    expect(serving == "portico_a", f"one role that serves: {serving}")
    for statement, denied in REFUSED.items():
        result = psql(them, statement)
        expect(result.returncode == 1 and denied in result.stderr, f"{statement}: {result.stderr}")


def backup(them: Composition, _post: Post) -> None:
    """Backups are taken, complete, and readable by their owner only."""
    container = them.containers["backup"]
    time.sleep(1)  # Its name contains the second.
    taken = container.run("/backup.sh", "once")
    expect(taken.returncode == 0, taken.stderr)
    files = sorted((container.volume("backups") / "backups").iterdir())
    expect([each.suffix for each in files] == [".dump", ".dump"], f"two backups: {files}")
    expect({each.stat().st_mode & 0o777 for each in files} == {0o600}, "for their owner alone")
    listed = container.run("pg_restore", "--list", f"/var/lib/postgresql/backups/{files[1].name}")
    for table in ("users", "audit_events", "signing_keys"):
        expect(f"TABLE DATA public {table} portico_owner" in listed.stdout, f"{table}: {listed}")
    gone = container.run("/backup.sh", "once", PGHOST="nowhere")
    expect(gone.returncode == 1, "a reported failure")
    expect(len(files) == len(list((container.volume("backups") / "backups").glob("*.dump"))), "two")


def images(them: Composition, _post: Post) -> None:
    """The image can write to /tmp only, runs as nobody, and reports what is missing."""
    server = them.containers["portico-1"]
    confined = server.run("sh", "-ec", CONFINED)
    expect(confined.stdout.split() == ["10001", "CapBnd:", "0" * 16], f"{confined.stderr}")
    alone = server.run("portico", "db", "upgrade", DATABASE_URL_FILE=None, LOG_FORMAT=None)
    expect(alone.stderr == WITHOUT and alone.returncode == 1, f"one line: {alone.stderr}")
    management = {"MANAGEMENT_ADDRESS": "127.0.0.1:9465", "SHUTDOWN_DELAY_SECONDS": "0"}
    several = server.run("sh", "-ec", SEVERAL, **management)
    expect(
        several.returncode == 0 and "portico_hashing_places" in several.stdout,
        f"more: {several.stdout}{several.stderr}",
    )


def manifest(them: Composition, _post: Post) -> None:
    """Portico accepts the settings of the Kubernetes manifest."""
    documents = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    settings = next(each["data"] for each in documents if each["kind"] == "ConfigMap")
    code = "from app.modules import read_settings; print(read_settings().model_dump_json())"
    # The secrets are in the same place as in compose.
    places = {
        "DATABASE_URL_FILE": "/run/secrets/server_url",
        "SECRET_KEY_FILE": "/run/secrets/secret_key",
        "SMTP_URL_FILE": "/run/secrets/smtp_url",
    }
    given = them.containers["portico-1"].run("python", "-c", code, **{**settings, **places})
    expect(given.returncode == 0, f"settings: {given.stderr}")
    expect(
        str(json.loads(given.stdout)["database_pool_size"]) == settings["DATABASE_POOL_SIZE"], ""
    )


def memory(them: Composition, _post: Post) -> None:
    """Each process uses less than half of its memory limit."""
    for name in ("portico-1", "portico-2", "worker"):
        limit = them.services[name]["deploy"]["resources"]["limits"]["memory"]
        used = them.containers[name].memory() / 2**20
        print(f"  {name}: {used:.0f} MiB of {limit}")
        expect(used < int(limit.removesuffix("M")) / 2, f"{name} needs {used:.0f} MiB of {limit}")


def rotation(them: Composition, _post: Post) -> None:
    """The password of the database changes under load, and no request fails."""
    refused = them.secrets.script("renew", "portico_a")
    expect(refused.returncode == 1 and "portico_a serves" in refused.stderr, f"{refused}")
    former = them.secrets["portico_a_password"]
    with asking(them) as statuses:
        renew(them, "portico_b")
        them.secrets.script("serve-as", "portico_b")
        for name in ("portico-1", "portico-2", "worker"):
            them.containers[name].restart()
            wait_until(them.containers[name].is_healthy, f"{name} healthy")
        renew(them, "portico_a")
        sql(them, END_PORTICO_A, user="postgres")
        time.sleep(2)
    expect(len(statuses) > 50 and set(statuses) == {200}, f"answers: {statuses}")
    serving = sql(them, SERVING, user="postgres")
    expect(serving == "portico_b", f"the other role serves: {serving}")
    result = psql(them, "SELECT 1", user="portico_a", password=former)
    expect("password authentication failed" in result.stderr, f"the former password: {result}")


def renew(them: Composition, role: str) -> None:
    result = them.secrets.script("renew", role)
    expect(result.returncode == 0, result.stderr)
    # In Docker this uses the socket; here each command has files of its own.
    changed = them.containers["postgres"].run(
        "psql", "--username=postgres", "--host=127.0.0.1", "--file=/passwords.sql",
        PGPASSWORD=them.secrets["postgres_password"],
    )  # fmt: skip
    expect(changed.returncode == 0, changed.stderr)
    them.containers["pgbouncer"].send(signal.SIGHUP)


def update(them: Composition, _post: Post) -> None:
    """One server stops after it was not ready, and no request at the proxy fails."""
    leaving, own = them.containers["portico-1"], at(them, "portico-1")
    leaving.ask_to_stop()
    wait_until(lambda: httpx.get(f"{own}/health/ready").status_code == 503, "no longer ready")
    with httpx.Client(base_url=at(them, "proxy")) as client:
        while leaving.is_running():
            answer = client.post("/graphql", json={"query": ME})
            expect(answer.status_code == 200, f"an answer: {answer.text}")
            time.sleep(0.05)
        answers = [client.post("/graphql", json={"query": ME}).status_code for _ in range(20)]
    expect(answers == [200] * 20, f"the other one answers: {answers}")
    expect(leaving.wait_until_stopped() == 0, "it stops without an error")


def stop(them: Composition, _post: Post) -> None:
    """Everything stops on request, in time, and without an error."""
    for name in ("proxy", "portico-2", "worker", "pgbouncer", "backup", "replica", "postgres"):
        them.containers[name].ask_to_stop()
        ended = them.containers[name].wait_until_stopped()
        expect(ended == 0, f"{name} ends with {ended}")


def _images() -> dict[str, Image]:
    portico = Image.of(stages(DEPLOY / "Dockerfile")[-1])
    pooler = stages(DEPLOY / "pgbouncer.Dockerfile")[-1]
    # The official images, as far as they matter here.
    path = f"{POSTGRES}/bin:/usr/local/bin:/usr/bin:/bin"
    names = "sed -i /^postgres:/d etc/passwd; echo postgres:x:999:999::/:/bin/sh >>etc/passwd"
    postgres = Image(
        entrypoint=["/docker-entrypoint.sh"],
        environment={"PATH": path, "PGDATA": "/var/lib/postgresql/18/docker"},
        stop_signal="SIGINT",
        made=f"cp {HERE}/postgres-entrypoint.sh docker-entrypoint.sh; {names}",
    )
    # Debian's nginx makes these where the official image's has /var/cache/nginx.
    folders = "mkdir -p var/lib/nginx/fastcgi var/lib/nginx/uwsgi var/lib/nginx/scgi"
    nginx = Image(stop_signal="SIGQUIT", made=folders)
    return {
        **dict.fromkeys(("portico-1", "portico-2", "worker", "migrate"), portico),
        **dict.fromkeys(("postgres", "replica", "backup"), postgres),
        "pgbouncer": Image.of(pooler),
        "proxy": nginx,
    }


def ask(
    server: str,
    query: str,
    bearer: str | None = None,
    headers: dict[str, str] | None = None,
    **variables: str,
) -> Any:
    given = {**(headers or {}), **({"authorization": f"Bearer {bearer}"} if bearer else {})}
    body = {"query": query, "variables": variables}
    return httpx.post(f"{server}/graphql", json=body, headers=given, timeout=20).json()["data"]


def at(them: Composition, name: str) -> str:
    """Returns the address of a service: the proxy's published one, a server's internal one."""
    if name == "proxy":
        return f"http://{them.networks.address(name, 'public')}:8080"
    return f"http://{them.networks.address(name, 'edge')}:8000"


def sql(them: Composition, statement: str, user: str = "portico_a") -> str:
    result = psql(them, statement, user)
    expect(result.returncode == 0, result.stderr)
    return result.stdout.strip()


def psql(
    them: Composition, statement: str, user: str = "portico_a", password: str | None = None
) -> subprocess.CompletedProcess[str]:
    options = ("--no-psqlrc", "--tuples-only", "--no-align", "--host", "127.0.0.1")
    return them.containers["postgres"].run(
        "psql", *options, "--username", user, "--command", statement, "portico",
        PGPASSWORD=password or them.secrets[f"{user}_password"],
    )  # fmt: skip


@contextmanager
def asking(them: Composition) -> Generator[list[int]]:
    """Request `me` repeatedly through the proxy; yields the status codes."""
    statuses: list[int] = []
    over = threading.Event()
    headers = {"authorization": f"Bearer {them.bearer}"}

    def ask_on() -> None:
        with httpx.Client(base_url=at(them, "proxy"), headers=headers, timeout=20) as client:
            while not over.is_set():
                answer = client.post("/graphql", json={"query": ME})
                known = answer.json().get("data") == {"me": {"email": ADA["email"]}}
                statuses.append(answer.status_code if known else 0)
                time.sleep(0.05)

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join()


def is_closed(address: str, port: int) -> bool:
    try:
        httpx.get(f"http://{address}:{port}/", timeout=2)
    except httpx.ConnectError:
        return True
    return False


def wait_until(true: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not true():
        expect(time.monotonic() < until, what)
        time.sleep(0.3)


def expect(true: bool, what: str) -> None:
    if not true:
        raise SystemExit(f"expected {what}")


CHECKS = (
    people,
    metrics,
    addresses,
    replica,
    roles,
    backup,
    images,
    manifest,
    memory,
    rotation,
    update,
    stop,
)

if __name__ == "__main__":
    main(Path(sys.argv[1]))
