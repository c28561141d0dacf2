"""Measures the memory of one worker, and whether it grows: requests of every kind, for long."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from client import LOGIN, Client
from database import address
from load import let_rest, load, require_wrk, shuffled, write_requests
from operations import ME, USERS
from processes import Memory, memory_of
from script import run_script
from stage import CHEAP_HASHES, UNTHROTTLED, Server, Stage, machine, say, stage, write_result
from tables import grid, report

SETTINGS = {**CHEAP_HASHES, **UNTHROTTLED}
PEOPLE, CONNECTIONS, SLICE_SECONDS = 10_000, 32, 5
DOCUMENTS = 3000
MEBIBYTE = 1024 * 1024
GROWTH_LIMIT = 1.05
KINDS = (
    "Resident memory includes libraries that other processes have loaded too, proportional has a "
    "part of each of these, private is what would be free if the worker ended."
)
# After the two operations that `run.py` measures.
SIZE_LIMIT = 120 * MEBIBYTE

Measured = tuple[int, Memory]

Request = tuple[str, dict[str, object]]


def main(options: argparse.Namespace) -> None:
    require_wrk()
    with stage(PEOPLE) as set_up:
        with set_up.portico(SETTINGS, name="portico-login") as server:
            members, administrators = set_up.members(server), set_up.administrators(server)
            mix = list(_mix(server, set_up, members, administrators))
        common = [
            *((token, {"query": ME.query}) for token in members),
            *((token, {"query": USERS.query}) for token in administrators),
        ]
        directory = set_up.directory
        common_file = write_requests(directory / "common.txt", shuffled(common, seed=1))
        file = write_requests(directory / "mix.txt", shuffled(mix, seed=1))
        with set_up.portico(SETTINGS) as server:
            few = _after_few_documents(server, set_up, common_file)
            sizes = _sizes(server, set_up, file, options.early, options.late)
        about = machine(set_up)
    text = _report(few, sizes, len(mix), about)
    write_result("memory.md", text)
    print(text)


def _mix(
    server: Server, set_up: Stage, members: list[str], administrators: list[str]
) -> Iterator[Request]:
    """Returns the mix of a normal day: mostly common requests, and some of everything else."""
    admin = administrators[0]
    page = Client(server.port, admin)(USERS.query)["users"]
    ids = [edge["node"]["id"] for edge in page["edges"]]
    forward = "query ($after: String) { users(first: 20, after: $after) { nodes { email } } }"
    search = "query ($text: String) { users(first: 5, filter: { search: $text }) { totalCount } }"
    for number in range(DOCUMENTS):
        token = members[number % len(members)]
        yield token, {"query": ME.query}
        # Documents that are sent only once.
        yield token, {"query": f"query Seen{number} {{ alias{number}: me {{ email role }} }}"}
        if number % 4 == 0:
            yield admin, {"query": USERS.query}
            after = page["edges"][number % len(ids)]["cursor"]
            yield admin, {"query": forward, "variables": {"after": after}}
            by_id = "query ($id: ID!) { node(id: $id) { ... on User { email } } }"
            yield admin, {"query": by_id, "variables": {"id": ids[number % len(ids)]}}
        if number % 50 == 0:
            yield admin, {"query": search, "variables": {"text": f"person{number:08}"}}
            yield "not.a.token", {"query": ME.query}
            yield "", {"query": f"{{ broken{number} "}
            yield token, {"query": f"{{ unknown{number} }}"}
            right, wrong = set_up.password, f"wrong {number}"
            for password in (right, wrong):
                given = {"email": address(number + 1), "password": password}
                yield "", {"query": LOGIN, "variables": {"input": given}}


def _after_few_documents(server: Server, set_up: Stage, file: Path) -> list[Measured]:
    """Returns the memory at the start, and after the two operations that `run.py` measures."""
    let_rest(server.pid)
    at_start = memory_of(server.pid)
    answered = _answered(server, set_up, file) + _answered(server, set_up, file)
    return [(0, at_start), (answered, memory_of(server.pid))]


def _sizes(server: Server, set_up: Stage, file: Path, early: int, late: int) -> list[Measured]:
    """Returns the memory after `early` requests of the mix, then at ten points until `late`."""
    # A slice may include several of these points.
    marks = [early + (late - early) * step // 10 for step in range(11)]
    sizes: list[Measured] = []
    answered = 0
    for mark in marks:
        if answered >= mark:
            continue
        while answered < mark:
            answered += _answered(server, set_up, file)
        sizes.append((answered, memory_of(server.pid)))
        say(f"{answered:>9,} requests: {_mebibytes(sizes[-1][1].resident)} MiB")
    return sizes


def _answered(server: Server, set_up: Stage, file: Path) -> int:
    """Send requests for some seconds; returns how many were answered."""
    return load(
        server.port,
        server.pid,
        file,
        seconds=SLICE_SECONDS,
        connections=CONNECTIONS,
        core=set_up.other_core,
        refusals=True,
    ).requests


def _report(few: list[Measured], sizes: list[Measured], kinds: int, about: dict[str, str]) -> str:
    rows = [
        *_rows("`me` and pages", few),
        *_rows("all kinds", sizes),
    ]
    after_few = few[-1][1].resident
    (early, first), (late, last) = sizes[0], sizes[-1]
    growth = last.resident / first.resident
    size = (
        f"After `me` and pages it takes **{_mebibytes(after_few)} MiB** "
        f"({_within(after_few <= SIZE_LIMIT)} the limit of {SIZE_LIMIT // MEBIBYTE} MiB). "
        f"From {early:,} to {late:,} requests of all kinds it went to **{growth:.3f}x** "
        f"({_within(growth <= GROWTH_LIMIT)} the limit of {GROWTH_LIMIT}): {kinds:,} different "
        f"requests in turn, {DOCUMENTS:,} of them documents of their own, with sign-ins, refusals, "
        "unknown tokens and syntax errors among them."
    )
    table = grid(("requests", "answered", "resident MiB", "proportional", "private"), rows)
    return report("Memory of one worker", table, [size, KINDS], about)


def _rows(kind: str, sizes: list[Measured]) -> list[list[str]]:
    return [[kind, f"{requests:,}", *map(_mebibytes, size)] for requests, size in sizes]


def _within(is_within: bool) -> str:
    return "within" if is_within else "beyond"


def _mebibytes(size: int) -> str:
    return f"{size / MEBIBYTE:.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--early", type=int, default=20_000, help="requests before the first look")
    parser.add_argument("--late", type=int, default=200_000, help="requests before the last look")
    run_script(main, parser)
