"""Checks Portico behind Caddy in a common setup: TLS and HTTP/2 to clients, HTTP/1.1 to Portico.

Status codes and CORS arrive as they are, connections are kept, the address is the client's, and two
servers behind it can be replaced one after the other without a request that fails.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.postgres import postgres
from tests.support.servers import Server, free_port, portico, serving

ORIGIN, STRANGER = "https://pr-7.preview.example", "https://evil.example"
ADMIN, PASSWORD = "root@example.com", "correct horse battery staple"
# Where requests come from; the proxy itself has 127.0.0.1.
ADDRESS = "127.0.0.5"
SETTINGS = {
    "SECRET_KEY": "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA",
    "SMTP_URL": "smtp://127.0.0.1:1?tls=none",
    "CORS_ORIGINS": "https://*.preview.example",
    "TRUSTED_PROXIES": "127.0.0.1",
    "THROTTLE_SCALE": "1000",
    "JOBS_WORKER": "false",
    # Longer than Caddy takes to notice by `health_uri`.
    "SHUTDOWN_DELAY_SECONDS": "2",
}
CADDYFILE = """
{{
    admin off
    auto_https disable_redirects
    skip_install_trust
}}
https://localhost:{alone} {{
    tls internal
    reverse_proxy 127.0.0.1:{first}
}}
https://localhost:{both} {{
    tls internal
    reverse_proxy 127.0.0.1:{first} 127.0.0.1:{second} {{
        health_uri /health/ready
        health_interval 500ms
        lb_try_duration 5s
    }}
}}
"""
SIGN_IN = """
mutation ($input: LoginInput!) {
  login(input: $input) { ... on SignedIn { tokens { accessToken } } }
}
"""
FROM = '{ auditEvents(first: 1, filter: {names: ["session.started"]}) { nodes { ipAddress } } }'
GRAPHQL_JSON = "application/graphql-response+json"
START_SECONDS = 15
CROWD, MOST_KEPT = 4, 8


@dataclass(frozen=True)
class Answer:
    version: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Front:
    """Caddy, with curl as an HTTP/2 client."""

    alone: int
    both: int

    def ask(self, *arguments: str, path: str = "/graphql", given: bytes = b"") -> Answer:
        to = f"localhost:{self.alone}"
        command = ["curl", "--silent", "--insecure", "--include", "--http2", "--globoff",
                   "--interface", ADDRESS, "--resolve", f"{to}:127.0.0.1",
                   f"https://{to}{path}", *arguments]  # fmt: skip
        ran = subprocess.run(command, input=given, capture_output=True, timeout=30, check=True)
        head, _, body = ran.stdout.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        version, status = first.split()[:2]
        headers: dict[str, str] = {}
        for name, _, value in (line.partition(": ") for line in lines):
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Answer(version, int(status), headers, body)

    def post(self, query: str, *arguments: str, **variables: Any) -> Answer:
        body = json.dumps({"query": query, "variables": variables}).encode()
        return self.post_body(body, *arguments)

    def post_body(self, body: bytes, *arguments: str) -> Answer:
        sent = ["--header", "content-type: application/json", "--header", f"accept: {GRAPHQL_JSON}",
                "--data-binary", "@-"]  # fmt: skip
        return self.ask(*sent, *arguments, given=body)


@contextmanager
def caddy(directory: Path, first: int, second: int) -> Generator[Front]:
    front = Front(free_port(), free_port())
    file = directory / "Caddyfile"
    file.write_text(
        CADDYFILE.format(alone=front.alone, both=front.both, first=first, second=second)
    )
    home = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "PATH": "/usr/bin:/bin"}
    with (directory / "caddy.log").open("w") as log:
        command = ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]
        process = subprocess.Popen(command, env=home, stdout=log, stderr=log)
    try:
        wait_until_it_answers(front)
        yield front
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def wait_until_it_answers(front: Front) -> None:
    started = time.monotonic()
    while time.monotonic() - started < START_SECONDS:
        with suppress(subprocess.CalledProcessError):
            if front.ask(path="/health/ready").status == 200:
                return
        time.sleep(0.1)
    raise SystemExit("Caddy does not answer.")


def status_codes_arrive(front: Front) -> None:
    seen = {
        200: front.post("{ __typename }"),
        294: front.post("{ __typename users { totalCount } }"),
        400: front.post("{"),
        405: front.ask("--request", "PUT"),
        413: front.post_body(b" " * 100_000),
        415: front.ask("--data", "a=b"),
        422: front.post("{ noSuchField }"),
        431: front.post("{ __typename }", "--header", "x-large: " + "a" * 20_000),
    }
    same({status: answer.status for status, answer in seen.items()}, {each: each for each in seen})
    same({answer.version for answer in seen.values()}, {"HTTP/2"})
    types = {answer.headers["content-type"] for answer in seen.values()}
    same(types, {f"{GRAPHQL_JSON}; charset=utf-8"})
    same({name for answer in seen.values() for name in answer.json}, {"data", "errors"})
    head = front.ask("--head", path="/graphql?query={__typename}")
    same((head.status, head.body), (200, b""))
    say(f"{', '.join(map(str, seen))} and a HEAD arrive over HTTP/2 as they are")


def scripts_of_named_origins_can_ask(front: Front) -> None:
    asked = ["--request", "OPTIONS", "--header", "access-control-request-method: POST",
             "--header", "access-control-request-headers: sentry-trace,tracestate"]  # fmt: skip
    friend = front.ask(*asked, "--header", f"origin: {ORIGIN}")
    stranger = front.ask(*asked, "--header", f"origin: {STRANGER}")
    same((friend.status, stranger.status), (204, 403))
    same(friend.headers["access-control-allow-origin"], ORIGIN)
    same(friend.headers["access-control-allow-headers"], "sentry-trace,tracestate")
    same(stranger.headers.get("access-control-allow-origin"), None)

    large = front.post_body(b" " * 100_000, "--header", f"origin: {ORIGIN}")
    same((large.status, large.headers["access-control-allow-origin"]), (413, ORIGIN))
    say("preflights and refusals allow listed origins only")


def addresses_are_those_that_it_saw(front: Front) -> None:
    spoofed = ["--header", "x-forwarded-for: 203.0.113.9, 127.0.0.1"]
    credentials = {"email": ADMIN, "password": PASSWORD}
    signed_in = front.post(SIGN_IN, *spoofed, input=credentials).json["data"]["login"]
    token = signed_in["tokens"]["accessToken"]
    events = front.post(FROM, "--header", f"authorization: Bearer {token}").json["data"]
    same(events["auditEvents"]["nodes"], [{"ipAddress": ADDRESS}])
    say("the audit has the address that Caddy saw, whatever X-Forwarded-For a client sends")


def connections_are_kept(front: Front, server: Server) -> None:
    with httpx.Client(verify=False) as client:  # noqa: S501 - a certificate of Caddy's own, on loopback
        for _ in range(50):
            answer = client.post(
                f"https://localhost:{front.alone}/graphql", json={"query": "{ __typename }"}
            )
            same(answer.json(), {"data": {"__typename": "Query"}})
    opened = [
        each
        for each in psutil.Process(server.process.pid).net_connections("tcp")
        if each.laddr.port == server.port and each.status == psutil.CONN_ESTABLISHED
    ]
    # Including those of the health checks.
    if len(opened) > MOST_KEPT:
        raise SystemExit(f"{len(opened)} connections to Portico are open.")
    say(f"connections to Portico are kept: {len(opened)} after all of this")


@dataclass
class Crowd:
    """Sends requests over kept-alive connections and counts the answers, until it ends."""

    url: str
    statuses: dict[int, int] = field(default_factory=dict[int, int])
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def asking(self) -> Generator[None]:
        threads = [threading.Thread(target=self.ask) for _ in range(CROWD)]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            self.over.set()
            for each in threads:
                each.join(START_SECONDS)

    def ask(self) -> None:
        with httpx.Client(verify=False) as client:  # noqa: S501 - as above
            while not self.over.wait(0.02):
                status = client.post(self.url, json={"query": "{ me { id } }"}).status_code
                with self.lock:
                    self.statuses[status] = self.statuses.get(status, 0) + 1


def servers_are_replaced_without_a_failure(front: Front, servers: list[Server]) -> None:
    crowd = Crowd(f"https://localhost:{front.both}/graphql")
    with crowd.asking():
        for server in servers:
            time.sleep(1)
            server.restart()
        time.sleep(1)
    same(set(crowd.statuses), {200})
    say(f"both servers were replaced, one after the other: {crowd.statuses[200]} answers, all 200")


def same(found: object, expected: object) -> None:
    if found != expected:
        raise SystemExit(f"expected {expected!r}, found {found!r}")


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


BEGAN = time.monotonic()


def main() -> None:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = SETTINGS | {"DATABASE_URL": stack.enter_context(postgres()).url}
        same(portico("db", "upgrade", cwd=directory, **settings).returncode, 0)
        first_admin = {"FIRST_ADMIN_EMAIL": ADMIN, "FIRST_ADMIN_PASSWORD": PASSWORD}
        first = stack.enter_context(serving(directory, **settings, **first_admin))
        second = stack.enter_context(serving(directory, **settings))
        front = stack.enter_context(caddy(directory, first.port, second.port))
        status_codes_arrive(front)
        scripts_of_named_origins_can_ask(front)
        addresses_are_those_that_it_saw(front)
        connections_are_kept(front, first)
        servers_are_replaced_without_a_failure(front, [first, second])


if __name__ == "__main__":
    if shutil.which("caddy") is None:
        sys.exit("caddy is not installed.")
    main()
