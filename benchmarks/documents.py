"""What the worst documents cost to read, and the worst requests of guests with known documents."""

import argparse
import asyncio
import json
import time
from statistics import median
from typing import Any

from script import run_script
from tables import grid

from app.engine.documents import Document, Documents
from app.engine.engine import core_schema
from app.engine.limits import DocumentLimits
from app.graphql.field_policy import field_costs
from app.main import create_app, default_schema, settle
from app.modules import MODULES, settings_class

SAME = "suspension { reason } "
PEOPLE = "{ edges { cursor node { id email } } }"
PAGES = " ".join(f"page{number}: users(first: 50) {PEOPLE}" for number in range(8))
DOCUMENTS = {
    "one object field 198 times": "{ me { " + SAME * 198 + "} }",
    "the same through ten fragments": "{ me { "
    + " ".join(f"...F{number}" for number in range(10))
    + " } } "
    + " ".join(f"fragment F{number} on User {{ {SAME * 19}}}" for number in range(10)),
    "an unknown field's field 199 times": "{ nobody { " + "x { y } " * 199 + "} }",
    "990 literals where one belongs": f"{{ users(first: [{'1 ' * 980}]) {{ totalCount }} }}",
    "a string of 7,900 escapes": '{ user(by: {email: "' + r"\n" * 7_900 + '"}) { id } }',
    "eight pages of people": f"{{ {PAGES} }}",
    "a page of people": f"{{ users(first: 50) {PEOPLE} }}",
}
BY_NAMES = "query ($filter: AuditFilter) { auditEvents(filter: $filter) { nodes { id } } }"
NESTED = "users(first: $n) { nodes { sessions(first: $n) { nodes { id userAgent } } } }"
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "me": ("{ me { id } }", {}),
    "eight pages that are refused": (f"{{ {PAGES} }}", {}),
    "eight pages that may cost too much": (
        "query ($n: Int) { " + " ".join(f"a{number}: {NESTED}" for number in range(8)) + " }",
        {"n": 100},
    ),
    "990 names": (BY_NAMES, {"filter": {"names": ["a"] * 990}}),
    "990 names and one that is none": (BY_NAMES, {"filter": {"names": ["a"] * 990 + [1]}}),
    "more values than are allowed": (BY_NAMES, {"filter": {"names": ["a"] * 10_000}}),
    "a search of 60,000 characters": (
        "query ($filter: UserFilter) { users(filter: $filter) { totalCount } }",
        {"filter": {"search": "x" * 60_000}},
    ),
}


def main(options: argparse.Namespace) -> None:
    # As in a server: otherwise a full collection counts for some of them.
    settle()
    rows = [_row(name, text, options.samples) for name, text in DOCUMENTS.items()]
    print("\n".join(grid(["new document", "and it", "CPU ms", "longest"], rows)), end="\n\n")
    rows = asyncio.run(_requests(options.samples))
    print("\n".join(grid(["known document", "status", "CPU ms", "longest"], rows)))


def _row(name: str, text: str, samples: int) -> list[str]:
    times: list[float] = []
    read, core = None, core_schema(SCHEMA)
    for _ in range(samples + 1):
        # New each time: what was read before would be known.
        documents = Documents(schema=core, limits=DocumentLimits(), costs=field_costs(core))
        started = time.process_time()
        read = documents.read(text)
        times.append((time.process_time() - started) * 1000)
    answer = "runs" if isinstance(read, Document) else "is refused"
    return [name, answer, *_numbers(times)]


async def _requests(samples: int) -> list[list[str]]:
    rows: list[list[str]] = []
    for name, (query, variables) in REQUESTS.items():
        body = json.dumps({"query": query, "variables": variables}).encode()
        times: list[float] = []
        status = 0
        for _ in range(samples + 1):
            started = time.process_time()
            status = await _post(body)
            times.append((time.process_time() - started) * 1000)
        rows.append([name, str(status), *_numbers(times)])
    return rows


async def _post(body: bytes) -> int:
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    headers = [(b"content-type", b"application/json")]
    fixed = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b""}
    await APP({**fixed, "headers": headers, "client": ("127.0.0.1", 1)}, receive, send)
    return statuses[0]


def _numbers(times: list[float]) -> list[str]:
    # The first one also makes what the others share.
    return [f"{median(times[1:]):.1f}", f"{max(times[1:]):.1f}"]


SCHEMA = default_schema()
# Guests are refused before the database is asked: there is none.
UNUSED: dict[str, Any] = {
    "_env_file": None,
    "database_url": "postgresql://nobody@127.0.0.1:1/none",
    "secret_key": "5Pq8Zt1mWc7Rk2Xv9Lb4Ny6Hd3Gf0JsA",
    "access_log": False,
}
APP = create_app(settings_class(MODULES)(**UNUSED))

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=9)
    run_script(main, parser)
