"""Measures whether a worker grows: its resident memory while it answers requests of every kind."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from client import LOGIN, Client
from database import address
from load import load, require_wrk, shuffled, write_requests
from operations import ME, USERS
from processes import resident_bytes
from script import run_script
from stage import CHEAP_HASHES, UNTHROTTLED, Server, Stage, machine, say, stage, write_result
from tables import grid, report

SETTINGS = {**CHEAP_HASHES, **UNTHROTTLED}
PEOPLE, CONNECTIONS, SLICE_SECONDS = 10_000, 32, 5
DOCUMENTS = 3000
MEBIBYTE = 1024 * 1024
LIMIT = 1.05

Request = tuple[str, dict[str, object]]


def main(options: argparse.Namespace) -> None:
    require_wrk()
    with stage(PEOPLE) as set_up:
        with set_up.portico(SETTINGS, name="portico-login") as server:
            mix = list(_mix(server, set_up, set_up.members(server), set_up.administrators(server)))
        file = write_requests(set_up.directory / "mix.txt", shuffled(mix, seed=1))
        with set_up.portico(SETTINGS) as server:
            sizes = _sizes(server, set_up, file, options.early, options.late)
        about = machine(set_up)
    text = _report(sizes, len(mix), about)
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


def _sizes(
    server: Server, set_up: Stage, file: Path, early: int, late: int
) -> list[tuple[int, int]]:
    """Returns resident bytes after `early` requests, then at ten points until `late`."""
    # A slice may include several of these points.
    marks = [early + (late - early) * step // 10 for step in range(11)]
    sizes: list[tuple[int, int]] = []
    answered = 0
    for mark in marks:
        if answered >= mark:
            continue
        while answered < mark:
            answered += load(
                server.port,
                server.pid,
                file,
                seconds=SLICE_SECONDS,
                connections=CONNECTIONS,
                core=set_up.other_core,
                refusals=True,
            ).requests
        sizes.append((answered, resident_bytes(server.pid)))
        say(f"{answered:>9,} requests: {sizes[-1][1] / MEBIBYTE:.1f} MiB")
    return sizes


def _report(sizes: list[tuple[int, int]], kinds: int, about: dict[str, str]) -> str:
    rows = [[f"{requests:,}", f"{size / MEBIBYTE:.1f}"] for requests, size in sizes]
    growth = sizes[-1][1] / sizes[0][1]
    verdict = (
        f"From {sizes[0][0]:,} to {sizes[-1][0]:,} requests it went to **{growth:.3f}x** "
        f"({'within' if growth <= LIMIT else 'beyond'} the limit of {LIMIT}). {kinds:,} "
        f"different requests in turn, {DOCUMENTS:,} of them documents of their own, with "
        "sign-ins, refusals, unknown tokens and syntax errors among them."
    )
    table = grid(("requests answered", "resident MiB"), rows)
    return report("Memory of one worker", table, [verdict], about)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--early", type=int, default=20_000, help="requests before the first look")
    parser.add_argument("--late", type=int, default=200_000, help="requests before the last look")
    run_script(main, parser)
