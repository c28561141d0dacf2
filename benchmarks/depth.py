"""Measures whether deeper pages cost more: the first one of a million users, and the last."""

import argparse
import random
import time
from statistics import median
from typing import Any

from client import Client
from database import address
from processes import BenchmarkFailed
from script import run_script
from stage import (
    CHEAP_HASHES,
    UNTHROTTLED,
    Stage,
    machine,
    pin_this_script,
    say,
    stage,
    write_result,
)
from statistic import percentile
from tables import grid, report

FIELDS = (
    "{ edges { cursor node { id email isActive createdAt } } pageInfo { hasNextPage endCursor } }"
)
FORWARD = f"query ($after: String) {{ users(first: 50, after: $after) {FIELDS} }}"
BACKWARD = f"query ($before: String) {{ users(last: 50, before: $before) {FIELDS} }}"
# 50 for the page and one more behind it, as a page in the middle has, after the cursor's own.
TAIL = "{ users(last: 52) { edges { cursor node { email } } } }"

FIRST, DEEP, LAST = "first: 50", "first: 50, after: 50 before the end", "last: 50"
WARM_UP = 50
LIMIT = 1.1

Page = tuple[str, dict[str, Any]]


def main(options: argparse.Namespace) -> None:
    with stage(options.people) as set_up:
        token = _administrator(set_up)
        with set_up.portico() as server:
            pin_this_script()
            client = Client(server.port, token)
            pages = _pages(client, set_up)
            times = _times(client, pages, options.samples)
        about = machine(set_up)
    text = _report(times, options, about)
    write_result("depth.md", text)
    print(text)


def _administrator(set_up: Stage) -> str:
    with set_up.portico({**CHEAP_HASHES, **UNTHROTTLED}, name="portico-login") as server:
        return set_up.administrators(server)[0]


def _pages(client: Client, set_up: Stage) -> dict[str, Page]:
    edges = client(TAIL)["users"]["edges"]
    after = edges[0]["cursor"]
    page = client(FORWARD, {"after": after})["users"]
    # The first administrator was created last, so they come after all other users.
    last_seeded = address(set_up.people)
    if len(page["edges"]) != 50 or not page["pageInfo"]["hasNextPage"]:
        raise BenchmarkFailed("The deep page is not a full one.")
    if page["edges"][-1]["node"]["email"] != last_seeded:
        raise BenchmarkFailed(f"The deep page ends with {page['edges'][-1]['node']['email']}.")
    return {FIRST: (FORWARD, {}), DEEP: (FORWARD, {"after": after}), LAST: (BACKWARD, {})}


def _times(client: Client, pages: dict[str, Page], samples: int) -> dict[str, list[float]]:
    """Request the pages in turn, in a new order each time; returns milliseconds of each answer."""
    times: dict[str, list[float]] = {name: [] for name in pages}
    order = list(pages)
    for number in range(WARM_UP + samples):
        random.shuffle(order)
        for name in order:
            query, variables = pages[name]
            began = time.perf_counter()
            client(query, variables)
            taken = (time.perf_counter() - began) * 1000
            if number >= WARM_UP:
                times[name].append(taken)
    say(f"{samples} samples of each page taken.")
    return times


def _report(
    times: dict[str, list[float]], options: argparse.Namespace, about: dict[str, str]
) -> str:
    base = median(times[FIRST])
    rows = [
        [
            f"`users({name})`",
            f"{median(taken):.2f}",
            f"{percentile(taken, 0.99):.2f}",
            f"{median(taken) / base:.3f}x",
        ]
        for name, taken in times.items()
    ]
    ratio = median(times[DEEP]) / base
    verdict = (
        f"At the far end a page takes **{ratio:.3f}x** the first page's time "
        f"({'within' if ratio <= LIMIT else 'beyond'} the limit of {LIMIT}). One kept-alive "
        "connection, one request at a time, the pages in random alternation; "
        f"{options.samples} of each; time as the client sees it."
    )
    table = grid(("page", "p50 ms", "p99 ms", "of the first page"), rows)
    return report(f"The price of depth, {options.people:,} people", table, [verdict], about)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=400)
    run_script(main, parser)
