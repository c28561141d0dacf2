"""Measures how long `totalCount` takes: of all users, and of filters that many and few match."""

import argparse
import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

import asyncpg
from client import Client
from script import run_script
from stage import CHEAP_HASHES, UNTHROTTLED, Stage, machine, say, stage, write_result
from tables import grid, report

COUNT = "query ($filter: UserFilter) { users(first: 1, filter: $filter) { totalCount } }"
# Users of the benchmark are created one a minute from here on.
FIRST_USER_AT = datetime.fromtimestamp(1_600_000_000, UTC)
WARM_UP = 5

CHANGED = "all, after a tenth of the users signed in, before autovacuum"
# Evenly, so that hardly any page of the table is left whose rows are all visible.
CHANGE = """
UPDATE users SET last_login_at = now() WHERE extract(epoch FROM created_at)::bigint / 60 % 10 = 0
"""
CHANGE_SECONDS = 600

Filters = dict[str, dict[str, Any]]


def main(options: argparse.Namespace) -> None:
    with stage(options.people, pinned=False) as set_up:
        token = _administrator(set_up)
        with set_up.portico() as server:
            client = Client(server.port, token)
            filters = _filters(options.people)
            counts = {name: _count(client, each) for name, each in filters.items()}
            times = _times(client, filters, options.samples)
            asyncio.run(_change_a_tenth(set_up.database_url))
            counts[CHANGED] = _count(client, {})
            times |= _times(client, {CHANGED: {}}, options.samples)
        about = machine(set_up)
    text = _report(counts, times, options, about)
    write_result("total-count.md", text)
    print(text)


def _administrator(set_up: Stage) -> str:
    with set_up.portico({**CHEAP_HASHES, **UNTHROTTLED}, name="portico-login") as server:
        return set_up.administrators(server)[0]


def _filters(people: int) -> Filters:
    """Returns filters by what they match, from all users to few."""
    middle = FIRST_USER_AT + timedelta(minutes=people // 2)
    tenth = {
        "from": middle.isoformat(),
        "before": (middle + timedelta(minutes=people // 10)).isoformat(),
    }
    return {
        "all": {},
        "`isActive: true`": {"isActive": True},
        "`createdAt`: a tenth of the time": {"createdAt": tenth},
        "`role: ADMIN`": {"role": "ADMIN"},
        "`search`: a part of every address": {"search": "example"},
        "`search`: a part of one address": {"search": f"{people // 3:08}"},
    }


def _count(client: Client, user_filter: dict[str, Any]) -> int:
    return client(COUNT, {"filter": user_filter})["users"]["totalCount"]


async def _change_a_tenth(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("ALTER TABLE users SET (autovacuum_enabled = false)")
        await connection.execute(CHANGE, timeout=CHANGE_SECONDS)
    finally:
        await connection.close()


def _times(client: Client, filters: Filters, samples: int) -> dict[str, list[float]]:
    """Count in turn, in a new order each time; returns milliseconds of each answer."""
    times: dict[str, list[float]] = {name: [] for name in filters}
    order = list(filters)
    for number in range(WARM_UP + samples):
        random.shuffle(order)
        for name in order:
            began = time.perf_counter()
            _count(client, filters[name])
            taken = (time.perf_counter() - began) * 1000
            if number >= WARM_UP:
                times[name].append(taken)
    say(f"{samples} samples of each count taken.")
    return times


def _report(
    counts: dict[str, int],
    times: dict[str, list[float]],
    options: argparse.Namespace,
    about: dict[str, str],
) -> str:
    rows = [
        [
            name,
            f"{counts[name]:,}",
            f"{min(taken):.1f}",
            f"{median(taken):.1f}",
            f"{max(taken):.1f}",
        ]
        for name, taken in times.items()
    ]
    verdict = (
        "One kept-alive connection, one request at a time, the filters in random alternation; "
        f"{options.samples} of each after {WARM_UP} to warm up; time as the client sees it. "
        "PostgreSQL may use other cores too (`max_parallel_workers_per_gather`)."
    )
    table = grid(("filter", "matches", "least ms", "median ms", "most ms"), rows)
    return report(f"The price of totalCount, {options.people:,} people", table, [verdict], about)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--samples", type=int, default=20)
    run_script(main, parser)
