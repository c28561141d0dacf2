"""Measures what the chains of the audit cost sign-ins, and how long verifying them takes."""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import asyncpg
from client import Client
from database import address
from processes import BenchmarkFailed
from script import run_script
from stage import CHEAP_HASHES, UNTHROTTLED, Server, Stage, machine, say, stage, write_result
from tables import grid, report

PEOPLE, CLIENTS, SECONDS = 2000, 32, 4
WRITTEN_AT_ONCE = 100
ONE_CHAIN = "/' || pg_backend_pid() % 1"
WAYS = ("eight chains", "one chain", "no chain")
FREE = [
    f"ALTER TABLE audit_events ALTER COLUMN {name} DROP NOT NULL"
    for name in ("chain", "position", "previous_hash", "hash")
]
EVENTS = """
INSERT INTO audit_events (id, at, name, actor_id, ip_address, details)
SELECT gen_random_uuid(), now() - n * interval '1 s', 'session.started', gen_random_uuid(),
       '203.0.113.9', '{"a": "b"}' FROM generate_series($1::int, $2::int - 1) n
"""


def main(options: argparse.Namespace) -> None:
    with stage(PEOPLE) as set_up:
        with set_up.portico({**CHEAP_HASHES, **UNTHROTTLED}) as server:
            original = asyncio.run(_function(set_up))
            rounds = [_round(server, set_up, original) for _ in range(options.rounds)]
            asyncio.run(_use(set_up, WAYS[0], original))
        asyncio.run(_fill(set_up, options.events))
        seconds = _walked(set_up)
        about = machine(set_up)
    text = _report(rounds, seconds, options, about)
    write_result("audit.md", text)
    print(text)


def _round(server: Server, set_up: Stage, original: str) -> dict[str, float]:
    rates: dict[str, float] = {}
    for way in WAYS:
        asyncio.run(_use(set_up, way, original))
        rates[way] = _rate(server, set_up.password)
    say(", ".join(f"{way}: {rate:.0f} logins/s" for way, rate in rates.items()))
    return rates


def _rate(server: Server, password: str) -> float:
    until = time.perf_counter() + SECONDS

    def sign_in(number: int) -> int:
        client, done = Client(server.port), 0
        while time.perf_counter() < until:
            if client.login(address(number % PEOPLE + 1), password) is None:
                raise BenchmarkFailed("A correct password was refused.")
            number, done = number + CLIENTS, done + 1
        return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(sign_in, range(CLIENTS))) / SECONDS


async def _function(set_up: Stage) -> str:
    connection = await asyncpg.connect(set_up.database_url)
    try:
        return await connection.fetchval("SELECT pg_get_functiondef('append_audit_event'::regproc)")
    finally:
        await connection.close()


async def _use(set_up: Stage, way: str, original: str) -> None:
    connection = await asyncpg.connect(set_up.database_url)
    for statement in FREE:
        await connection.execute(statement)
    mode = "DISABLE" if way == "no chain" else "ENABLE"
    await connection.execute(f"ALTER TABLE audit_events {mode} TRIGGER append")
    one = original.replace("/' || pg_backend_pid() % 8", ONE_CHAIN)
    await connection.execute(one if way == "one chain" else original)
    await connection.close()


async def _fill(set_up: Stage, events: int) -> None:
    connection = await asyncpg.connect(set_up.database_url)
    await connection.execute("ALTER TABLE audit_events ENABLE TRIGGER append")
    await connection.execute("SET session_replication_role = replica")
    await connection.execute("TRUNCATE audit_events, audit_chains, audit_checkpoints")
    await connection.execute("SET session_replication_role = origin")
    # A few in each transaction, as requests write them.
    for start in range(0, events, WRITTEN_AT_ONCE):
        await connection.execute(EVENTS, start, start + WRITTEN_AT_ONCE)
    await connection.close()


def _walked(set_up: Stage) -> float:
    began = time.perf_counter()
    environment = {
        **os.environ,
        "DATABASE_URL": set_up.database_url,
        "SECRET_KEY": set_up.secret_key,
    }
    command = [Path(sys.executable).parent / "portico", "audit", "verify"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if run.returncode:
        raise BenchmarkFailed(run.stderr)
    return time.perf_counter() - began


def _report(
    rounds: list[dict[str, float]],
    seconds: float,
    options: argparse.Namespace,
    about: dict[str, str],
) -> str:
    rows = [
        [str(number), *(f"{one[way]:.0f}" for way in WAYS)] for number, one in enumerate(rounds, 1)
    ]
    ratios = {way: median(one[way] / one["no chain"] for one in rounds) for way in WAYS[:2]}
    verdict = (
        f"With hashes so cheap that the database decides (cost 4, {CLIENTS} at once), sign-ins "
        f"reach **{ratios['eight chains']:.2f}x** of what they do without chains, with one chain "
        f"{ratios['one chain']:.2f}x. At the usual cost of a hash none of it shows. "
        f"`portico audit verify` walked {options.events:,} events in "
        f"{seconds:.1f} s, start included."
    )
    table = grid(("round", *(f"{way}, logins/s" for way in WAYS)), rows)
    about = {**about, "command": f"benchmarks/audit.py --rounds {options.rounds}"}
    return report("What the chains of the audit cost", table, [verdict], about)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--events", type=int, default=200_000)
    run_script(main, parser)
